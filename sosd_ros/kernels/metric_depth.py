"""Depth in metres, and how unsure it is."""

from __future__ import annotations

import math

import numpy as np

from .compiled import compiled
from .interpolation import widen

_LAPLACE_DEVIATION = np.float32(math.sqrt(2))  # of a scale of 1


@compiled
def metres(
    first: int,
    last: int,
    answer: np.ndarray,
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
    columns: tuple[np.ndarray, np.ndarray, np.ndarray],
    is_disparity: bool,
    factor: float,
    least: float,
    most: float,
    certain: float,
    out: np.ndarray,
    spread: np.ndarray,
    uncertainty: np.ndarray,
) -> None:
    """Rows ``first`` to ``last`` of metric depth, and of its standard deviation if it is wanted.

    Args:
        answer: (h, w) float32, the network's.
        rows, columns: of ``neighbours``.
        is_disparity: whether metres are ``factor`` over the answer, and not times it.
        factor: metres for an answer of 1.
        least, most: metres; nearer becomes NaN, farther +inf.
        certain: share of the depth; where one standard deviation is more, it becomes NaN.
        out: (H, W) float32, written.
        spread: (h, w) float32, the scale of a Laplace distribution over the answer's logarithm.
        uncertainty: (H, W) float32, written: metres, NaN where depth is NaN or infinite. An array
            of no rows means that it is not wanted.
    """
    before, after, weights = rows
    width, wanted = out.shape[1], uncertainty.shape[0] > 0
    above = np.empty(width, np.float32)
    below = np.empty(width, np.float32)
    spreads = np.empty((2, width if wanted else 0), np.float32)
    held = -1
    for y in range(first, last):
        if before[y] != held:
            held = before[y]
            widen(answer[held], columns, 0, above)
            widen(answer[after[y]], columns, 0, below)
            if wanted:
                widen(spread[held], columns, 0, spreads[0])
                widen(spread[after[y]], columns, 0, spreads[1])
        weight, row = weights[y], out[y]
        for x in range(width):
            value = above[x] + weight * (below[x] - above[x])
            depth = factor * value
            if is_disparity:
                depth = factor / (np.float32(0) if value < 0 else value)
            depth = np.float32(np.inf) if depth > most else depth
            row[x] = depth if depth >= least else np.float32(np.nan)
        if wanted:
            _doubt(spreads, weight, certain, row, uncertainty[y])


@compiled
def _doubt(
    spreads: np.ndarray, weight: float, certain: float, row: np.ndarray, uncertainty: np.ndarray
) -> None:
    """One row of standard deviations; depth that is not ``certain`` becomes NaN."""
    above, below = spreads[0], spreads[1]
    for x in range(row.size):
        share = _LAPLACE_DEVIATION * (above[x] + weight * (below[x] - above[x]))
        depth = np.float32(np.nan) if share > certain else row[x]
        row[x] = depth
        uncertainty[x] = share * depth if depth < np.inf else np.float32(np.nan)
