"""Errors of the logarithm of depth, which weigh the same at every distance."""

from __future__ import annotations

import torch

LEAST = 0.1  # metres, or pixels of disparity; what is nearer counts as that


def log_errors(depth: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """log depth - log truth, neither below that of ``LEAST``, and 0 where the truth is unknown."""
    error = depth.clamp(min=LEAST).log() - truth.nan_to_num(1, 1, 1).clamp(min=LEAST).log()
    return torch.where(truth.isfinite(), error, 0)
