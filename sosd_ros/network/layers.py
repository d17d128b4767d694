"""The layers everything else is made of.

timm is imported where layers are made: that takes longer than torch itself, and most who import
this package make none.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Literal, get_args

import torch
from torch import nn
from torch.nn import functional

Padding = Literal["zeros", "replicate"]
PADDINGS: tuple[Padding, ...] = get_args(Padding)


def hidden_conv(in_channels: int, out_channels: int, kernel_size: int) -> nn.Module:
    """Convolution + batch norm + ReLU at stride 1: a "Conv channels, k*k" box of Fig. 4 to 7."""
    from timm.layers import ConvNormAct

    return ConvNormAct(in_channels, out_channels, kernel_size)


def separable_conv(in_channels: int, out_channels: int, dilation: int = 1) -> nn.Module:
    """The same of 3x3, depthwise separable: each channel by itself, then all at each position."""
    from timm.layers import SeparableConvNormAct

    return SeparableConvNormAct(in_channels, out_channels, 3, dilation=dilation)


def output_conv(
    in_channels: int, out_channels: int, kernel_size: int, padding: Padding = "zeros"
) -> nn.Conv2d:
    """The linear convolution with a bias that ends a path or a unit.

    Args:
        padding: what it sees beyond the borders, ``zeros`` or ``replicate``.
    """
    return nn.Conv2d(
        in_channels, out_channels, kernel_size, padding=kernel_size // 2, padding_mode=padding
    )


class DepthConv(nn.Conv2d):
    """The linear convolution that answers depth, in float32 also where autocast would have less.

    Half precision would round metres to centimetres.

    Args:
        padding: what it sees beyond the borders, ``zeros`` or ``replicate``.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, padding: Padding = "zeros"
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, padding=kernel_size // 2, padding_mode=padding
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        device = features.device.type
        # Tensors that are shapes alone know no autocast.
        has_autocast = torch.amp.is_autocast_available(device)
        with torch.autocast(device, enabled=False) if has_autocast else nullcontext():
            bias = None if self.bias is None else self.bias.float()
            return self._conv_forward(features.float(), self.weight.float(), bias)


def upsample(features: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Bilinear upsampling of (N, C, h, w) to ``size`` = (height, width), pixel edges aligned."""
    if features.shape[-2:] == size:
        return features
    return functional.interpolate(features, size=size, mode="bilinear", align_corners=False)
