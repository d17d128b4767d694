"""The camera of a picture: as given, by its EXIF, or as if it were that of the training."""

from __future__ import annotations

import argparse
import math
from typing import NamedTuple

from ..camera import Intrinsics
from ..network import input_size
from ..weights import Manifest

FILM_DIAGONAL = math.hypot(36, 24)  # millimetres, of what EXIF's equivalent focal length is for


class Given(NamedTuple):
    """Focal lengths and principal point in pixels, from the command line."""

    fx: float
    fy: float
    cx: float
    cy: float


def given(text: str) -> Given:
    """``fx,fy,cx,cy``."""
    try:
        numbers = Given(*map(float, text.split(",")))
    except (ValueError, TypeError):
        numbers = Given(*[math.nan] * 4)
    if not (all(map(math.isfinite, numbers)) and min(numbers.fx, numbers.fy) > 0):
        raise argparse.ArgumentTypeError(
            f"is {text!r}, expected fx,fy,cx,cy in pixels, such as 525,525,319.5,239.5"
        )
    return numbers


def camera_of(
    size: tuple[int, int], told: Given | None, focal_35mm: float, manifest: Manifest
) -> tuple[Intrinsics, str]:
    """The camera of an image, and how it is known: ``given``, ``exif`` or ``assumed``.

    Args:
        size: (height, width) of the image.
        told: for images of this size.
        focal_35mm: by the image's EXIF, in millimetres; 0 if it is not told. By CIPA's definition
            it is that of a film with the same angle across the diagonal.
        manifest: of the weights, whose training camera is assumed where nothing is known.

    Raises:
        ValueError: if what was told is not for images of this size.
    """
    height, width = size
    if told is not None:
        if not (0 <= told.cx < width and 0 <= told.cy < height):
            raise ValueError(
                f"--camera has its principal point at {told.cx:g},{told.cy:g}, outside the image "
                f"of {width}x{height}; it must be in pixels of these images"
            )
        return Intrinsics(*told, width, height), "given"
    how, focal = "exif", focal_35mm * math.hypot(width, height) / FILM_DIAGONAL
    if not focal:
        how, focal = "assumed", training_focal(size, manifest)
    return Intrinsics(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height), how


def training_focal(size: tuple[int, int], manifest: Manifest) -> float:
    """The focal length that leaves the network's depth as it is, in pixels of such an image."""
    height, width = size
    rows, columns = input_size(size, manifest.input_size)
    return manifest.focal_length * math.sqrt(height * width / (rows * columns))


def view_angle(camera: Intrinsics) -> float:
    """The horizontal field of view in degrees."""
    return math.degrees(2 * math.atan(camera.width / (2 * camera.fx)))
