"""Whether depth's spread tells where and by how much depth errs."""

from __future__ import annotations

import math

import numpy as np

from .depth import METRIC_FLOOR
from .measure import Measure, Values, known, ratio

COVERAGES = (0.50, 0.80, 0.95)  # of the central intervals
STEPS = 50  # of a sparsification curve


class Spread(Measure):
    """What the scale of a Laplace distribution over log depth is worth, whose median is answered.

    *Coverage*: how often log truth lies in the distribution's central intervals, over all pixels.
    The one of probability p reaches -scale * log(1 - p) to either side.

    *AUSE*, the area under the sparsification error curve (Ilg et al., ECCV 2018), of rel and of
    rms: of each image the pixels with the largest spread are left out, a fiftieth at a time, and
    the error of the rest is taken; so it is with the pixels of the largest error left out, which no
    order can beat. The area between both curves is the mean of their difference at 50 shares left
    out, from none to 49/50; it has the metric's unit. The order is that of the spread in the
    metric's unit: for rel that of log depth, for rms in metres, spread times depth. Each image has
    its area, and the mean is over images.

    A row is: pixels; how many lie in each interval; 1 for an image with any, and its two areas.
    """

    shape = (1 + len(COVERAGES) + 3,)

    def add(self, predicted: np.ndarray, truth: np.ndarray, spread: np.ndarray) -> None:
        """Add one image: metres of depth, answered and true (NaN where unknown), and the
        distribution's scale; all of one shape.
        """
        valid = known(truth)
        if not valid.any():
            self.rows.append(np.zeros(self.shape))
            return
        y_true, scale = truth[valid].astype(np.float64), spread[valid].astype(np.float64)
        y = np.maximum(predicted[valid].astype(np.float64), METRIC_FLOOR)
        deviation = np.abs(np.log(y_true / y))
        inside = [np.sum(deviation <= -scale * math.log1p(-p)) for p in COVERAGES]
        relative, squared = np.abs(y - y_true) / y_true, (y - y_true) ** 2
        rel = np.mean(_remaining(relative, scale) - _remaining(relative, relative))
        rms = np.mean(
            np.sqrt(_remaining(squared, scale * y)) - np.sqrt(_remaining(squared, squared))
        )
        self.rows.append(np.array([y.size, *inside, 1, rel, rms], np.float64))

    def metrics(self, sums: np.ndarray) -> Values:
        """``AUSE_rel`` and ``AUSE_rms``; ``coverage`` (..., intervals)
        of those of 50, 80 and 95 %.
        """
        images = sums[..., -3]
        return {
            "AUSE_rel": ratio(sums[..., -2], images),
            "AUSE_rms": ratio(sums[..., -1], images),
            "coverage": ratio(sums[..., 1:-3], sums[..., :1]),
        }


def _remaining(errors: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """The mean error of what is left, (steps,), if 0, 1, 2, ... fiftieths are left out, those of
    the largest spread first; at least one pixel stays.
    """
    order = np.argsort(spread, kind="stable")
    left = errors.size - errors.size * np.arange(STEPS) // STEPS
    return np.cumsum(errors[order])[left - 1] / left
