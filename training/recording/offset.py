"""How much later one camera's stamps are than another's, by what both see move."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import signal

MOST = 0.5  # seconds of offset that are looked for
ALIKE = 0.4  # least correlation of both motions that tells anything
SURE = 0.02  # seconds between parts of the recording, above which nothing is told

_RATE = 200.0  # per second, at which both are compared
_PARTS = 4  # of the recording, which should agree
_SHORTEST = 4.0  # seconds of a part


class Motion(NamedTuple):
    """How much the picture changes.

    Attributes:
        times: (N,) float64 seconds, increasing.
        amounts: (N,) float64, of the change between the frames before and after each time.
    """

    times: np.ndarray
    amounts: np.ndarray


class Offset(NamedTuple):
    """What came out.

    Attributes:
        seconds: by which the second camera's stamps are later for the same moment.
        spread: of the parts of the recording, seconds.
        correlation: of both motions once the offset is taken out.
    """

    seconds: float
    spread: float
    correlation: float


class Meter:
    """Measures the motion in small pictures that come one after the other."""

    def __init__(self) -> None:
        self._last: tuple[int, np.ndarray] | None = None
        self._times: list[float] = []
        self._amounts: list[float] = []

    def add(self, stamp: int, picture: np.ndarray) -> None:
        """The next one, (h, w) float, NaN where unknown; ``stamp`` in nanoseconds."""
        if self._last is not None and (elapsed := stamp - self._last[0]) > 0:
            change = np.abs(picture - self._last[1])
            if np.isfinite(change).any():
                self._times.append(stamp / 1e9 - elapsed / 2e9)
                self._amounts.append(float(np.nanmean(change)) / (elapsed / 1e9))
        self._last = stamp, picture

    def motion(self) -> Motion:
        return Motion(np.array(self._times), np.array(self._amounts))


def offset(one: Motion, other: Motion) -> Offset | None:
    """By how much the stamps of ``other`` are late, or ``None`` if the motions do not tell.

    Both motions are compared in parts of the recording, each shifted to where they are most alike;
    the median counts. A camera that hardly moves, or two that see different things, tell nothing.
    """
    if min(len(one.times), len(other.times)) < 2:
        return None
    start, end = max(one.times[0], other.times[0]), min(one.times[-1], other.times[-1])
    parts = int(min(_PARTS, (end - start) // _SHORTEST))
    if parts < 1:
        return None
    edges = np.linspace(start, end, parts + 1)
    found = [_of_part(one, other, *edges[i : i + 2]) for i in range(parts)]
    shifts, likeness = np.array(found).T
    told = shifts[likeness >= ALIKE]
    if 2 * len(told) < parts or np.abs(np.median(told)) > MOST - 1 / _RATE:
        return None
    spread = float(np.median(np.abs(told - np.median(told)))) * 1.48
    if spread > SURE:
        return None
    return Offset(float(np.median(told)), spread, float(np.median(likeness[likeness >= ALIKE])))


def _of_part(one: Motion, other: Motion, start: float, end: float) -> tuple[float, float]:
    """The shift in seconds at which two motions correlate most, and how much."""
    grid = np.arange(start, end, 1 / _RATE)
    a, b = _even(one, grid), _even(other, grid)
    lags = signal.correlation_lags(len(b), len(a))
    overlap = np.minimum(len(a), len(a) - np.abs(lags))
    products = signal.correlate(b, a) / np.maximum(overlap, 1)
    inside = np.abs(lags) <= MOST * _RATE
    lags, products = lags[inside], products[inside]
    best = int(products.argmax())
    shift = float(lags[best])
    if 0 < best < len(lags) - 1:  # between the steps: the top of a parabola
        before, top, after = products[best - 1 : best + 2]
        bend = before - 2 * top + after
        shift += 0.5 * (before - after) / bend if bend < 0 else 0.0
    return shift / _RATE, float(products[best])


def _even(motion: Motion, grid: np.ndarray) -> np.ndarray:
    """A motion at even times, of mean 0 and deviation 1; its logarithm, as spikes tell little."""
    amounts = np.log(motion.amounts + 0.1 * np.median(motion.amounts) + 1e-9)
    even = np.interp(grid, motion.times, amounts)
    even -= even.mean()
    return even / max(float(even.std()), 1e-9)
