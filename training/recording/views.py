"""Which images of a recording are worth keeping: one of each view, the sharpest."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

SAME_VIEW = 0.9  # correlation of thumbnails, above which two images show the same
BLURRED = 0.3  # of the median sharpness; what is less sharp has been moved through

_THUMBNAIL = (32, 24)  # width and height
_LOOKED_AT = 320  # pixels of width, at which sharpness is measured


class Look(NamedTuple):
    """What is remembered of an image.

    Attributes:
        thumbnail: (24, 32) float32 of mean 0 and deviation 1, so that products are correlations.
        grey: (24, 32) float32, the same in grey values of 0 to 255.
        sharpness: how much of the contrast is between neighbouring pixels, which blur takes away;
            to be compared among images of one camera.
    """

    thumbnail: np.ndarray
    grey: np.ndarray
    sharpness: float


class View(NamedTuple):
    """An image that stands for those around it.

    Attributes:
        number: which of the recording's images it is, from 0.
        stamp: nanoseconds.
        thumbnail, sharpness: as of its ``Look``.
        images: that show the same, one after the other, this one among them.
    """

    number: int
    stamp: int
    thumbnail: np.ndarray
    sharpness: float
    images: int


def look_at(image: np.ndarray) -> Look:
    """Take in an image, (H, W, 3) uint8 RGB."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    height = max(round(grey.shape[0] * _LOOKED_AT / grey.shape[1]), 1)
    grey = cv2.resize(grey, (_LOOKED_AT, height), interpolation=cv2.INTER_AREA)
    edges = cv2.Laplacian(grey, cv2.CV_32F)
    small = cv2.resize(grey, _THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.float32)
    thumbnail = (small - small.mean()) / max(float(small.std()), 1e-3)
    return Look(thumbnail, small, float(edges.var() / max(float(grey.var()), 1.0)))


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Of two thumbnails, -1 to 1."""
    return float(np.mean(one * other))


class Views:
    """Makes views of images that come one after the other; remembers one of each.

    A view ends where an image no longer shows what its first one does, however slowly the camera
    has moved. Standing still for a minute is one view.

    Args:
        same_view: correlation above which an image belongs to the view.
    """

    def __init__(self, same_view: float = SAME_VIEW) -> None:
        self._same_view = same_view
        self._views: list[View] = []
        self._first: np.ndarray | None = None  # thumbnail of the view that is going on

    def add(self, number: int, stamp: int, look: Look) -> None:
        """The next image of the recording that can be read."""
        this = View(number, stamp, look.thumbnail, look.sharpness, 1)
        if self._first is None or correlation(self._first, look.thumbnail) < self._same_view:
            self._first = look.thumbnail
            self._views.append(this)
            return
        best = self._views[-1]
        images = best.images + 1
        self._views[-1] = (this if this.sharpness > best.sharpness else best)._replace(
            images=images
        )

    def chosen(self) -> tuple[list[View], int]:
        """The sharpest image of each view, and how many views are left out as blurred."""
        if not self._views:
            return [], 0
        least = BLURRED * float(np.median([view.sharpness for view in self._views]))
        sharp = [view for view in self._views if view.sharpness >= least]
        return sharp, len(self._views) - len(sharp)
