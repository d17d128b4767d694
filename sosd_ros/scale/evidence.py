"""What one frame says about scale: depth that was measured, beside depth that was answered."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SMOOTH = 1.05  # the farthest of a pixel and its eight neighbours over the nearest
LEAST_DOUBT = 0.02  # share of the depth; nothing is taken for more certain
MOST_POINTS = 2048  # looked at in a frame; the rest repeats what they say
_STEPS = np.array([-1, 0, 1])


class Evidence(NamedTuple):
    """Points of one frame.

    Attributes:
        measured: (N,) float64 metres along z, of a sensor or of a plane.
        answered: (N,) float64 metres along z, of the network.
        weights: (N,) float64, above 0.
    """

    measured: np.ndarray
    answered: np.ndarray
    weights: np.ndarray

    @property
    def log_ratios(self) -> np.ndarray:
        """The logarithms of what answers must be multiplied by."""
        return np.log(self.measured / self.answered)


def evidence_of_points(
    measured: np.ndarray,
    pixels: np.ndarray,
    depth: np.ndarray,
    uncertainty: np.ndarray | None = None,
) -> Evidence:
    """Measured depth beside the answer at its pixels.

    Args:
        measured: (N,) metres along z; NaN, infinite or not positive counts for nothing.
        pixels: (N, 2), the column and the row of each; NaN or outside counts for nothing.
        depth: (H, W) float32 metres; NaN invalid, +inf beyond the range.
        uncertainty: (H, W) float32 metres, one standard deviation of depth. A weight is the inverse
            of its share of the depth: then the weighted median is the likeliest value, if errors
            follow the distribution of Laplace whose scale the network answers. Else 1.

    Returns:
        Of the points that count, of at most ``MOST_POINTS`` evenly drawn ones.
    """
    with np.errstate(invalid="ignore"):
        usable = np.flatnonzero((measured > 0) & (measured < np.inf) & (pixels > -1).all(axis=1))
    chosen = usable[evenly(len(usable), MOST_POINTS)]
    measured, pixels = np.asarray(measured, np.float64)[chosen], pixels[chosen]
    answered = answered_at(pixels, depth)
    with np.errstate(invalid="ignore", divide="ignore"):
        counts = np.isfinite(answered)
        weights = np.ones(answered.shape)
        if uncertainty is not None:
            doubt = _at(pixels, uncertainty) / answered
            weights = 1 / np.maximum(doubt, LEAST_DOUBT)
            counts &= np.isfinite(doubt)
    return Evidence(measured[counts], answered[counts], weights[counts])


def evenly(count: int, most: int) -> np.ndarray:
    """Indices of at most so many of ``count`` things, evenly spaced, int64."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)


def answered_at(pixels: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Depth at pixels (N, 2), (N,) float64 metres; NaN where it cannot be compared with anything.

    That is outside the image, where the answer is invalid or beyond the range, at its edges, and
    within a pixel of either: there a point may belong to one side, and the answer to the other.
    """
    answered = _at(pixels, depth)
    there = np.flatnonzero(answered > 0)  # inf as well
    height, width = depth.shape
    columns, rows = pixels[there].round().astype(np.int64).T
    around = depth[
        np.clip(rows[:, None, None] + _STEPS[:, None], 0, height - 1),
        np.clip(columns[:, None, None] + _STEPS, 0, width - 1),
    ].reshape(-1, 9)
    near, far = around.min(axis=1), around.max(axis=1)  # NaN if any is
    smooth = (near > 0) & (far < np.inf) & (far <= SMOOTH * near)
    answered[np.delete(np.arange(len(answered)), there[smooth])] = np.nan
    return answered


def _at(pixels: np.ndarray, image: np.ndarray) -> np.ndarray:
    """An image (H, W) at pixels (N, 2), (N,) float64; NaN outside."""
    places = pixels.round()[:, ::-1]
    with np.errstate(invalid="ignore"):
        inside = ((places >= 0) & (places < image.shape)).all(axis=1)  # false for NaN
    values = np.full(len(pixels), np.nan)
    rows, columns = places[inside].astype(np.int64).T
    values[inside] = image[rows, columns]
    return values
