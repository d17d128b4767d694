"""Answers at the image's size, steadied by those of the image before, which have moved."""

from __future__ import annotations

import numpy as np

from .compiled import compiled
from .interpolation import widen

_UNLABELLED = 255
_CONTRARY = np.float32(0.3)  # what the confidence in another class takes away, as a share of it


@compiled
def multiply(
    first: int,
    last: int,
    gain: np.ndarray,
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
    columns: tuple[np.ndarray, np.ndarray, np.ndarray],
    depth: np.ndarray,
    least: float,
    most: float,
    out: np.ndarray,
) -> None:
    """Rows ``first`` to ``last`` of depth times a gain.

    Args:
        gain: (h, w) float32.
        rows, columns: of ``neighbours``.
        depth: (H, W) float32 metres; NaN and inf stay.
        least, most: metres, between which numbers stay.
        out: (H, W) float32, written.
    """
    before, after, weights = rows
    above, below = np.empty(depth.shape[1], np.float32), np.empty(depth.shape[1], np.float32)
    held = -1
    for y in range(first, last):
        if before[y] != held:
            held = before[y]
            widen(gain[held], columns, 0, above)
            widen(gain[after[y]], columns, 0, below)
        weight, given, row = weights[y], depth[y], out[y]
        for x in range(row.size):
            steady = given[x] * (above[x] + weight * (below[x] - above[x]))
            steady = most if steady > most else steady
            steady = least if steady < least else steady
            row[x] = steady if given[x] < np.inf else given[x]


@compiled
def compare_depth(
    past: np.ndarray,
    depth: np.ndarray,
    tolerance: float,
    trust: np.ndarray,
    change: np.ndarray,
) -> None:
    """How the depth of the past compares with that of now; of a small image, on one core.

    Args:
        past: (h, w) float32 metres, of the surfaces of now; NaN outside the image.
        depth: (h, w) float32 metres.
        tolerance: share of the nearer of both, off by which they are not of one surface.
        trust: (h, w) float32, 0 to 1, reduced where they are off.
        change: (h, w) float32, written: 1 less depth over past; 0 where either is no number.
    """
    for y in range(depth.shape[0]):
        for x in range(depth.shape[1]):
            then, now = past[y, x], depth[y, x]
            off = (then - now) / (tolerance * min(then, now))
            square = off * off
            known = square < np.inf
            trust[y, x] *= max(np.float32(1) - square * square, np.float32(0)) if known else 1
            change[y, x] = np.float32(1) - now / then if known else np.float32(0)


@compiled
def steady_labels(
    first: int,
    last: int,
    cells: np.ndarray,
    edges: np.ndarray,
    columns: np.ndarray,
    rows: np.ndarray,
    weight: np.ndarray,
    past: np.ndarray,
    past_confidence: np.ndarray,
    labels: np.ndarray,
    confidence: np.ndarray,
    out: np.ndarray,
    certainty: np.ndarray,
) -> None:
    """Rows ``first`` to ``last`` of labels, which change when no confidence in them is left.

    The confidence in a label is the weighted mean of what it was and what it is now. If there is
    another label now, some of that one's confidence is taken away instead. So two classes that take
    turns do not flicker, and one that is gone is gone after about three images.

    Args:
        cells: (H,) int32, the row of the small image that each row lies in.
        edges: (w + 1,) int32, the columns between which each column of the small image lies.
        columns, rows: (h, w) float32, where pixels of the small image were before.
        weight: (h, w) float32, of the past, 0 to 1; 0 where it was outside the image.
        past, past_confidence: (H, W) uint8, class ids of the image before and the confidence in
            them; 255 is unlabelled, and counts for nothing.
        labels, confidence: (H, W) uint8, of this image; 255 stays.
        out, certainty: (H, W) uint8, written: labels, and the confidence in them.
    """
    width = labels.shape[1]
    past, past_confidence = past.ravel(), past_confidence.ravel()
    before, had = np.empty(width, np.uint8), np.empty(width, np.uint8)
    share, ends = np.empty(width, np.float32), np.empty(weight.shape[1], np.int64)
    steps = np.empty_like(ends)
    top = first
    while top < last:
        cell, below = cells[top], top + 1
        while below < last and cells[below] == cell:
            below += 1
        for i in range(weight.shape[1]):
            share[edges[i] : edges[i + 1]] = weight[cell, i]
        count = _moved_runs(top, below, cell, edges, columns, rows, labels.shape, ends, steps)
        for y in range(top, below):
            start = 0
            for i in range(count):
                end, there = ends[i], y * width + steps[i]
                _copy(past[there + start : there + end], before[start:end])
                _copy(past_confidence[there + start : there + end], had[start:end])
                start = end
            _decide(before, had, share, labels[y], confidence[y], out[y], certainty[y])
        top = below


@compiled
def _moved_runs(
    top: int,
    below: int,
    cell: int,
    edges: np.ndarray,
    columns: np.ndarray,
    rows: np.ndarray,
    size: tuple[int, int],
    ends: np.ndarray,
    steps: np.ndarray,
) -> int:
    """Pixels of one row of cells that have moved alike: how many runs, their ends, and how far.

    How far is counted along the image's pixels, row after row, and stays within them from row
    ``top`` to ``below``: where that changes it, the past has no weight.
    """
    height, width = size
    least, most = -top * width, (height - below) * width
    down, across = height / columns.shape[0], width / columns.shape[1]
    count = 0
    for i in range(columns.shape[1]):
        right = round(across * (columns[cell, i] - i))
        step = min(max(right + width * round(down * (rows[cell, i] - cell)), least), most)
        if count == 0 or step != steps[count - 1]:
            count += 1
        ends[count - 1], steps[count - 1] = edges[i + 1], step
    return count


@compiled
def _copy(of: np.ndarray, to: np.ndarray) -> None:
    """Quicker for a few pixels than numpy's way."""
    for i in range(to.size):
        to[i] = of[i]


@compiled
def _decide(
    before: np.ndarray,
    had: np.ndarray,
    share: np.ndarray,
    labels: np.ndarray,
    confidence: np.ndarray,
    out: np.ndarray,
    certainty: np.ndarray,
) -> None:
    """One row: labels before and the confidence in them, against those of now."""
    for x in range(labels.size):
        now, was, sure = labels[x], before[x], np.float32(confidence[x])
        news = (np.float32(1) - share[x]) * sure
        rest = share[x] * np.float32(had[x]) + (news if now == was else -_CONTRARY * news)
        is_kept = (rest > 0) & (now != _UNLABELLED) & (was != _UNLABELLED)
        out[x] = was if is_kept else now
        certainty[x] = np.uint8((rest if is_kept else sure) + np.float32(0.5))
