"""The decoder of Fig. 5: one feature map for each task and one for both, at stride 8.

The two 256-wide 3x3 convolutions are depthwise separable, as in DeepLabV3+, on which the paper
builds. Dense ones would make SOSD-Net 1.2 M larger and MTL 0.9 M larger than a single task, where
Table 1 has 0.2 M.
"""

from __future__ import annotations

import torch
from torch import nn

from .layers import hidden_conv, separable_conv, upsample

COMMON_CHANNELS = 256
SEMANTIC_CHANNELS = 256
DEPTH_CHANNELS = 64
_REFINED_CHANNELS = 48


class CommonRepresentation(nn.Module):
    """Backbone output -> Conv 256, 1*1 -> Upsample by 4.

    With features at stride 16, which the paper does not tap: -> Upsample by 2 -> concat(these ->
    Conv 48, 1*1) -> Conv 256, 3*3 -> Upsample by 2.

    Args:
        in_channels: of the backbone output.
        middle_channels: of the features at stride 16; 0 if they are not tapped.
    """

    def __init__(self, in_channels: int, middle_channels: int = 0) -> None:
        super().__init__()
        self.conv = hidden_conv(in_channels, COMMON_CHANNELS, 1)
        if middle_channels:
            self.middle = hidden_conv(middle_channels, _REFINED_CHANNELS, 1)
            self.fuse = separable_conv(COMMON_CHANNELS + _REFINED_CHANNELS, COMMON_CHANNELS)

    def forward(
        self,
        backbone_output: torch.Tensor,
        size: tuple[int, int],
        middle: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """(N, C, H/32, W/32) to (N, 256, *size), ``size`` being that of the refined features."""
        common = self.conv(backbone_output)
        if middle is not None:
            common = upsample(common, (middle.shape[-2], middle.shape[-1]))
            common = self.fuse(torch.cat([common, self.middle(middle)], dim=1))
        return upsample(common, size)


class SemanticFeature(nn.Module):
    """concat(common, Refined fp -> Conv 48, 1*1) -> Conv 256, 3*3."""

    def __init__(self, refined_channels: int) -> None:
        super().__init__()
        self.refined = hidden_conv(refined_channels, _REFINED_CHANNELS, 1)
        self.conv = separable_conv(COMMON_CHANNELS + _REFINED_CHANNELS, SEMANTIC_CHANNELS)

    def forward(self, common: torch.Tensor, refined: torch.Tensor) -> torch.Tensor:
        """(N, 256, H/8, W/8) and (N, C8, H/8, W/8) to (N, 256, H/8, W/8)."""
        return self.conv(torch.cat([common, self.refined(refined)], dim=1))


class DepthFeature(nn.Module):
    """concat(common, Refined fp -> Conv 48, 1*1) -> Conv 256, 3*3 -> Conv 64, 3*3."""

    def __init__(self, refined_channels: int) -> None:
        super().__init__()
        self.refined = hidden_conv(refined_channels, _REFINED_CHANNELS, 1)
        self.conv1 = separable_conv(COMMON_CHANNELS + _REFINED_CHANNELS, 256)
        self.conv2 = hidden_conv(256, DEPTH_CHANNELS, 3)

    def forward(self, common: torch.Tensor, refined: torch.Tensor) -> torch.Tensor:
        """(N, 256, H/8, W/8) and (N, C8, H/8, W/8) to (N, 64, H/8, W/8)."""
        return self.conv2(self.conv1(torch.cat([common, self.refined(refined)], dim=1)))
