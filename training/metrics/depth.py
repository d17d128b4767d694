"""How far depth is from the truth: by pixel, by distance, and up to one factor an image."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from .measure import Measure, Values, known, ratio

# By kind of depth: metres along z, or disparity in pixels.
DEPTH_METRICS = {
    "metres": ("rel", "rms", "log10", "d1", "d2", "d3"),
    "disparity": ("px",),
}
# Of which less is better.
DEPTH_ERRORS = {"rel", "rms", "log10", "px"}
# A depth at or below zero has no logarithm and no ratio; it counts as a millimetre, which every
# metric punishes.
METRIC_FLOOR = 1e-3


class DepthErrors(Measure):
    """The metrics of one kind of depth.

    A row is how many pixels are valid, and over them the sum behind each metric.

    Args:
        kind: a key of ``DEPTH_METRICS``, whose names are the metrics.
    """

    def __init__(self, kind: str = "metres") -> None:
        super().__init__()
        self.kind = kind
        self.shape = (1 + len(DEPTH_METRICS[kind]),)

    def add(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Add one image: two arrays of one shape, truth NaN where it is unknown.

        Metres of truth are valid above zero; a disparity of zero is a point at infinity, and valid.
        """
        valid = known(truth) if self.kind == "metres" else np.isfinite(truth)
        y_true = truth[valid].astype(np.float64)
        y = predicted[valid].astype(np.float64)
        sums = _metre_sums if self.kind == "metres" else _disparity_sums
        self.rows.append(np.array([y.size, *sums(y, y_true)], np.float64))

    def metrics(self, sums: np.ndarray) -> Values:
        means = ratio(sums[..., 1:], sums[..., :1])
        values = dict(zip(DEPTH_METRICS[self.kind], np.moveaxis(means, -1, 0), strict=True))
        if "rms" in values:
            values["rms"] = np.sqrt(values["rms"])
        return values

    def per_image(self) -> dict[str, float]:
        """The mean of each image's own value, as many others print.

        An image without valid truth counts for nothing; NaN without images.
        """
        images = [row for row in self.rows if row[0]]
        if not images:
            return self.of([]).pooled()
        columns = self.metrics(np.stack(images))
        return {name: math.fsum(values.tolist()) / len(images) for name, values in columns.items()}


class ErrorsByDistance(Measure):
    """How depth in metres errs at each distance.

    A row is (distances, 5): how many pixels lie between two edges, and over them the sums of
    |error| / truth, error^2, error, and of ratios within 1.25.

    Args:
        of: the distance is that of the ``truth``, or of the ``answer``. Of things at a true
            distance even the best guesser errs towards the mean; of its answers it does not.
    """

    EDGES = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, math.inf)  # metres

    def __init__(self, of: Literal["truth", "answer"] = "truth") -> None:
        super().__init__()
        self.given = of
        self.shape = (len(self.EDGES) - 1, 5)

    def add(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Add one image: two arrays of one shape, truth NaN where it is unknown."""
        valid = known(truth)
        y_true = truth[valid].astype(np.float64)
        y = np.maximum(predicted[valid].astype(np.float64), METRIC_FLOOR)
        place = np.digitize(y_true if self.given == "truth" else y, self.EDGES[1:-1])
        error = y - y_true
        near = np.maximum(y / y_true, y_true / y) < 1.25
        columns = (np.ones_like(y), np.abs(error) / y_true, error**2, error, near)
        self.rows.append(np.stack([np.bincount(place, v, self.shape[0]) for v in columns], axis=1))

    def metrics(self, sums: np.ndarray) -> Values:
        """Of each distance, (..., distances): ``share`` of the pixels, ``rel``, ``rms``, ``bias``
        (metres, positive where answers are too far) and ``d1``.
        """
        pixels, relative, squared, signed, near = np.moveaxis(sums, -1, 0)
        return {
            "share": ratio(pixels, pixels.sum(-1, keepdims=True)),
            "rel": ratio(relative, pixels),
            "rms": np.sqrt(ratio(squared, pixels)),
            "bias": ratio(signed, pixels),
            "d1": ratio(near, pixels),
        }

    def summary(self) -> list[dict[str, float]]:
        """For each distance that occurs, nearest first: ``from``, ``to``, and its metrics."""
        columns = self.pooled()
        return [
            {
                "from": self.EDGES[index],
                "to": self.EDGES[index + 1],
                **{name: values[index] for name, values in columns.items()},
            }
            for index, share in enumerate(columns["share"])
            if share > 0
        ]


class Scale(Measure):
    """What is left of the error when every image may be multiplied by a factor of its own.

    The factor is the median of truth / answer over the image's valid pixels. A row is: valid
    pixels, over them the sum of the relative errors of the answer times that factor; 1 for an image
    that has any, 1 if its factor is off by more than 25 % (beyond 1.25, or below 1 / 1.25), and the
    factor's logarithm.
    """

    shape = (5,)

    def add(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Add one image: metres in two arrays of one shape, truth NaN where it is unknown."""
        valid = known(truth)
        if not valid.any():
            self.rows.append(np.zeros(self.shape))
            return
        y_true = truth[valid].astype(np.float64)
        ratios = y_true / np.maximum(predicted[valid], METRIC_FLOOR)
        factor = np.median(ratios)
        left = np.abs(factor / ratios - 1).sum()
        off = not 1 / 1.25 <= factor <= 1.25
        self.rows.append(np.array([y_true.size, left, 1, off, np.log(factor)]))

    def metrics(self, sums: np.ndarray) -> Values:
        """``aligned_rel``, pooled over pixels; ``off_scale``, the share of images whose factor is
        off; ``factor``, the geometric mean of the factors.
        """
        pixels, left, images, off, logarithm = np.moveaxis(sums, -1, 0)
        return {
            "aligned_rel": ratio(left, pixels),
            "off_scale": ratio(off, images),
            "factor": np.exp(ratio(logarithm, images)),
        }


def _metre_sums(y: np.ndarray, y_true: np.ndarray) -> list[float]:
    """The sums behind rel, rms (squared), log10 and the three thresholds."""
    y = np.maximum(y, METRIC_FLOOR)
    error = np.abs(y - y_true)
    ratio = np.maximum(y / y_true, y_true / y)
    return [
        float(np.sum(error / y_true)),
        float(np.sum(error**2)),
        float(np.sum(np.abs(np.log10(y / y_true)))),
        *(float(np.sum(ratio < 1.25**power)) for power in (1, 2, 3)),
    ]


def _disparity_sums(y: np.ndarray, y_true: np.ndarray) -> list[float]:
    """The sum behind the mean absolute error in pixels."""
    return [float(np.sum(np.abs(y - y_true)))]
