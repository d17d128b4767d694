"""Lenses that bend rays: the ray of every pixel, and the maps that rectify an image.

A pinhole camera sees the point (x, y, 1) at (fx x + cx, fy y + cy); a lens sees it as if it were
at (x', y', 1). With r = hypot(x, y):

* ``plumb_bob`` and ``rational_polynomial``, OpenCV's model, of coefficients k1 k2 p1 p2 k3 k4 k5
  k6: x' = x f + 2 p1 x y + p2 (r^2 + 2 x^2), y' = y f + p1 (r^2 + 2 y^2) + 2 p2 x y, where
  f = (1 + k1 r^2 + k2 r^4 + k3 r^6) / (1 + k4 r^2 + k5 r^4 + k6 r^6).
* ``equidistant``, OpenCV's fisheye, of coefficients k1 to k4: (x', y') = (x, y) t' / r, where t is
  the angle from the axis, tan t = r, and t' = t (1 + k1 t^2 + k2 t^4 + k3 t^6 + k4 t^8).

Both are polynomials fitted to what a calibration saw. Farther out, they may turn back: points at
two angles then fall on one pixel, and those beyond the turn were never seen. So a lens ends there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.polynomial.polynomial import polyder, polyval

from .camera import Intrinsics

RADIAL = ("plumb_bob", "rational_polynomial")  # one formula
FISHEYE = "equidistant"
MODELS = (*RADIAL, FISHEYE)
MAX_COEFFICIENT = 1e9
# Depth is along z: near 90 degrees, a point at a depth of one metre is infinitely far away.
WIDEST = math.radians(85)
STRAIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)  # a rotation that is none
MAX_SIDE = 2**15 - 2  # pixels of an image that OpenCV remaps

_SAMPLES = 8193  # of angles up to WIDEST, a hundredth of a degree apart
_STEPS = 4  # of Newton's method; each doubles the right digits, of which the start has two
_EXACT = 0.01  # pixels by which a ray may miss its pixel
_SLACK = 2**-6  # pixels that maps are rounded by
_BAND = 16  # rows at a time, which a core's cache holds


@dataclass(frozen=True)
class Lens:
    """The camera of an image that is not rectified.

    Attributes:
        camera: focal lengths and principal point of the raw image (K), and its size.
        model: of ``MODELS``.
        coefficients: of the model, in the order of CameraInfo's D; those that are missing are 0.

    Raises:
        ValueError: if the model is not known, or its coefficients are too many, too large or not
            finite.
    """

    camera: Intrinsics
    model: str
    coefficients: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise ValueError(
                f"the distortion model {self.model[:40]!r}, expected {', '.join(MODELS[:-1])} or "
                f"{MODELS[-1]}"
            )
        most = 4 if self.model == FISHEYE else 8
        if any(self.coefficients[most:]):
            raise ValueError(
                f"{len(self.coefficients)} coefficients D of the distortion model {self.model!r}, "
                f"expected at most {most}"
            )
        for coefficient in self.coefficients:
            if not abs(coefficient) <= MAX_COEFFICIENT:  # true for NaN
                raise ValueError(
                    f"a coefficient D of {coefficient:g} for the distortion model {self.model!r}, "
                    f"expected numbers within {MAX_COEFFICIENT:g}"
                )

    def rays(self) -> tuple[np.ndarray, np.ndarray]:
        """The points at depth 1 that pixels see: x/z and y/z, each (H, W) float32.

        NaN for a pixel that sees none: beyond the fold of the model, or less than 5 degrees from
        the plane of the camera.
        """
        camera = self.camera
        x = np.empty((camera.height, camera.width), np.float32)
        y = np.empty_like(x)
        columns = (np.arange(camera.width) - camera.cx) / camera.fx
        for rows in _bands(camera.height):
            lines = (np.arange(rows.start, rows.stop) - camera.cy) / camera.fy
            x[rows], y[rows] = self._straight(*np.meshgrid(columns, lines))
        return x, y

    def project(self, points: np.ndarray) -> np.ndarray:
        """Where points are seen.

        Args:
            points: (..., 3) in metres, in the axes of the camera: x right, y down, z forward.

        Returns:
            (..., 2) float64, the column and the row of the raw image, of which some may lie beside
            it. NaN for points that are not seen, as of ``rays``.
        """
        x, y, z = np.moveaxis(np.asarray(points, np.float64), -1, 0)
        with np.errstate(all="ignore"):
            x, y = np.where(z > 0, x / z, np.nan), y / z
            seen = np.hypot(x, y) <= self._profile[0][-1] * (1 + 1e-6)  # as float32 rounds rays
            bent_x, bent_y = self._bent(np.where(seen, x, np.nan), y)
            bent_y = np.where(seen, bent_y, np.nan)
        camera = self.camera
        return np.stack([camera.fx * bent_x + camera.cx, camera.fy * bent_y + camera.cy], axis=-1)

    def fold(self) -> tuple[float, float]:
        """Where the model folds back: the angle from the axis, and what share of pixels is beyond.

        Returns:
            Radians, and 0 to 1; the share is 0 if the model reaches to ``WIDEST``.
        """
        tangents, radii = self._profile
        if len(radii) == _SAMPLES:
            return WIDEST, 0.0
        camera = self.camera
        x = (np.linspace(0, camera.width - 1, 64) - camera.cx) / camera.fx
        y = (np.linspace(0, camera.height - 1, 64) - camera.cy) / camera.fy
        return math.atan(tangents[-1]), float((np.hypot(x, y[:, None]) > radii[-1]).mean())

    @property
    def _profile(self) -> tuple[np.ndarray, np.ndarray]:
        return _profile(self.model, self.coefficients)

    def _bent(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """From x/z and y/z to x' and y'."""
        return self._shifted(x, y, _factor(self.model, self.coefficients, np.hypot(x, y)))

    def _shifted(
        self, x: np.ndarray, y: np.ndarray, factor: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same, if the factor is known."""
        p1, p2 = self._tangential
        r2, xy = x * x + y * y, 2 * x * y
        return (
            x * factor + p1 * xy + p2 * (r2 + 2 * x * x),
            y * factor + p1 * (r2 + 2 * y * y) + p2 * xy,
        )

    @property
    def _tangential(self) -> tuple[float, float]:
        if self.model == FISHEYE:
            return 0.0, 0.0
        _, _, p1, p2, *_ = _padded(self.coefficients)
        return p1, p2

    def _straight(self, bent_x: np.ndarray, bent_y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """From x' and y' to x/z and y/z; NaN where there are none."""
        tangents, radii = self._profile
        radius = np.hypot(bent_x, bent_y)
        with np.errstate(all="ignore"):  # beyond the fold, numbers may be any
            growth = np.where(radius > 0, np.interp(radius, radii, tangents) / radius, 1.0)
            x, y = bent_x * growth, bent_y * growth
            if any(self._tangential):
                x, y = self._refined(x, y, bent_x, bent_y)
            again_x, again_y = self._bent(x, y)
            miss = np.hypot(again_x - bent_x, again_y - bent_y)
            seen = (miss <= _EXACT / self.camera.focal) & (np.hypot(x, y) <= tangents[-1])
        return np.where(seen, x, np.nan), np.where(seen, y, np.nan)

    def _refined(
        self, x: np.ndarray, y: np.ndarray, bent_x: np.ndarray, bent_y: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """By Newton's method, from what they would be without the tangential terms p1 and p2.

        The derivatives of x' and y' are a symmetric matrix. Where its determinant is not positive,
        the image is folded.
        """
        p1, p2 = self._tangential
        above, below = _polynomials(self.coefficients)
        above_slope, below_slope = polyder(above), polyder(below)
        for _ in range(_STEPS):
            r2 = x * x + y * y
            bottom = polyval(r2, below)
            factor = polyval(r2, above) / bottom
            slope = (polyval(r2, above_slope) - factor * polyval(r2, below_slope)) / bottom
            xx = factor + 2 * slope * x * x + 2 * p1 * y + 6 * p2 * x
            xy = 2 * (slope * x * y + p1 * x + p2 * y)
            yy = factor + 2 * slope * y * y + 6 * p1 * y + 2 * p2 * x
            determinant = xx * yy - xy * xy
            again_x, again_y = self._shifted(x, y, factor)
            off_x, off_y = again_x - bent_x, again_y - bent_y
            x = x - (yy * off_x - xy * off_y) / determinant
            y = y - (xx * off_y - xy * off_x) / determinant
        return np.where(determinant > 0, x, np.nan), y


class Maps(NamedTuple):
    """Where the pixels of a rectified image lie in the raw one.

    Attributes:
        places, fractions: as ``cv2.convertMaps`` writes them, (H, W, 2) int16 and (H, W) uint16.
        outside: (H, W) uint8, 255 where a pixel lies beside the raw image, or is not seen at all,
            and 0 elsewhere.
        nothing: (H, W) float32, NaN there, and 0 elsewhere.
    """

    places: np.ndarray
    fractions: np.ndarray
    outside: np.ndarray
    nothing: np.ndarray

    def rectified(self, image: np.ndarray) -> np.ndarray:
        """The picture (H, W, 3) uint8, by bilinear interpolation; black outside."""
        return cv2.remap(image, self.places, self.fractions, cv2.INTER_LINEAR)

    def nearest(self, depth: np.ndarray) -> np.ndarray:
        """Depth (H, W) float32, never between two surfaces, where nothing is; NaN outside."""
        # Fractions are 32nds, of rows above those of columns.
        up = np.stack([self.fractions & 31, self.fractions >> 5], axis=-1) >= 16
        whole = np.zeros_like(self.fractions)
        return cv2.remap(depth, self.places + up, whole, cv2.INTER_NEAREST) + self.nothing


@dataclass(frozen=True)
class Rectification:
    """Makes the image of a pinhole camera of what a lens has seen.

    Attributes:
        lens: of the raw image.
        camera: of the rectified image.
        rotation: 3x3, row by row: from the axes of the lens to those of the rectified camera, as
            R of CameraInfo.

    Raises:
        ValueError: if the image is too large for OpenCV.
    """

    lens: Lens
    camera: Intrinsics
    rotation: tuple[float, ...] = STRAIGHT

    def __post_init__(self) -> None:
        sides = [c for of in (self.lens.camera, self.camera) for c in (of.width, of.height)]
        if max(sides) > MAX_SIDE:
            raise ValueError(f"a side of {max(sides)} pixels, expected at most {MAX_SIDE}")

    def maps(self) -> Maps:
        """The maps, which cost far more than to use them."""
        raw, (height, width) = self.lens.camera, (self.camera.height, self.camera.width)
        places = np.empty((height, width, 2), np.int16)
        fractions = np.empty((height, width), np.uint16)
        outside = np.zeros((height, width), np.uint8)
        to_lens = np.reshape(self.rotation, (3, 3))  # not transposed: points are rows
        x, y = self.camera.rays()
        for rows in _bands(height):
            plane = np.stack(np.broadcast_arrays(x, y[rows], np.float32(1)), axis=-1)
            found = self.lens.project(plane @ to_lens)
            last = raw.width - 1 + _SLACK, raw.height - 1 + _SLACK
            inside = ((found >= -_SLACK) & (found <= last)).all(axis=-1)  # false for NaN
            outside[rows][~inside], found[~inside] = 255, -9.0
            u, v = np.moveaxis(found, -1, 0).astype(np.float32)
            places[rows], fractions[rows] = cv2.convertMaps(u, v, cv2.CV_16SC2)
        nothing = np.where(outside, np.float32(np.nan), np.float32(0))
        return Maps(places, fractions, outside, nothing)


@lru_cache(maxsize=16)
def _profile(model: str, coefficients: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The tangent of angles from the axis, and hypot(x', y') there without tangential terms.

    Both rise from 0, to where the latter would fall, or to ``WIDEST``.
    """
    tangents = np.tan(np.linspace(0, WIDEST, _SAMPLES))
    with np.errstate(all="ignore"):
        radii = tangents * _factor(model, coefficients, tangents)
        rises = np.diff(radii) > 0
    count = _SAMPLES if rises.all() else int(rises.argmin()) + 1
    return tangents[:count], radii[:count]


def _factor(model: str, coefficients: tuple[float, ...], tangent: np.ndarray) -> np.ndarray:
    """What x/z and y/z are multiplied by, without the tangential terms, at hypot(x, y) / z."""
    if model == FISHEYE:
        angle = np.arctan(tangent)
        bent = angle * polyval(angle * angle, [1.0, *coefficients[:4]])
        return np.divide(bent, tangent, out=np.ones_like(bent), where=tangent != 0)
    above, below = _polynomials(coefficients)
    r2 = tangent * tangent
    return polyval(r2, above) / polyval(r2, below)


def _polynomials(coefficients: tuple[float, ...]) -> tuple[list[float], list[float]]:
    """Numerator and denominator of the factor f, in powers of r^2."""
    k1, k2, _, _, k3, k4, k5, k6 = _padded(coefficients)
    return [1.0, k1, k2, k3], [1.0, k4, k5, k6]


def _padded(coefficients: tuple[float, ...]) -> tuple[float, ...]:
    """All eight of the pinhole's models."""
    return (*coefficients, *[0.0] * 8)[:8]


def _bands(height: int) -> Iterator[slice]:
    return (slice(top, min(top + _BAND, height)) for top in range(0, height, _BAND))
