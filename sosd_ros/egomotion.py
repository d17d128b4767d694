"""How a camera has moved between two images, by their pixels and the depth of one.

A camera that turns and moves sees the surface at (x, y), of depth Z, displaced by (u, v):

    u = a - c y + d x^2 + e x y + (f + g x) / Z
    v = b + c x + d x y + e y^2 + (h + g y) / Z

(Longuet-Higgins and Prazdny, "The interpretation of a moving retinal image", 1980). d and e are of
turning, g is how far it has moved along its axis. No focal length is needed. The two images as a
whole are laid upon each other first, at a quarter of their size; then, at a quarter, a half and all
of it, the eight numbers are improved until the images are alike where they have moved by them. What
moves by itself does not count, as long as it is the lesser part.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from . import kernels

_DOUBT = 20.0, 15.0, 10.0  # of 255, off by which a pixel counts half; one a level
_ROUNDS = 4  # of least squares a level, each without what the last could not explain
_STEP = 4  # pixels between those that are looked at
_SURE = 4.0  # standard errors; by a smaller motion depth does not change


class Egomotion(NamedTuple):
    """Where surfaces that stand still were in the image before.

    Attributes:
        columns, rows: (h, w) float32 pixels.
        turned: (h, w) float32, their depth then over that of now, if the camera only turned; 1
            where that is not certain.
        nearer: by which they were farther then than turning makes them; below 0 if the camera
            moves back, 0 if neither is certain.
        lighter: of 255, by which all of this image is.
    """

    columns: np.ndarray
    rows: np.ndarray
    turned: np.ndarray
    nearer: np.float32
    lighter: np.float32


def egomotion(now: np.ndarray, before: np.ndarray, depth: np.ndarray) -> Egomotion:
    """How the camera has moved since the image before.

    Args:
        now, before: (h, w) uint8, two grey images, slightly blurred; 32 pixels or more a side.
        depth: (h, w) float32, of the surfaces in ``now``; where it is no number, they are far.
    """
    near = np.divide(1, depth, out=np.zeros_like(depth), where=(depth > 0) & (depth < np.inf))
    scale = near.mean() or np.float32(1)
    levels: list[tuple[np.ndarray, ...]] = [(now, before, near / scale)]
    while len(levels) < len(_DOUBT):
        levels.insert(0, tuple(map(_half, levels[0])))
    numbers, normal, variance = np.zeros(9), np.zeros((9, 9)), 0.0
    numbers[:2] = _shift(levels[0][0], levels[0][1])
    for level, doubt in zip(levels, _DOUBT, strict=True):
        variance = kernels.align(
            *level, *_places(level[0].shape), _STEP, doubt, _ROUNDS, numbers, normal
        )
        numbers[:8] *= 2  # pixels of the next level
    numbers[:8] /= 2
    columns, rows = np.empty_like(near), np.empty_like(near)
    x, y = _places(now.shape)
    kernels.displace(levels[-1][2], x, y, numbers, columns, rows)
    errors = np.sqrt(variance * np.linalg.inv(normal).diagonal())
    sure = np.where(np.abs(numbers) > _SURE * errors, numbers, 0)
    half = (max(now.shape) - 1) / 2
    turned = (1 - (sure[3] * x + (sure[4] * y)[:, None]) / half).astype(np.float32)
    nearer = np.float32(-sure[7] / (scale * half))
    return Egomotion(columns, rows, turned, nearer, np.float32(numbers[8]))


@lru_cache(maxsize=16)
def _places(shape: tuple[int, ...]) -> list[np.ndarray]:
    """x of the columns and y of the rows: 0 in the middle, 1 at the ends of the longer side."""
    height, width = shape
    half = (max(shape) - 1) / 2
    return [(np.arange(side) - (side - 1) / 2) / half for side in (width, height)]


def _half(image: np.ndarray) -> np.ndarray:
    height, width = image.shape
    return cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)


def _shift(now: np.ndarray, before: np.ndarray) -> tuple[float, float]:
    """How far all of an image, columns and rows, was elsewhere: by phase correlation."""
    later, earlier = np.float32(1) + now, np.float32(1) + before  # of all black there is no phase
    columns, rows = cv2.phaseCorrelate(later, earlier, _window(now.shape))[0]
    return columns, rows


@lru_cache(maxsize=16)
def _window(shape: tuple[int, ...]) -> np.ndarray:
    """Weights that fade towards the border of an image."""
    return cv2.createHanningWindow(shape[::-1], cv2.CV_32F)
