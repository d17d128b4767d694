"""Segmentation and depth metrics of the paper, from sums that add up exactly over shards."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sosd_ros.labels import UNLABELLED

# By kind of depth: metres along z, or disparity in pixels.
DEPTH_METRICS = {
    "metres": ("rel", "rms", "log10", "d1", "d2", "d3"),
    "disparity": ("px",),
}
# A depth at or below zero has no logarithm and no ratio; it counts as a millimetre, which every
# metric punishes.
_LEAST_DEPTH = 1e-3


class ConfusionMatrix:
    """Counts of (true class, predicted class) over a set of images.

    Matrices of parts of a set add up to that of the whole.
    """

    def __init__(self, classes: int) -> None:
        self.counts = np.zeros((classes, classes), np.int64)

    def add(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Count pixels of two uint8 arrays of one shape; truth of 255 is left out."""
        classes = len(self.counts)
        known = truth != UNLABELLED
        pairs = truth[known].astype(np.int64) * classes + predicted[known]
        self.counts += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)

    def __add__(self, other: ConfusionMatrix) -> ConfusionMatrix:
        both = ConfusionMatrix(len(self.counts))
        both.counts = self.counts + other.counts
        return both

    def iou(self) -> np.ndarray:
        """IoU of each class, (classes,); NaN for a class absent from truth and prediction."""
        right = np.diag(self.counts)
        return _ratio(right, self.counts.sum(0) + self.counts.sum(1) - right)

    def summary(self) -> dict[str, float]:
        """``mIoU``, ``mAcc`` and ``pAcc``; NaN where nothing was counted."""
        right = np.diag(self.counts)
        return {
            "mIoU": _mean(self.iou()),
            "mAcc": _mean(_ratio(right, self.counts.sum(1))),
            "pAcc": float(_ratio(right.sum(), self.counts.sum())),
        }


class DepthErrors:
    """The metrics of one kind of depth, over all pixels of a set and as a mean over its images.

    Every image is one row of sums. Rows are totalled by ``math.fsum``, which rounds once and so
    gives the same value in any order: parts of a set, measured apart and added, give exactly the
    numbers of the whole.

    Args:
        kind: a key of ``DEPTH_METRICS``, whose names are the metrics.
    """

    def __init__(self, kind: str = "metres") -> None:
        self.kind = kind
        # Of each image: how many pixels are valid, and over them the sum behind each metric.
        self.rows: list[tuple[float, ...]] = []

    def add(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Add one image: two arrays of one shape, truth NaN where it is unknown.

        An image without valid truth counts for nothing. Metres of truth are valid above zero; a
        disparity of zero is a point at infinity, and valid.
        """
        valid = np.isfinite(truth) & ((truth > 0) | (self.kind == "disparity"))
        y_true = truth[valid].astype(np.float64)
        y = predicted[valid].astype(np.float64)
        if y_true.size:
            sums = _metre_sums if self.kind == "metres" else _disparity_sums
            self.rows.append((float(y_true.size), *sums(y, y_true)))

    def __add__(self, other: DepthErrors) -> DepthErrors:
        both = DepthErrors(self.kind)
        both.rows = self.rows + other.rows
        return both

    def pooled(self) -> dict[str, float]:
        """Over all valid pixels of the set, as the paper has it; NaN if there are none."""
        if not self.rows:
            return self._nothing()
        return self._metrics([math.fsum(column) for column in zip(*self.rows, strict=True)])

    def per_image(self) -> dict[str, float]:
        """The mean of each image's own value, as many others print; NaN without images."""
        if not self.rows:
            return self._nothing()
        images = [self._metrics(row) for row in self.rows]
        return {
            name: math.fsum(image[name] for image in images) / len(images) for name in images[0]
        }

    def _metrics(self, row: Any) -> dict[str, float]:
        pixels, *sums = row
        means = {
            name: total / pixels for name, total in zip(DEPTH_METRICS[self.kind], sums, strict=True)
        }
        if "rms" in means:
            means["rms"] = math.sqrt(means["rms"])
        return means

    def _nothing(self) -> dict[str, float]:
        return dict.fromkeys(DEPTH_METRICS[self.kind], math.nan)


class ErrorsByDistance:
    """How depth in metres errs at each distance, over all pixels of a set.

    Parts of a set add up to exactly the whole, as with ``DepthErrors``.
    """

    EDGES = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, math.inf)  # metres

    def __init__(self) -> None:
        # Of each image, (distances, 5): how many pixels have their truth between two edges, and
        # over them the sums of |error| / truth, error^2, error, and of ratios within 1.25.
        self.rows: list[np.ndarray] = []

    def add(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Add one image: two arrays of one shape, truth NaN where it is unknown."""
        valid = np.isfinite(truth) & (truth > 0)
        y_true = truth[valid].astype(np.float64)
        y = np.maximum(predicted[valid].astype(np.float64), _LEAST_DEPTH)
        place = np.digitize(y_true, self.EDGES[1:])
        error = y - y_true
        near = np.maximum(y / y_true, y_true / y) < 1.25
        columns = (np.ones_like(y), np.abs(error) / y_true, error**2, error, near)
        distances = len(self.EDGES) - 1
        self.rows.append(np.stack([np.bincount(place, v, distances) for v in columns], axis=1))

    def __add__(self, other: ErrorsByDistance) -> ErrorsByDistance:
        both = ErrorsByDistance()
        both.rows = self.rows + other.rows
        return both

    def summary(self) -> list[dict[str, float]]:
        """For each distance that occurs, nearest first: ``from``, ``to``, ``share`` of the pixels,
        ``rel``, ``rms``, ``bias`` (metres, positive where answers are too far) and ``d1``.
        """
        if not self.rows:
            return []
        sums = np.apply_along_axis(math.fsum, 0, np.stack(self.rows))
        total = float(sums[:, 0].sum())
        return [
            {
                "from": self.EDGES[index],
                "to": self.EDGES[index + 1],
                "share": pixels / total,
                "rel": relative / pixels,
                "rms": math.sqrt(squared / pixels),
                "bias": signed / pixels,
                "d1": near / pixels,
            }
            for index, (pixels, relative, squared, signed, near) in enumerate(sums.tolist())
            if pixels
        ]


def _metre_sums(y: np.ndarray, y_true: np.ndarray) -> list[float]:
    """The sums behind rel, rms (squared), log10 and the three thresholds."""
    y = np.maximum(y, _LEAST_DEPTH)
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


def _ratio(numerator: Any, denominator: Any) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.true_divide(numerator, denominator)


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else math.nan
