"""Answers at stride 4 instead of 8: learned convex upsampling, with finer features to go by.

Each fine value is a mean of the nine coarse ones around it, with learned weights that add up to 1
(Teed & Deng, RAFT, ECCV 2020). So an edge can lie where the image has one, and need not be a slope
from an object to the wall behind it.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from .layers import hidden_conv

DETAIL_STRIDE = 4
FACTOR = 2  # from stride 8 to stride 4
DETAIL_CHANNELS = 32
_HIDDEN = 48
# What bilinear upsampling by 2 weighs the coarse values before, at and behind a fine one with, for
# the first and the second of two fine ones.
_BILINEAR = torch.tensor([[0.25, 0.75, 0.0], [0.0, 0.75, 0.25]])


class Detail(nn.Module):
    """Conv 32, 3*3 over the features at stride 4, its 2x2 neighbours folded into channels."""

    out_channels = DETAIL_CHANNELS * FACTOR**2

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.conv = hidden_conv(in_channels, DETAIL_CHANNELS, 3)

    def forward(self, fine: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """(N, C4, H/4, W/4) to (N, 128, *size), ``size`` being that of the maps at stride 8."""
        detail = self.conv(fine)
        # An image whose sides are no multiples of 8 has one row or column too few or too many.
        rows, columns = FACTOR * size[0], FACTOR * size[1]
        missing = (0, max(0, columns - detail.shape[-1]), 0, max(0, rows - detail.shape[-2]))
        if any(missing):
            detail = functional.pad(detail, missing, mode="replicate")
        return functional.pixel_unshuffle(detail[..., :rows, :columns], FACTOR)


class ConvexUpsampling(nn.Module):
    """concat(feature, detail) -> Conv 48, 1*1 -> Conv 9 * 4, 3*3: the weights of the means.

    It starts as bilinear upsampling, whatever the features are.

    Args:
        in_channels: of the feature that the coarse answer was made of.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.mix = hidden_conv(in_channels + Detail.out_channels, _HIDDEN, 1)
        self.weigh = nn.Conv2d(_HIDDEN, 9 * FACTOR**2, 3, padding=1)
        bilinear = torch.einsum("ay,bx->yxab", _BILINEAR, _BILINEAR)  # 3x3 coarse, 2x2 fine
        with torch.no_grad():
            self.weigh.weight.zero_()
            self.weigh.bias.copy_((bilinear.flatten() + 1e-3).log())  # type: ignore[union-attr]

    def forward(
        self, coarse: torch.Tensor, feature: torch.Tensor, detail: torch.Tensor
    ) -> torch.Tensor:
        """Coarse answers (N, C, h, w) and what they were made of to (N, C, 2h, 2w), in float32."""
        height, width = coarse.shape[-2:]
        scores = self.weigh(self.mix(torch.cat([feature, detail], dim=1))).float()
        weights = scores.unflatten(1, (9, FACTOR**2)).softmax(dim=1)
        padded = functional.pad(coarse.float(), (1, 1, 1, 1), mode="replicate")
        fine: torch.Tensor | float = 0.0
        for place in range(9):
            top, left = divmod(place, 3)
            neighbour = padded[:, :, None, top : top + height, left : left + width]
            fine = fine + weights[:, place, None] * neighbour  # (N, C, 4, h, w)
        return functional.pixel_shuffle(fine.flatten(1, 2), FACTOR)  # type: ignore[union-attr]
