"""What is left of depth's error when a few measured points bring it to scale."""

from __future__ import annotations

import zlib

import numpy as np

from sosd_ros.scale import Limits, Scale, ScaleWindow, evidence_of_points

from .measure import Measure, Values, known, ratio

COUNTS = (64, 16, 4)  # points an image
_ANY = Limits(frames=1, points=1, dispersion=np.inf)


class ScaledByPoints(Measure):
    """The relative error when each image is scaled by points of its own truth, as on a robot.

    The points are drawn anew for every image, with its truth as the seed. An image whose points
    tell nothing stays as it is. A row is: valid pixels, and over them the sum of the relative
    errors for each of ``COUNTS``.
    """

    shape = (1 + len(COUNTS),)

    def add(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Add one image: (H, W) float32 metres, truth NaN where it is unknown."""
        rows, columns = np.nonzero(known(truth))
        y, y_true = (depth[rows, columns].astype(np.float64) for depth in (predicted, truth))
        random = np.random.default_rng(zlib.crc32(y_true.tobytes()))
        sums = [0.0] * len(COUNTS)
        if len(rows):
            pixels = np.stack([columns, rows], axis=1)
            for place, count in enumerate(COUNTS):
                drawn = random.integers(0, len(rows), count)
                factor = _factor(y_true[drawn], pixels[drawn], predicted)
                sums[place] = float(np.sum(np.abs(factor * y - y_true) / y_true))
        self.rows.append(np.array([len(rows), *sums]))

    def metrics(self, sums: np.ndarray) -> Values:
        """``rel``, (..., counts), pooled over pixels."""
        return {"rel": ratio(sums[..., 1:], sums[..., :1])}


def _factor(measured: np.ndarray, pixels: np.ndarray, depth: np.ndarray) -> float:
    window = ScaleWindow(limits=_ANY)
    window.add(0.0, evidence_of_points(measured, pixels, depth))
    scale = window.estimate(0.0)
    return scale.factor if isinstance(scale, Scale) else 1.0
