"""How far a number of a set of images would differ on other such images: the bootstrap."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

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


def paired(pairs: Sequence[tuple[Mapping[str, Measure], Mapping[str, Measure]]]) -> Intervals:
    """Those of the differences, one's metrics less the other's, of the measures that all have.

    All are of the same images in the same order, and every resample is of all.

    Args:
        pairs: of one and the other; of several pairs, it is the mean difference.
    """
    common = [name for name in pairs[0][0] if all(name in one for pair in pairs for one in pair)]
    if not common:
        return {}
    drawn = draws(_images(pairs[0][0]))
    found = {}
    for name in common:
        sides = [[one[name].resampled(drawn) for one in side] for side in zip(*pairs, strict=True)]
        ours, theirs = (_mean(side) for side in sides)
        found[name] = _interval({metric: ours[metric] - theirs[metric] for metric in ours})
    return found


def _mean(values: Sequence[Values]) -> Values:
    return {metric: np.mean([one[metric] for one in values], axis=0) for metric in values[0]}


def _images(measures: Mapping[str, Measure]) -> int:
    return len(next(iter(measures.values())).rows)


def _interval(values: Values) -> dict[str, np.ndarray]:
    tails = 50 * (1 - LEVEL), 50 * (1 + LEVEL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of what is NaN in all resamples
        return {name: np.nanpercentile(value, tails, axis=0) for name, value in values.items()}
