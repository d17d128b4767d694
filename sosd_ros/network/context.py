"""The context module of Fig. 4: three parallel parts over the backbone's deepest features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from .layers import hidden_conv, separable_conv

CHANNELS = 256


class FullImageExtractor(nn.Module):
    """Global average pool, 1x1 convolution, broadcast back to every position.

    The bias stands in for batch norm: a batch of one image has a single value for each channel
    here, which has no variance to learn from.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1)
        self.act = nn.ReLU(inplace=True)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        pooled = features.mean(dim=(2, 3), keepdim=True)
        return self.act(self.conv(pooled)).expand(-1, -1, *features.shape[2:])


class Context(nn.Module):
    """ASPP, cross-channel learner and full-image extractor, concatenated: the backbone output.

    Args:
        in_channels: channels of the deepest features.
        rates: dilations of the three atrous convolutions. At stride 32 an image of 256x512 is a
            map of 8x16, on which a rate of 18 sees nothing but its own centre; hence 3, 6, 9.
    """

    def __init__(self, in_channels: int, rates: Sequence[int] = (3, 6, 9)) -> None:
        super().__init__()
        self.aspp = nn.ModuleList(separable_conv(in_channels, CHANNELS, rate) for rate in rates)
        self.cross_channel = hidden_conv(in_channels, CHANNELS, 1)
        self.full_image = FullImageExtractor(in_channels, CHANNELS)
        self.out_channels = CHANNELS * (len(rates) + 2)

    def forward(self, deepest: torch.Tensor) -> torch.Tensor:
        """(N, C32, H/32, W/32) to (N, out_channels, H/32, W/32)."""
        parts = [atrous(deepest) for atrous in self.aspp]
        parts += [self.cross_channel(deepest), self.full_image(deepest)]
        return torch.cat(parts, dim=1)
