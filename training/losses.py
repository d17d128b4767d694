"""The two losses of the paper, eq. 6 and 7, as sums; and how many pixels they are averaged over.

Sum and count are apart so that a mini-batch which is split, over processes or to save memory,
has exactly the loss of the whole: every part is divided by the count of all of it.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.nn import functional

from sosd_ros.labels import UNLABELLED
from sosd_ros.network import Output

from . import soft
from .data.loader import Batch

LEAST = 0.1  # metres, or pixels of disparity


def semantic_sum(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Eq. 6 before its division: cross-entropy summed over the labelled pixels.

    Args:
        logits: (N, classes, H, W).
        labels: (N, H, W) uint8, 255 unlabelled.
    """
    return functional.cross_entropy(logits, labels.long(), ignore_index=UNLABELLED, reduction="sum")


def depth_sum(depth: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Eq. 7 before its division: L1 summed over the pixels whose truth is finite.

    Args:
        depth, truth: (N, H, W) in the same unit, truth NaN where unknown.
    """
    return _errors(depth, truth).abs().sum()


def log_depth_sum(depth: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """|log depth - log truth| summed over the pixels whose truth is finite.

    Answers below ``LEAST`` count as that: they have no logarithm, or one that outweighs all else.
    They get no gradient, which eq. 7 beside it gives them.
    """
    known = truth.isfinite()
    error = depth.clamp(min=LEAST).log() - truth.nan_to_num(1, 1, 1).clamp(min=LEAST).log()
    return torch.where(known, error, 0).abs().sum()


def squared_depth_sum(depth: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """(depth - truth)^2 summed over the pixels whose truth is finite."""
    return _errors(depth, truth).square().sum()


def _errors(depth: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """depth - truth, and 0 where the truth is not finite."""
    return torch.where(truth.isfinite(), depth - truth.nan_to_num(0, 0, 0), 0)


def known_pixels(truth: Batch) -> dict[str, torch.Tensor]:
    """How many pixels have a truth, by task: scalars."""
    return {
        "depth": truth.depth.isfinite().sum(),
        "semantic": (truth.labels != UNLABELLED).sum(),
    }


def losses(
    output: Output,
    truth: Batch,
    pixels: Mapping[str, torch.Tensor] | None = None,
    *,
    log_depth: float = 0.0,
    squared_depth: float = 0.0,
    scale_free: bool = True,
) -> dict[str, torch.Tensor]:
    """The loss of every task that ``output`` answers, by the task's name; 0 without any truth.

    Args:
        pixels: what to average over, if ``truth`` is only a part of the mini-batch.
        log_depth: weight of ``log_depth_sum`` beside eq. 7.
        squared_depth: weight of ``squared_depth_sum`` beside it.
        scale_free: depth of photographs counts up to one factor an image.
    """
    pixels = pixels or known_pixels(truth)
    result = {}
    if output.depth is not None:
        measured, said = _measured_and_said(truth)
        total = depth_sum(output.depth, measured)
        if log_depth:
            total = total + log_depth * log_depth_sum(output.depth, measured)
        if squared_depth:
            total = total + squared_depth * squared_depth_sum(output.depth, measured)
        if said is not None:
            total = total + soft.log_depth_sum(output.depth, said, scale_free=scale_free)
        result["depth"] = total / pixels["depth"].clamp(min=1)
    if output.logits is not None:
        if truth.soft is None:
            total = semantic_sum(output.logits, truth.labels)
        else:
            total = soft.semantic_sum(output.logits, truth.labels, truth.soft)
        result["semantic"] = total / pixels["semantic"].clamp(min=1)
    return result


def _measured_and_said(truth: Batch) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Depth that is true, and depth of photographs; each NaN where the other one is."""
    if truth.photograph is None:
        return truth.depth, None
    photograph = truth.photograph[:, None, None]
    measured = truth.depth.masked_fill(photograph, torch.nan)
    return measured, truth.depth.masked_fill(~photograph, torch.nan)
