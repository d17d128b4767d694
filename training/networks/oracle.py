"""The most that semantic objectness can be worth to depth: its truth, told to the depth head."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import nn

from sosd_ros.labels import UNLABELLED
from sosd_ros.network.decoder import DEPTH_CHANNELS
from sosd_ros.network.layers import DepthConv, Padding, hidden_conv
from sosd_ros.network.objectness import SemanticToDepth

_TOLD_CHANNELS = 32


class TrueObjectness(SemanticToDepth):
    """Fig. 6 with the true class and area of each position's object in place of the cue.

    They are told by :func:`tell` before each pass, and two convolutions make features of them.
    """

    def __init__(self, paper: SemanticToDepth, classes: int, padding: Padding) -> None:
        super().__init__()
        del self.area_3d, self.area_2d
        self.classes = classes
        self.told = nn.Sequential(
            hidden_conv(classes + 2, 64, 1), hidden_conv(64, _TOLD_CHANNELS, 3)
        )
        self.depth = DepthConv(
            DEPTH_CHANNELS + _TOLD_CHANNELS, paper.depth.out_channels, 5, padding
        )
        self.labels = torch.empty(0)

    def cue(self, semantic_feature: torch.Tensor, common: torch.Tensor) -> torch.Tensor:
        """What is told instead, (N, 32, h, w)."""
        labels, self.labels = self.labels, torch.empty(0)  # told once, used once
        if len(labels) != len(common):
            raise ValueError(
                f"network.units=told sees {len(common)} images and was told the labels of "
                f"{len(labels)}; it can be trained, and measured by evaluate in a single view"
            )
        size = (common.shape[-2], common.shape[-1])
        truth = np.stack([objectness(part, self.classes, size) for part in labels.numpy()])
        told: torch.Tensor = self.told(torch.from_numpy(truth).to(common))
        return told


def tell(network: object, labels: torch.Tensor) -> None:
    """Tell a network with such a head, and no other, the next images' true labels (N, H, W)."""
    if isinstance(unit := getattr(network, "depth_head", None), TrueObjectness):
        unit.labels = labels.cpu()


def objectness(labels: np.ndarray, classes: int, size: tuple[int, int]) -> np.ndarray:
    """What eq. 3 needs of the semantics of one image.

    Components are those of labels at four times ``size``, whatever size the truth has: it is
    thinned in training and not in evaluation, and what is connected depends on it.

    Args:
        labels: (H, W) uint8 class ids.

    Returns:
        (classes + 2, *size) float32: 1 in the channel of the class; the logarithm of the share of
        the image that its connected component takes; and whether that touches the frame, so that
        more of it lies outside. All are 0 where there is no label.
    """
    fine = (4 * size[1], 4 * size[0])
    labels = cv2.resize(labels, fine, interpolation=cv2.INTER_NEAREST_EXACT)
    areas, touches = np.zeros(labels.shape, np.float32), np.zeros(labels.shape, np.float32)
    for label in set(np.unique(labels).tolist()) - {UNLABELLED}:
        _, number, stats, _ = cv2.connectedComponentsWithStats((labels == label).astype(np.uint8))
        inside = number > 0
        areas[inside] = np.log(stats[number[inside], cv2.CC_STAT_AREA] / labels.size)
        edge = np.concatenate([number[0], number[-1], number[:, 0], number[:, -1]])
        touches[inside] = np.isin(number, edge)[inside]
    shape = (size[1], size[0])
    at_size = cv2.resize(labels, shape, interpolation=cv2.INTER_NEAREST_EXACT)
    shares, cut = (
        cv2.resize(part, shape, interpolation=cv2.INTER_NEAREST_EXACT) for part in (areas, touches)
    )
    one_hot = at_size[None] == np.arange(classes)[:, None, None]
    return np.concatenate([one_hot, shares[None], cut[None]]).astype(np.float32)
