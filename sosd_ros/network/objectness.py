"""Semantic objectness: the units that let each task inform the other (Fig. 6, 7; eq. 3).

Eq. 3 ties an object's depth to its size in space and in the image, d^2 = fx fy dX dY / (du dv).
Both units take the decoder's three maps at stride 8 and answer at full resolution.
"""

from __future__ import annotations

import torch
from torch import nn

from .decoder import COMMON_CHANNELS, DEPTH_CHANNELS, SEMANTIC_CHANNELS
from .layers import DepthConv, Padding, hidden_conv, output_conv, upsample


def pixel_sqrt(area_3d: torch.Tensor, area_2d: torch.Tensor) -> torch.Tensor:
    """sqrt(area_3d * area_2d) with finite gradients everywhere, in float32.

    The plain square root is NaN for negative products and has infinite gradients at zero. The
    epsilon would underflow in float16 if it were much smaller.
    """
    product = area_3d.float().relu() * area_2d.float().relu()
    return torch.sqrt(product + 1e-6)


class SemanticToDepth(nn.Module):
    """Fig. 6: depth from the depth feature and the cue of eq. 3.

    Args:
        answers: 1, or 2 to answer something else of each position's depth as well.
        padding: of the last convolution; the paper's is ``zeros``.
    """

    def __init__(self, answers: int = 1, padding: Padding = "zeros") -> None:
        super().__init__()
        self.area_3d = nn.Sequential(hidden_conv(COMMON_CHANNELS, 2, 3), hidden_conv(2, 1, 3))
        self.area_2d = nn.Sequential(hidden_conv(SEMANTIC_CHANNELS, 2, 3), hidden_conv(2, 1, 3))
        self.depth = DepthConv(1 + DEPTH_CHANNELS, answers, 5, padding)

    def forward(
        self,
        semantic_feature: torch.Tensor,
        common: torch.Tensor,
        depth_feature: torch.Tensor,
        size: tuple[int, int],
    ) -> torch.Tensor:
        """Decoder maps at stride 8 to depth (N, answers, *size), float32."""
        cue = self.cue(semantic_feature, common)
        depth = self.depth(torch.cat([cue, depth_feature], dim=1))
        return upsample(depth, size)

    def cue(self, semantic_feature: torch.Tensor, common: torch.Tensor) -> torch.Tensor:
        """What eq. 3 says of depth, (N, 1, h, w)."""
        area_3d = self.area_3d(common)  # ~ dX dY
        area_2d = self.area_2d(semantic_feature)  # ~ 1 / (du dv)
        return pixel_sqrt(area_3d, area_2d)


class DepthToSemantic(nn.Module):
    """Fig. 7: class scores from the semantic feature and the cue of eq. 3 read backwards.

    Args:
        classes: how many there are.
        padding: of the last convolution; the paper's is ``zeros``.
    """

    def __init__(self, classes: int, padding: Padding = "zeros") -> None:
        super().__init__()
        self.area_3d = nn.Sequential(hidden_conv(COMMON_CHANNELS, 64, 3), hidden_conv(64, 32, 3))
        self.depth_inv2 = nn.Sequential(hidden_conv(DEPTH_CHANNELS, 64, 3), hidden_conv(64, 32, 3))
        self.cue = hidden_conv(32, 32, 1)
        self.semantic = output_conv(SEMANTIC_CHANNELS + 32, classes, 3, padding)

    def forward(
        self,
        semantic_feature: torch.Tensor,
        common: torch.Tensor,
        depth_feature: torch.Tensor,
        size: tuple[int, int],
    ) -> torch.Tensor:
        """Decoder maps at stride 8 to logits (N, classes, *size)."""
        area_3d = self.area_3d(common)  # ~ dX dY
        depth_inv2 = self.depth_inv2(depth_feature)  # ~ d^-2
        cue = self.cue(area_3d * depth_inv2)
        logits = self.semantic(torch.cat([semantic_feature, cue], dim=1))
        return upsample(logits.float(), size)  # before they are many, when the copy is small
