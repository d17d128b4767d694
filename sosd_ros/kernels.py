"""What surrounds the network on a CPU, compiled by numba: each frame is gone through once.

Every kernel works on a band of rows, and bands run at the same time on all cores. Flags allow
reordering of sums, but NaN and infinity keep their meaning, as depth has both.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numba
import numba.extending
import numpy as np
from numba.core.caching import FunctionCache

_FLAGS = {"contract", "reassoc", "arcp", "nsz"}


def _compiled(function: Callable) -> Any:
    """A function compiled when it is first called, by several threads at once if need be."""
    compiled: Any = numba.njit(nogil=True, fastmath=_FLAGS, error_model="numpy")(function)
    with contextlib.suppress(RuntimeError):  # no folder for it: compiled once in each process
        compiled._cache = _Kept(function)  # type: ignore[no-untyped-call]
    return compiled


class _Kept(FunctionCache):
    """Compiled code beside its source; where that cannot be read or written, it is not kept.

    A file that was cut short, or a full disk, would else be the end of every call.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)  # type: ignore[no-untyped-call]
        except Exception:
            with contextlib.suppress(Exception):
                # Else no new code would be kept either.
                self.flush()  # type: ignore[no-untyped-call]
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with contextlib.suppress(Exception):
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]


def plain(array: np.ndarray) -> np.ndarray:
    """The array, or a copy of it, as all kernels take theirs: contiguous, aligned and writable.

    For each other layout they would be compiled again, in seconds, when it first comes.
    """
    return np.require(array, requirements=["C", "A", "W"])


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="bands")


def in_bands(rows: int, *calls: tuple[Any, ...]) -> None:
    """Call each ``(kernel, *arguments)`` as ``kernel(first, last, *arguments)`` for all ``rows``.

    Each core takes a band of them, through all calls.
    """
    count = min(len(os.sched_getaffinity(0)), rows)
    edges = [rows * i // count for i in range(count + 1)]
    bands = list(itertools.pairwise(edges))
    others = [_pool().submit(_call_all, *band, calls) for band in bands[1:]]
    _call_all(*bands[0], calls)
    for other in others:
        other.result()


def _call_all(first: int, last: int, calls: Sequence[tuple[Any, ...]]) -> None:
    for kernel, *arguments in calls:
        kernel(first, last, *arguments)


# Reading an image: resize and normalise in one pass.


@cache
def resampling(source: int, target: int) -> tuple[np.ndarray, np.ndarray]:
    """Antialiased bilinear resampling of a line, as ``torch.nn.functional.interpolate`` does it.

    Returns:
        The first source pixel of each target pixel, (target,) int32, and the weights of it and the
        following ones, (taps, target) float32. All taps lie within the source.
    """
    scale = source / target
    support = max(scale, 1.0)  # half the width of the triangle, in source pixels
    centres = (np.arange(target) + 0.5) * scale
    first = np.maximum((centres - support + 0.5).astype(np.int64), 0)
    last = np.minimum((centres + support + 0.5).astype(np.int64), source)
    taps = int((last - first).max())
    start = np.minimum(first, source - taps)  # so that no tap lies outside
    pixels = start + np.arange(taps)[:, None]
    weights = np.maximum(1 - np.abs(pixels + 0.5 - centres) / support, 0)
    weights[(pixels < first) | (pixels >= last)] = 0
    weights /= weights.sum(0)
    return start.astype(np.int32), weights.astype(np.float32)


@_compiled
def prepare(
    first: int,
    last: int,
    image: np.ndarray,
    vertical: tuple[np.ndarray, np.ndarray],
    horizontal: tuple[np.ndarray, np.ndarray],
    shift: np.ndarray,
    scale: np.ndarray,
    out: np.ndarray,
) -> None:
    """Rows ``first`` to ``last`` of the network's input: resized, and ``(pixel - shift) * scale``.

    Args:
        image: (H, 3 W) uint8, RGB interleaved.
        vertical, horizontal: of ``resampling``.
        shift, scale: (3,) float32, for pixel values of 0 to 255.
        out: (3, h, w) float32.
    """
    top, row_weights = vertical
    blended = np.empty(image.shape[1], np.float32)
    for y in range(first, last):
        _blend_rows(image, top[y], row_weights[:, y], blended)
        _blend_columns(blended, horizontal, shift, scale, out[:, y])


@_compiled
def _blend_rows(image: np.ndarray, top: int, weights: np.ndarray, out: np.ndarray) -> None:
    """The weighted sum of rows from ``top`` on; two at a time, to go through ``out`` less often."""
    out[:] = 0
    for tap in range(0, weights.size - 1, 2):
        first, second = weights[tap], weights[tap + 1]
        row, next_row = image[top + tap], image[top + tap + 1]
        for x in range(out.size):
            out[x] += first * np.float32(row[x]) + second * np.float32(next_row[x])
    if weights.size % 2:
        weight, row = weights[-1], image[top + weights.size - 1]
        for x in range(out.size):
            out[x] += weight * np.float32(row[x])


@_compiled
def _blend_columns(
    row: np.ndarray,
    horizontal: tuple[np.ndarray, np.ndarray],
    shift: np.ndarray,
    scale: np.ndarray,
    out: np.ndarray,
) -> None:
    """The weighted sums of a row's neighbouring pixels, normalised; ``out`` is (3, w)."""
    left, weights = horizontal
    for x in range(left.size):
        red = green = blue = np.float32(0)
        for tap in range(weights.shape[0]):
            weight, pixel = weights[tap, x], 3 * (left[x] + tap)
            red += weight * row[pixel]
            green += weight * row[pixel + 1]
            blue += weight * row[pixel + 2]
        out[0, x] = (red - shift[0]) * scale[0]
        out[1, x] = (green - shift[1]) * scale[1]
        out[2, x] = (blue - shift[2]) * scale[2]


# Reading the network's answers at its stride: bilinear interpolation, row by row.


@cache
def neighbours(source: int, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two source pixels of each target pixel, int32, and the weight of the second, float32.

    Pixel edges are aligned, as by ``interpolate(..., align_corners=False)``.
    """
    position = np.maximum((np.arange(target) + 0.5) * (source / target) - 0.5, 0)
    before = position.astype(np.int32)
    after = np.minimum(before + 1, source - 1).astype(np.int32)
    return before, after, (position - before).astype(np.float32)


@_compiled
def _widen(
    row: np.ndarray, columns: tuple[np.ndarray, np.ndarray, np.ndarray], x: int, out: np.ndarray
) -> None:
    """Interpolate ``row`` for the target pixels from ``x`` on, as many as ``out`` has."""
    before, after, weights = columns[0][x:], columns[1][x:], columns[2][x:]
    for i in range(out.size):
        left = row[before[i]]
        out[i] = left + weights[i] * (row[after[i]] - left)


_TILE = 128  # target pixels across: few classes can win in so little, and vectors are still long
# Less than exp(-10) of the best: forty such classes do not move a 255th by half of it.
_NEGLIGIBLE = np.float32(10)
_LEAST_EXPONENT = np.float32(-60)  # far from where float32 ends, at 87 either way
_DRIFT = np.float32(20)  # by which exponents may change until they are computed anew


@_compiled
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
                _widen(above[chosen[i]], columns, x, edges[0, i, : right - x])
                _widen(below[chosen[i]], columns, x, edges[1, i, : right - x])
            reach = y
            for row in range(y, end):
                _best(edges, chosen, winners, weights[row], line, labels[row, x:right])
                if wanted:
                    if row == reach:
                        reach += _begin_odds(edges, count, weights[row], spacing, line, odds)
                    _certainty(odds, count, line, confidence[row, x:right])
        y = end


@_compiled
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


@_compiled
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


@_compiled
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
            start[x] = _exp(max(above[x] + weight * slope - reference[x], _LEAST_EXPONENT))
        for x in range(best.size):
            step = spacing * (below[x] - above[x])
            steepest[x] = max(steepest[x], abs(step))
            growth[x] = _exp(min(step, _DRIFT))
    return max(1, int(_DRIFT / steepest.max()))


@_compiled
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
        share_of_best = min(_exp(best[x] - reference[x]) / total[x], np.float32(1))
        confidence[x] = np.uint8(np.float32(255) * share_of_best + np.float32(0.5))


@_compiled
def _exp(value: float) -> float:
    """exp of a number from -87 to 87, to 3e-7 of itself: far less than a 255th shows.

    Splits exp(v) = 2^n 2^f with |f| <= 1/2, where five terms of the series of 2^f suffice, and
    puts n into a float's exponent; the library's own does not take many numbers at a time.
    """
    power = value * np.float32(1.44269504)
    # Rounds, as the sum is above 0; with 64 bits not as many numbers are taken at a time.
    whole = np.int32(np.int32(power + np.float32(128.5)) - np.int32(128))
    f = power - np.float32(whole)
    series = np.float32(0.00961813) + f * np.float32(0.00133336)
    series = np.float32(0.24022651) + f * (np.float32(0.05550411) + f * series)
    series = np.float32(1) + f * (np.float32(0.69314718) + f * series)
    return series * _power_of_two(whole)


@numba.extending.intrinsic
def _exponent(context: Any, exponent: Any) -> Any:
    """2 to an int32 power within a float32's range, by its bits."""
    from llvmlite import ir

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        biased = builder.add(arguments[0], ir.Constant(ir.IntType(32), 127))
        bits = builder.shl(biased, ir.Constant(ir.IntType(32), 23))
        return builder.bitcast(bits, ir.FloatType())

    return numba.types.float32(numba.types.int32), generate


_power_of_two: Any = _exponent  # which is called without the context


_LAPLACE_DEVIATION = np.float32(math.sqrt(2))  # of a scale of 1


@_compiled
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
            _widen(answer[held], columns, 0, above)
            _widen(answer[after[y]], columns, 0, below)
            if wanted:
                _widen(spread[held], columns, 0, spreads[0])
                _widen(spread[after[y]], columns, 0, spreads[1])
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


@_compiled
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


# A cloud, straight into its message.


@_compiled
def cloud(
    first: int,
    last: int,
    depth: np.ndarray,
    x_over_z: np.ndarray,
    y_over_z: np.ndarray,
    rgb: np.ndarray,
    labels: np.ndarray,
    uncertainty: np.ndarray,
    step: int,
    beyond: float,
    unlabelled: int,
    points: np.ndarray,
    integers: np.ndarray,
) -> None:
    """Rows ``first`` to ``last`` of x, y, z, colour, label and uncertainty.

    Args:
        depth: (H, W) float32 metres; what is not finite becomes a point of NaN.
        x_over_z, y_over_z: (W,) and (H,) float32, the rays.
        rgb: (H, W, 3) uint8.
        labels: (H, W) uint8; without rows: no field of labels.
        uncertainty: (H, W) float32; without rows: no field of uncertainty.
        step: every how many rows and columns of the image there is a point.
        beyond: float32 metres along z that +inf stands for; NaN: none.
        unlabelled: the label of such a point.
        points: (h, w, 4 to 6) float32, written.
        integers: the same memory as uint32.
    """
    labelled, doubtful = labels.shape[0] > 0, uncertainty.shape[0] > 0
    for row in range(first, last):
        y = row * step
        for column in range(points.shape[1]):
            x = column * step
            z = depth[y, x]
            is_beyond = z == np.inf and beyond == beyond  # which NaN is not
            z = beyond if is_beyond else z
            z = z if z - z == 0 else np.float32(np.nan)  # inf - inf is NaN as well
            points[row, column, 0] = z * x_over_z[x]
            points[row, column, 1] = z * y_over_z[y]
            points[row, column, 2] = z
            integers[row, column, 3] = (
                np.uint32(rgb[y, x, 0]) << 16 | np.uint32(rgb[y, x, 1]) << 8 | rgb[y, x, 2]
            )
            if labelled:
                integers[row, column, 4] = unlabelled if is_beyond else labels[y, x]
            if doubtful:
                points[row, column, 4 + labelled] = uncertainty[y, x]
