"""From the network's answers at its stride to metres and labels at the image's size, in torch.

``metres`` and ``classify`` answer what the kernels of these names do.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch.nn import functional

from ..kernels import neighbours
from ..network import LAPLACE_DEVIATION, upsample

# Numbers that are held at full size at a time: a CPU's cache has room for few, a GPU likes many.
_PIECE = {"cpu": 2**19, "cuda": 2**25}


def metres(
    answer: torch.Tensor,
    spread: torch.Tensor | None,
    size: tuple[int, int],
    is_disparity: bool,
    factors: torch.Tensor,
    depth_range: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Metric depth, and one standard deviation of it.

    To first order, a change of log depth is the same share of depth; sqrt(2) times its scale is
    the standard deviation of a Laplace distribution.

    Args:
        answer: (N, h, w) float32, the network's.
        spread: (N, h, w) float32, the scale of a Laplace distribution over log depth; ``None`` if
            the second answer is not wanted.
        size: (height, width) of the answers.
        is_disparity: whether metres are ``factors`` over the answer, and not times it.
        factors: (N,) float32, metres for an answer of 1 by image.
        depth_range: (3,) float32, a ``Range``.

    Returns:
        (N, height, width) float32 metres, and their standard deviation in metres, NaN where depth
        is NaN or infinite, or ``None``.
    """
    least, most, certain = depth_range
    full, factors = upsample(answer[:, None], size)[:, 0], factors[:, None, None]
    depth = factors / full.clamp(min=0) if is_disparity else factors * full
    depth = torch.where(depth > most, torch.inf, depth)
    depth = torch.where(depth >= least, depth, torch.nan)
    if spread is None:
        return depth, None
    share = LAPLACE_DEVIATION * upsample(spread[:, None], size)[:, 0]
    depth = torch.where(share > certain, torch.nan, depth)
    return depth, torch.where(depth < torch.inf, share * depth, torch.nan)


Rows = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def rows_on(device: torch.device, source: int, target: int) -> Rows:
    """``neighbours`` of rows as a device indexes them: int64, int64, and (target, 1) weights."""
    before, after, weights = map(torch.from_numpy, neighbours(source, target))
    return before.long().to(device), after.long().to(device), weights[:, None].to(device)


Fused = Callable[[torch.Tensor, tuple[int, int], bool], tuple[torch.Tensor, torch.Tensor | None]]


@cache
def _fused(device: torch.device) -> Fused | None:
    """``classify`` as one kernel, on a GPU on which Triton works: it needs a C compiler as well."""
    if device.type != "cuda":
        return None
    try:
        from .fused import classify as fused

        fused(torch.zeros(1, 1, 1, 1, device=device), (1, 1), True)
    except Exception:  # of Triton, of what it compiles with, or because it is not there
        return None
    return fused


def classify(
    scores: torch.Tensor, rows: Rows, width: int, with_probability: bool
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The best class of each pixel, as of bilinearly upsampled scores.

    All of these would take 49 MB for 40 classes and 640x480, and are never there together: by a
    kernel they are never written, and without it rows are upsampled and reduced in pieces.

    Args:
        scores: (N, C, h, w) float32 logits.
        rows: of ``rows_on``, from h to the height of the answers.
        width: of the answers.
        with_probability: whether the second answer is wanted.

    Returns:
        (N, height, width) uint8 classes, and the float32 softmax probability of these, or ``None``.
    """
    above, below, weight = rows
    height, (count, classes) = len(above), scores.shape[:2]
    if fused := _fused(scores.device):
        return fused(scores, (height, width), with_probability)
    # Bilinear interpolation is separable: along the rows first.
    wide = functional.interpolate(scores, size=(scores.shape[2], width), mode="bilinear")
    labels = scores.new_empty((count, height, width), dtype=torch.uint8)
    probability = scores.new_empty((count, height, width)) if with_probability else None
    step = max(1, _PIECE[scores.device.type] // (count * classes * width))
    for start in range(0, height, step):
        piece = slice(start, start + step)
        full = torch.lerp(wide[:, :, above[piece]], wide[:, :, below[piece]], weight[piece])
        best, labels[:, piece] = full.max(1)
        if probability is not None:
            probability[:, piece] = 1 / full.sub_(best[:, None]).exp_().sum(1)
    return labels, probability
