"""The two losses of the paper, eq. 6 and 7, as sums, with what may be added to them.

Sum and count are apart so that a mini-batch which is split, over processes or to save memory,
has exactly the loss of the whole: every part is divided by the count of all of it.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.nn import functional

from sosd_ros.labels import UNLABELLED
from sosd_ros.network import Output

from ..config import Loss
from ..data.loader import Batch
from ..metrics.log_depth import log_errors
from . import soft_losses

_PAPER = Loss()
_LEAST_SPREAD = 0.001
_SCALES = (1, 2, 4, 8)  # pixels between those whose difference is looked at


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

    Answers below ``LOSS_FLOOR`` count as that: they have no logarithm, or one that outweighs all
    else. They get no gradient, which eq. 7 beside it gives them.
    """
    return log_errors(depth, truth).abs().sum()


def squared_depth_sum(depth: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """(depth - truth)^2 summed over the pixels whose truth is finite."""
    return _errors(depth, truth).square().sum()


def scale_invariant_sum(depth: torch.Tensor, truth: torch.Tensor, share: float) -> torch.Tensor:
    """The scale-invariant error of each image (Eigen et al., NIPS 2014, eq. 4), times its pixels.

    The mean squared error of log depth, less ``share`` of what one factor for the image would take
    away of it: at 1 only the shape counts.
    """
    errors = log_errors(depth, truth).flatten(1)
    pixels = truth.isfinite().flatten(1).sum(1).clamp(min=1)
    return (errors.square().sum(1) - share * errors.sum(1).square() / pixels).sum()


def gradient_sum(depth: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """How far differences of log depth between pixels are from the true ones, summed.

    In rows and columns, between pixels 1, 2, 4 and 8 apart, the mean over these (after Li &
    Snavely, MegaDepth, CVPR 2018, eq. 5): edges where the truth has them, and flat where it is.
    """
    errors = log_errors(depth, truth)
    known = truth.isfinite()
    total = errors.new_zeros(())
    for step in _SCALES:
        down = (errors[:, step:] - errors[:, :-step]).abs()
        right = (errors[:, :, step:] - errors[:, :, :-step]).abs()
        total = total + (down * (known[:, step:] & known[:, :-step])).sum()
        total = total + (right * (known[:, :, step:] & known[:, :, :-step])).sum()
    return total / len(_SCALES)


def spread_sum(spread: torch.Tensor, depth: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """The negative log likelihood of the truth, summed, as far as it depends on the spread.

    Log depth has a Laplace distribution of scale ``spread`` about its answer, which learns nothing
    from this: where it errs most it would learn least.
    """
    spread = spread.clamp(min=_LEAST_SPREAD)
    errors = log_errors(depth.detach(), truth).abs()
    return torch.where(truth.isfinite(), errors / spread + spread.log(), 0).sum()


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
    weights: Loss = _PAPER,
) -> dict[str, torch.Tensor]:
    """The loss of every task that ``output`` answers, by the task's name; 0 without any truth.

    Args:
        pixels: what to average over, if ``truth`` is only a part of the mini-batch.
        weights: of what is added to eq. 7, and what photographs teach.
    """
    pixels = pixels or known_pixels(truth)
    result = {}
    if output.depth is not None:
        measured, said = _measured_and_said(truth)
        total = _measured_sum(output, output.depth, measured, weights)
        if said is not None:
            total = total + soft_losses.log_depth_sum(
                output.depth, said, scale_free=weights.scale_free
            )
        result["depth"] = total / pixels["depth"].clamp(min=1)
    if output.logits is not None:
        if truth.soft is None:
            total = semantic_sum(output.logits, truth.labels)
        else:
            total = soft_losses.semantic_sum(output.logits, truth.labels, truth.soft)
        result["semantic"] = total / pixels["semantic"].clamp(min=1)
    return result


def _measured_sum(
    output: Output, depth: torch.Tensor, truth: torch.Tensor, weights: Loss
) -> torch.Tensor:
    """What depth that was measured teaches; what is off costs nothing."""
    total = depth_sum(depth, truth)
    if weights.log_depth:
        total = total + weights.log_depth * log_depth_sum(depth, truth)
    if weights.squared_depth:
        total = total + weights.squared_depth * squared_depth_sum(depth, truth)
    if weights.scale_invariant:
        error = scale_invariant_sum(depth, truth, weights.scale_invariance)
        total = total + weights.scale_invariant * error
    if weights.gradient:
        total = total + weights.gradient * gradient_sum(depth, truth)
    if weights.spread and output.spread is not None:
        total = total + weights.spread * spread_sum(output.spread, depth, truth)
    return total


def _measured_and_said(truth: Batch) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Depth that is true, and depth of photographs; each NaN where the other one is."""
    if truth.photograph is None:
        return truth.depth, None
    photograph = truth.photograph[:, None, None]
    measured = truth.depth.masked_fill(photograph, torch.nan)
    return measured, truth.depth.masked_fill(~photograph, torch.nan)
