"""What an image of depth says at one place, and the factor that measured distances ask for.

Arrays in, numbers out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..scale.robust import deviation, median

REACH = 2  # pixels on each side of the one that is asked for, which are read with it


class Measurable(NamedTuple):
    """What a node has answered for one image; ``None`` for what it does not answer.

    Attributes:
        depth: (H, W) float32 metres along z; NaN invalid, +inf beyond the range.
        rays: x/z and y/z of pixels, which broadcast to (H, W).
        labels: (H, W) uint8 class ids.
        confidence: (H, W) uint8, 255 for certainty.
        uncertainty: (H, W) float32, one standard deviation of depth in metres.
    """

    depth: np.ndarray
    rays: tuple[np.ndarray, np.ndarray]
    labels: np.ndarray | None = None
    confidence: np.ndarray | None = None
    uncertainty: np.ndarray | None = None


class Reading(NamedTuple):
    """A frame at one place.

    Attributes:
        place: column and row.
        z: metres along the axis; NaN where there is no depth, +inf beyond the range.
        distance: metres from the optical centre, along the ray.
        uncertainty: one standard deviation of z in metres; NaN if it is not known.
        label: class id; ``None`` if there are no labels.
        confidence: its probability; NaN if it is not known.
    """

    place: tuple[int, int]
    z: float
    distance: float
    uncertainty: float
    label: int | None
    confidence: float


def read(frame: Measurable, at: tuple[int, int] | None = None) -> Reading:
    """Medians over the pixels around a place, and the class that most of them have.

    Args:
        at: column and row; the middle of the image if ``None``.

    Raises:
        ValueError: if it lies outside the image.
    """
    height, width = frame.depth.shape
    column, row = at or (width // 2, height // 2)
    if not (0 <= column < width and 0 <= row < height):
        raise ValueError(
            f"the pixel {column},{row} lies outside the image of {width}x{height}; give the column "
            f"first, 0 to {width - 1}, and then the row, 0 to {height - 1}"
        )
    around = tuple(slice(max(0, n - REACH), n + REACH + 1) for n in (row, column))
    x, y = (np.broadcast_to(ray, frame.depth.shape)[row, column] for ray in frame.rays)
    z = _median(frame.depth[around])
    label, confidence = None, math.nan
    if frame.labels is not None:
        labels = frame.labels[around]
        label = int(np.bincount(labels.ravel()).argmax())
        if frame.confidence is not None:
            confidence = _median(frame.confidence[around][labels == label]) / 255
    uncertainty = math.nan if frame.uncertainty is None else _median(frame.uncertainty[around])
    distance = z * math.sqrt(1 + x * x + y * y)
    return Reading((column, row), z, distance, uncertainty, label, confidence)


def _median(values: np.ndarray) -> float:
    """Of those that are numbers; NaN if none is."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if known.size else math.nan


class Measured(NamedTuple):
    """Frames at one place.

    Attributes:
        distance: the median, in metres along the ray.
        least, most: of all frames.
    """

    distance: float
    least: float
    most: float


def measured(distances: Sequence[float]) -> Measured:
    """What several frames say of one distance.

    Args:
        distances: metres; NaN and +inf are not measured.

    Raises:
        ValueError: if more than half of them are not measured.
    """
    known = [distance for distance in distances if math.isfinite(distance)]
    if 2 * len(known) < len(distances) or not known:
        raise ValueError(
            f"there is depth in {len(known)} of {len(distances)} frames; choose another place, or "
            "check min_depth, max_depth and max_relative_uncertainty"
        )
    return Measured(float(np.median(known)), min(known), max(known))


class Factor(NamedTuple):
    """What answers must be multiplied by to be the true distances.

    Attributes:
        value: the median.
        spread: one standard deviation about it, relative, from the median absolute deviation; 0 of
            one distance.
        least, most: of the single distances.
    """

    value: float
    spread: float
    least: float
    most: float


def factor(true: Sequence[float], answered: Sequence[float]) -> Factor:
    """The factor that some distances ask for.

    Args:
        true, answered: metres of each, above 0.
    """
    ratios = np.log(np.divide(true, answered))
    equal = np.ones(len(ratios))
    centre = median(ratios, equal)
    spread = deviation(ratios, equal, centre)
    return Factor(math.exp(centre), spread, *np.exp([ratios.min(), ratios.max()]).tolist())
