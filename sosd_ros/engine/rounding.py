"""Depthwise filters in bfloat16, which keep their sums.

A depthwise filter has so few weights that their rounding errors do not cancel: its channel is off
by the same share at all positions, and every layer behind adds to it. That is most of what bfloat16
costs the shipped network.
"""

from __future__ import annotations

import torch


def keep_sums(filters: torch.Tensor) -> torch.Tensor:
    """Round each of (N, ...) float32 filters to numbers that bfloat16 holds, keeping its sum.

    The weights of a filter are rounded one after the other, the largest first, and each makes up
    for the errors before it. What is left is the error of the last, as a rule by far the smallest.
    """
    order = filters.flatten(1).abs().argsort(dim=1, descending=True)
    weights = filters.flatten(1).gather(1, order)
    error = torch.zeros(len(weights))
    for column in weights.T:
        wanted = column + error
        rounded = wanted.bfloat16().float()
        error = wanted - rounded
        column.copy_(rounded)
    return torch.empty_like(weights).scatter(1, order, weights).view_as(filters)
