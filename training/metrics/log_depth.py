"""Errors of the logarithm of depth, which weigh the same at every distance."""

from __future__ import annotations

import torch

LOSS_FLOOR = 0.1  # metres, or pixels of disparity; what is nearer counts as that


def log_errors(depth: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """log depth - log truth, neither below that of ``LOSS_FLOOR``; 0 where truth is unknown."""
    log, log_truth = (d.clamp(min=LOSS_FLOOR).log() for d in (depth, truth.nan_to_num(1, 1, 1)))
    return torch.where(truth.isfinite(), log - log_truth, 0)
