"""How far a number of a set of images would differ on other such images: the bootstrap."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np

from ..metrics import Measure, Values

RESAMPLES = 1000
LEVEL = 0.95
# By measure and metric: (2, ...), the lower and the upper end.
Intervals = dict[str, dict[str, np.ndarray]]


def draws(images: int, seed: int = 0) -> np.ndarray:
    """How often each image is in each resample, (resamples, images): as many as there are, drawn
    with replacement. The same numbers for the same seed.
    """
    even = np.full(images, 1 / images)
    return np.random.default_rng(seed).multinomial(images, even, RESAMPLES).astype(np.float64)


def intervals(measures: Mapping[str, Measure]) -> Intervals:
    """The percentile interval of every metric; NaN of one that is NaN in all resamples."""
    if not measures:
        return {}
    drawn = draws(_images(measures))
    return {name: _interval(measure.resampled(drawn)) for name, measure in measures.items()}


def paired(one: Mapping[str, Measure], other: Mapping[str, Measure]) -> Intervals:
    """Those of the differences, one's metrics less the other's, of the measures that both have.

    Both are of the same images in the same order, and every resample is of both.
    """
    common = [name for name in one if name in other]
    if not common:
        return {}
    drawn = draws(_images(one))
    found = {}
    for name in common:
        ours, theirs = one[name].resampled(drawn), other[name].resampled(drawn)
        found[name] = _interval({metric: ours[metric] - theirs[metric] for metric in ours})
    return found


def _images(measures: Mapping[str, Measure]) -> int:
    return len(next(iter(measures.values())).rows)


def _interval(values: Values) -> dict[str, np.ndarray]:
    tails = 50 * (1 - LEVEL), 50 * (1 + LEVEL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of what is NaN in all resamples
        return {name: np.nanpercentile(value, tails, axis=0) for name, value in values.items()}
