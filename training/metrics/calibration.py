"""Whether confidence says how often the classes are right."""

from __future__ import annotations

import numpy as np

from .measure import Measure, Values, labelled, ratio

BINS = 15  # of equal width, as Guo et al. (ICML 2017) have them


class Calibration(Measure):
    """Confidence and how often it was right, over the labelled pixels, in bins of confidence.

    A row is (bins, 3): how many pixels there are, their confidences' sum, how many are right.
    """

    shape = (BINS, 3)

    def add(self, predicted: np.ndarray, truth: np.ndarray, confidence: np.ndarray) -> None:
        """Add one image: predicted and true classes, uint8, and the probability (0 to 1) that the
        predicted ones were given; all of one shape, truth of 255 is left out.
        """
        there = labelled(truth)
        right, sure = predicted[there] == truth[there], confidence[there].astype(np.float64)
        # The last bin has its upper end; what is no number spoils the first.
        place = np.clip(np.nan_to_num(sure * BINS), 0, BINS - 1).astype(np.int64)
        columns = (np.ones_like(sure), sure, right)
        self.rows.append(np.stack([np.bincount(place, v, BINS) for v in columns], axis=1))

    def metrics(self, sums: np.ndarray) -> Values:
        """``ECE``, the expected calibration error: the mean of |confidence - accuracy| over bins,
        weighed by their pixels. ``share`` of the pixels, mean ``confidence`` and ``accuracy`` of
        each bin, (..., bins).
        """
        pixels, sure, right = np.moveaxis(sums, -1, 0)
        total = pixels.sum(-1)
        return {
            "ECE": ratio(np.abs(sure - right).sum(-1), total),
            "share": ratio(pixels, total[..., None]),
            "confidence": ratio(sure, pixels),
            "accuracy": ratio(right, pixels),
        }
