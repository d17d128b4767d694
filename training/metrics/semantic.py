"""How right the classes are: everywhere, and near the boundaries of things."""

from __future__ import annotations

import cv2
import numpy as np

from sosd_ros.labels import UNLABELLED

from .measure import Measure, Values, labelled, mean_of_defined, ratio

SEMANTIC_METRICS = ("mIoU", "mAcc", "pAcc")
TRIMAP_RADIUS = 5  # pixels


class ConfusionMatrix(Measure):
    """Counts of (true class, predicted class)."""

    dtype = np.int64

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.shape = (classes, classes)

    def add(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Add one image: two uint8 arrays of one shape; truth of 255 is left out."""
        classes = self.shape[0]
        there = labelled(truth)
        pairs = truth[there].astype(np.int64) * classes + predicted[there]
        self.rows.append(np.bincount(pairs, minlength=classes**2).reshape(self.shape))

    def metrics(self, sums: np.ndarray) -> Values:
        """``mIoU``, ``mAcc`` and ``pAcc``; ``iou`` (..., classes), NaN for a class absent from
        truth and prediction.
        """
        right, true = np.diagonal(sums, axis1=-2, axis2=-1), sums.sum(-1)
        iou = ratio(right, sums.sum(-2) + true - right)
        return {
            "mIoU": mean_of_defined(iou),
            "mAcc": mean_of_defined(ratio(right, true)),
            "pAcc": ratio(right.sum(-1), true.sum(-1)),
            "iou": iou,
        }

    def summary(self) -> dict[str, float]:
        """``mIoU``, ``mAcc`` and ``pAcc``."""
        pooled = self.pooled()
        return {name: pooled[name] for name in SEMANTIC_METRICS}


class Trimap(ConfusionMatrix):
    """The same over the labelled pixels that have another class within 5 pixels of them.

    What counts is how far a pixel is from one of another class, in the truth: a seam without
    labels between two things does not hide their boundary, and a thing's edge to an unlabelled
    region is none.
    """

    def add(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Add one image: two (H, W) uint8 arrays; truth of 255 is left out."""
        super().add(predicted, np.where(near_another_class(truth), truth, UNLABELLED))


def near_another_class(labels: np.ndarray) -> np.ndarray:
    """Where another class is within ``TRIMAP_RADIUS`` of a labelled pixel: (H, W) uint8 to bool."""
    across = np.arange(-TRIMAP_RADIUS, TRIMAP_RADIUS + 1) ** 2
    disc = (across[:, None] + across <= TRIMAP_RADIUS**2).astype(np.uint8)
    there = labelled(labels)
    highest = cv2.dilate(np.where(there, labels, 0).astype(np.uint8), disc)
    lowest = cv2.erode(labels, disc)  # unlabelled is 255, and so never the lowest
    return there & (highest != lowest)
