"""Losses against what teachers say, as sums like those of ``losses``."""

from __future__ import annotations

import torch

from sosd_ros.labels import UNLABELLED

from ..metrics.log_depth import log_errors


def semantic_sum(logits: torch.Tensor, labels: torch.Tensor, soft: torch.Tensor) -> torch.Tensor:
    """Cross-entropy against a distribution over three classes, summed over the labelled pixels.

    Args:
        logits: (N, classes, H, W).
        labels: (N, H, W) uint8, 255 unlabelled.
        soft: (N, H, W, 4) uint8: two more classes and their probabilities in 1/255; what is left
            is the label's.
    """
    known = labels != UNLABELLED
    others = soft[..., 2:].permute(0, 3, 1, 2).to(logits.dtype) / 255
    shares = torch.cat([1 - others.sum(1, keepdim=True), others], 1)
    first = torch.where(known, labels, 0)[:, None]
    classes = torch.cat([first, soft[..., :2].permute(0, 3, 1, 2)], 1)
    entropy = -(shares * logits.log_softmax(1).gather(1, classes.long())).sum(1)
    return torch.where(known, entropy, 0).sum()


def log_depth_sum(
    depth: torch.Tensor, truth: torch.Tensor, *, scale_free: bool = True
) -> torch.Tensor:
    """|log depth - log truth| summed over the pixels whose truth is finite.

    Args:
        depth, truth: (N, H, W) in metres, truth NaN where unknown.
        scale_free: an image's depth may be wrong by a factor: the one that makes the sum least, by
            the median, costs nothing.
    """
    known, error = truth.isfinite(), log_errors(depth, truth)
    if scale_free:
        unknown = error.detach().masked_fill(~known, torch.nan)
        factors = unknown.flatten(1).nanmedian(1).values.nan_to_num()
        error = error - factors[:, None, None]
    return torch.where(known, error, 0).abs().sum()
