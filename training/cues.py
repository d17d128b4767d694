"""What the units are worth to a trained network, and what they say that it does not know anyway."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from sosd_ros.network import SOSDNet
from sosd_ros.network.decoder import SEMANTIC_CHANNELS
from sosd_ros.network.objectness import DepthToSemantic, SemanticToDepth, pixel_sqrt

_CUT_OFF = 1.01 * float(pixel_sqrt(torch.zeros(()), torch.zeros(())))


class DepthCue:
    """Watches the semantic-to-depth cue, from now on, while the network answers.

    Raises:
        ValueError: if the network has no units.
    """

    def __init__(self, network: SOSDNet) -> None:
        depth, _ = _units(network)
        self._cut_off = self._positions = 0
        # Sums of products of all pairs of: the cue, the depth feature's channels, and one.
        self._products = torch.zeros(())
        depth.depth.register_forward_pre_hook(self._see)

    def _see(self, _module: nn.Module, inputs: Any) -> None:
        maps = inputs[0].detach().double().transpose(0, 1).flatten(1)
        known = torch.cat([maps, torch.ones_like(maps[:1])])
        self._cut_off += int((maps[0] <= _CUT_OFF).sum())
        self._positions += maps.shape[1]
        self._products = self._products.to(maps.device) + known @ known.T

    @property
    def cut_off(self) -> float:
        """The share of positions at which one of the two areas is zero, and so the cue."""
        return self._cut_off / self._positions

    @property
    def known(self) -> float:
        """The share of the cue's variance that a linear function of the depth feature gives.

        The convolution behind could as well have had it from there; 1 if the cue does not vary.
        """
        products = self._products.cpu()
        cue, others = products[0], products[1:, 1:]
        variance = cue[0] - cue[-1] ** 2 / self._positions
        if variance <= 0:
            return 1.0
        weights = torch.linalg.lstsq(others, cue[1:, None], driver="gelsd").solution
        left = cue[0] - (cue[1:] @ weights)[0]
        return float(1 - left / variance)


def flatten_cues(network: SOSDNet) -> None:
    """Have both units see their cue's mean over the image at every position, from now on.

    Zero in its place would also take away what the convolution behind it has learned to expect,
    which the bias could have given as well.

    Raises:
        ValueError: if the network has no units.
    """
    depth, semantic = _units(network)
    # Where the cues lie among the channels that the last convolutions see.
    depth.depth.register_forward_pre_hook(_flattening(slice(0, 1)))
    semantic.semantic.register_forward_pre_hook(_flattening(slice(SEMANTIC_CHANNELS, None)))


def _units(network: SOSDNet) -> tuple[SemanticToDepth, DepthToSemantic]:
    depth, semantic = getattr(network, "depth_head", None), getattr(network, "semantic_head", None)
    if not (isinstance(depth, SemanticToDepth) and isinstance(semantic, DepthToSemantic)):
        raise ValueError(f"a network of variant {network.variant!r} has no units, and so no cues")
    return depth, semantic


def _flattening(channels: slice) -> Callable[[nn.Module, Any], tuple[torch.Tensor]]:
    def hook(_module: nn.Module, inputs: Any) -> tuple[torch.Tensor]:
        maps = inputs[0].clone()
        maps[:, channels] = maps[:, channels].mean(dim=(2, 3), keepdim=True)
        return (maps,)

    return hook
