"""The best class of each pixel, and how sure that is."""

from __future__ import annotations

import numpy as np

from .compiled import compiled
from .exponential import exp
from .interpolation import widen

_TILE = 128  # target pixels across: few classes can win in so little, and vectors are still long
# Less than exp(-10) of the best: forty such classes do not move a 255th by half of it.
_NEGLIGIBLE = np.float32(10)
_LEAST_EXPONENT = np.float32(-60)  # far from where float32 ends, at 87 either way
_DRIFT = np.float32(20)  # by which exponents may change until they are computed anew


@compiled
def classify(
    first: int,
    last: int,
    scores: np.ndarray,
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
    columns: tuple[np.ndarray, np.ndarray, np.ndarray],
    labels: np.ndarray,
    confidence: np.ndarray,
) -> None:
    """Rows ``first`` to ``last`` of the best class and its probability.

    Goes through tiles that lie between two rows of scores. Class scores are interpolated there
    for those classes alone that can matter, and only along the two rows' edges are they held.

    Args:
        scores: (C, h, w) float32 logits.
        rows, columns: of ``neighbours``.
        labels: (H, W) uint8, written.
        confidence: (H, W) uint8, written: softmax probability, 255 for certainty. An array of no
            rows means that it is not wanted, which saves most of the time.
    """
    before, after, weights = rows
    classes, width, wanted = scores.shape[0], labels.shape[1], confidence.shape[0] > 0
    margin = _NEGLIGIBLE if wanted else np.float32(0)
    spacing = np.float32(scores.shape[1] / labels.shape[0])  # of weights, from row to row
    chosen = np.empty(classes, np.int32)
    edges = np.zeros((2, classes, _TILE), np.float32)
    odds = np.zeros((2, classes, _TILE), np.float32)
    line = np.empty((4, _TILE), np.float32)
    y = first
    while y < last:
        end = y + 1
        while end < last and before[end] == before[y]:
            if abs(weights[end] - weights[end - 1] - spacing) > 1e-4:
                break  # at the first row's centre, above which weights are 0
            end += 1
        above, below = scores[:, before[y]], scores[:, after[y]]
        for x in range(0, width, _TILE):
            right = min(x + _TILE, width)
            cells = (columns[0][x], columns[1][right - 1])
            winners, count = _contenders(above, below, cells, margin, chosen)
            for i in range(count):
                widen(above[chosen[i]], columns, x, edges[0, i, : right - x])
                widen(below[chosen[i]], columns, x, edges[1, i, : right - x])
            reach = y
            for row in range(y, end):
                _best(edges, chosen, winners, weights[row], line, labels[row, x:right])
                if wanted:
                    if row == reach:
                        reach += _begin_odds(edges, count, weights[row], spacing, line, odds)
                    _certainty(odds, count, line, confidence[row, x:right])
        y = end


@compiled
def _contenders(
    above: np.ndarray,
    below: np.ndarray,
    cells: tuple[int, int],
    margin: float,
    chosen: np.ndarray,
) -> tuple[int, int]:
    """Find the classes that come within ``margin`` of the best one somewhere in a tile.

    Interpolation never leaves the range of a cell's four corners: what is below another class's
    least corner with its greatest has lost in that cell.

    Args:
        above, below: (C, w) float32 scores along the tile's edges.
        cells: the first and the last column of it.
        chosen: (C,) int32, written: the classes that may be the best, in order, then the others.

    Returns:
        How many may be the best, and how many there are in all.
    """
    classes = above.shape[0]
    distance = np.full(classes, np.inf, np.float32)  # from being the best
    for cell in range(cells[0], max(cells[1], cells[0] + 1)):
        other = min(cell + 1, cells[1])
        sure = np.float32(-np.inf)
        for c in range(classes):
            least = min(min(above[c, cell], above[c, other]), min(below[c, cell], below[c, other]))
            sure = max(sure, least)
        for c in range(classes):
            most = max(max(above[c, cell], above[c, other]), max(below[c, cell], below[c, other]))
            distance[c] = min(distance[c], sure - most)
    count = 0
    for c in range(classes):
        if distance[c] <= 0:
            chosen[count] = c
            count += 1
    winners = count
    for c in range(classes):
        if 0 < distance[c] <= margin:
            chosen[count] = c
            count += 1
    return winners, count


@compiled
def _best(
    edges: np.ndarray,
    classes: np.ndarray,
    count: int,
    weight: float,
    line: np.ndarray,
    labels: np.ndarray,
) -> None:
    """One line of a tile: the best of the ``count`` classes whose scores are on its edges.

    Args:
        edges: (2, C, tile) float32, above and below.
        line: (2, tile) float32, written: the best score, and room.
        labels: (W,) uint8, written.
    """
    best, winner = line[0], line[1]
    best[:] = -np.inf
    winner[:] = 0
    for i in range(count):
        above, below, name = edges[0, i], edges[1, i], np.float32(classes[i])
        for x in range(best.size):
            score = above[x] + weight * (below[x] - above[x])
            is_better = score > best[x]
            best[x] = score if is_better else best[x]
            winner[x] = name if is_better else winner[x]
    for x in range(labels.size):
        labels[x] = np.uint8(winner[x])


@compiled
def _begin_odds(
    edges: np.ndarray,
    count: int,
    weight: float,
    spacing: float,
    line: np.ndarray,
    odds: np.ndarray,
) -> int:
    """Of a tile's classes, exp(score - best score) at a line, and what it grows by from there.

    Scores are linear between the edges, so that their exponentials are geometric series, and need
    not be computed for each line.

    Args:
        edges: (2, C, tile) float32, above and below.
        weight: of the lower edge, at this line.
        spacing: of the weights of two lines.
        line: (4, tile) float32: the best scores; written: room, the reference of the exponentials.
        odds: (2, C, tile) float32, written: the exponentials, and their growth from line to line.

    Returns:
        For how many lines the series keep within the range of float32.
    """
    best, reference, steepest = line[0], line[2], line[3]
    for x in range(best.size):  # to compile `reference[:] = best` would take a second
        reference[x] = best[x]
        steepest[x] = np.float32(0.1)
    for i in range(count):
        above, below, start, growth = edges[0, i], edges[1, i], odds[0, i], odds[1, i]
        for x in range(best.size):
            slope = below[x] - above[x]
            start[x] = exp(max(above[x] + weight * slope - reference[x], _LEAST_EXPONENT))
        for x in range(best.size):
            step = spacing * (below[x] - above[x])
            steepest[x] = max(steepest[x], abs(step))
            growth[x] = exp(min(step, _DRIFT))
    return max(1, int(_DRIFT / steepest.max()))


@compiled
def _certainty(odds: np.ndarray, count: int, line: np.ndarray, confidence: np.ndarray) -> None:
    """One line of a tile: the probability of the best class; then ``odds`` are the next line's."""
    best, reference, total = line[0], line[2], line[3]
    total[:] = 0
    for i in range(count):
        share, growth = odds[0, i], odds[1, i]
        for x in range(total.size):
            total[x] += share[x]
            share[x] *= growth[x]
    for x in range(confidence.size):
        # Rounding may give a little more than 1, of which a byte would make 0.
        share_of_best = min(exp(best[x] - reference[x]) / total[x], np.float32(1))
        confidence[x] = np.uint8(np.float32(255) * share_of_best + np.float32(0.5))
