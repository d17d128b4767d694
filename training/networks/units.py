"""Units to compare the paper's with, so as to see what those are worth; no robot runs them."""

from __future__ import annotations

import torch

from sosd_ros.network import SOSDNet
from sosd_ros.network.objectness import DepthToSemantic, SemanticToDepth

from .oracle import TrueObjectness


class LogarithmicCue(SemanticToDepth):
    """Fig. 6 with eq. 3 in logarithms: log d = (log area_3d + log area_2d) / 2, up to a constant.

    The last layer of each area is linear, as a logarithm has no least value. So nothing is cut off,
    and the cue learns at every position.
    """

    def __init__(self, paper: SemanticToDepth) -> None:
        from timm.layers import ConvNormAct

        super().__init__(paper.depth.out_channels)
        self.depth = paper.depth
        for area in (self.area_3d, self.area_2d):
            area[1] = ConvNormAct(2, 1, 3, apply_act=False)

    def cue(self, semantic_feature: torch.Tensor, common: torch.Tensor) -> torch.Tensor:
        return (self.area_3d(common) + self.area_2d(semantic_feature)) / 2


def change(network: SOSDNet, units: str) -> None:
    """Change the units of a network.

    Args:
        network: with units, unless ``units`` is ``paper``.
        units: ``paper`` as they are. ``logarithmic``: see :class:`LogarithmicCue`. ``detached``:
            the same answers, but no gradient flows through a unit into the other task's path.
            ``told``: see :class:`~.oracle.TrueObjectness`.
    """
    if units == "paper":
        return
    depth, semantic = network.depth_head, network.semantic_head
    assert isinstance(depth, SemanticToDepth) and isinstance(semantic, DepthToSemantic)
    if units == "logarithmic":
        network.depth_head = LogarithmicCue(depth)
        return
    if units == "told":
        network.depth_head = TrueObjectness(depth, semantic.semantic.out_channels, network.padding)
        return
    for reader in (depth.area_2d, semantic.depth_inv2):
        reader.register_forward_pre_hook(lambda _module, maps: tuple(m.detach() for m in maps))
