"""Bilinear interpolation of the network's answers, from their stride to the image's size."""

from __future__ import annotations

from functools import cache

import numpy as np

from .compiled import compiled


@cache
def neighbours(source: int, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two source pixels of each target pixel, int32, and the weight of the second, float32.

    Pixel edges are aligned, as by ``interpolate(..., align_corners=False)``.
    """
    position = np.maximum((np.arange(target) + 0.5) * (source / target) - 0.5, 0)
    before = position.astype(np.int32)
    after = np.minimum(before + 1, source - 1).astype(np.int32)
    return before, after, (position - before).astype(np.float32)


@compiled
def widen(
    row: np.ndarray, columns: tuple[np.ndarray, np.ndarray, np.ndarray], x: int, out: np.ndarray
) -> None:
    """Interpolate ``row`` for the target pixels from ``x`` on, as many as ``out`` has."""
    before, after, weights = columns[0][x:], columns[1][x:], columns[2][x:]
    for i in range(out.size):
        left = row[before[i]]
        out[i] = left + weights[i] * (row[after[i]] - left)
