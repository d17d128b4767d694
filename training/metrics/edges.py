"""Whether depth has its edges where the truth has them."""

from __future__ import annotations

import cv2
import numpy as np

from .measure import Measure, Values, known, ratio, value_and_count

THRESHOLDS = (0.25, 0.5, 1.0)  # metres
EDGE_METRICS = ("precision", "recall", "F1")


class DepthEdges(Measure):
    """Precision, recall and F1 of depth's edges, as Hu, Ozay, Zhang and Okatani measure them.

    "Revisiting Single Image Depth Estimation" (WACV 2019): an edge is a pixel at which the 3x3
    Sobel gradient (weights 1, 2, 1, not divided by their sum) of the depth map in metres is longer
    than a threshold; the edges of answer and truth at the very same pixels are right; each image
    has its own numbers, and the mean is over images.

    How steep an edge is depends on the size of the maps. Theirs are parts of 240x320, so ours, of
    480x640, are halved, answer and truth alike, by the mean of 2x2 pixels.

    What they do not need to say, or do otherwise:

    * A gradient counts where the truth is known at all of its 3x3 pixels. At the border there is
      none; theirs pad with zeros there, which makes every border an edge of answer and truth.
    * Precision is the mean over images with an edge in the answer, recall over those with one in
      the truth, F1 = 2 right / (answered + true) over those with either. So an image with edges in
      one of both has an F1 of 0, and one without any counts for nothing.

    A row is (thresholds, 3, 2): of precision, recall and F1 the image's value and 1, or two zeros.
    """

    shape = (len(THRESHOLDS), 3, 2)

    def add(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Add one image: two (H, W) float32 arrays in metres, truth NaN where it is unknown."""
        y, y_true = _halved(predicted), _halved(np.where(known(truth), truth, np.nan))
        there = np.isfinite(y_true).astype(np.uint8)
        inside = cv2.erode(
            there, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0
        )
        answered, true = (_steepness(depth)[inside > 0] for depth in (y, y_true))
        self.rows.append(
            np.stack([_scores(answered > limit, true > limit) for limit in THRESHOLDS])
        )

    def metrics(self, sums: np.ndarray) -> Values:
        """``precision``, ``recall`` and ``F1``, (..., thresholds)."""
        means = ratio(sums[..., 0], sums[..., 1])
        return dict(zip(EDGE_METRICS, np.moveaxis(means, -1, 0), strict=True))


def _halved(depth: np.ndarray) -> np.ndarray:
    """(H, W) to (H // 2, W // 2) float32; NaN where one of the four is."""
    height, width = (side // 2 for side in depth.shape)
    corners = [depth[y : 2 * height : 2, x : 2 * width : 2] for y in (0, 1) for x in (0, 1)]
    return np.float32(0.25) * sum(corners[1:], corners[0]).astype(np.float32)


def _steepness(depth: np.ndarray) -> np.ndarray:
    """The length of the gradient; only that of inner pixels means anything."""
    return cv2.magnitude(cv2.Sobel(depth, cv2.CV_32F, 1, 0), cv2.Sobel(depth, cv2.CV_32F, 0, 1))


def _scores(answered: np.ndarray, true: np.ndarray) -> np.ndarray:
    """One image's precision, recall and F1, as pairs of value and count."""
    right, counts = np.sum(answered & true), (answered.sum(), true.sum())
    wholes = (*counts, sum(counts) / 2)
    return value_and_count([right / whole if whole else None for whole in wholes])
