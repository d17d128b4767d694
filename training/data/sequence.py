"""Neighbouring images of one camera, with their depth and where the camera was.

In the folder, as in 7-Scenes (Shotton et al., CVPR 2013) and in others after it, are

* ``camera-intrinsics.txt``: the 3x3 matrix of the camera of images and depth, row by row;
* ``frame-NAME.color.jpg`` or ``.png``, in the order of their names;
* ``frame-NAME.depth.png``: 16-bit millimetres along z, 0 or 65535 where unknown;
* ``frame-NAME.pose.txt``: the 4x4 matrix from the camera's frame (x right, y down, z forward) to
  the world, in metres.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from sosd_ros.camera import Intrinsics

from .errors import DataError
from .files import read_colour, read_grey

_COLOUR = ".color"
_UNKNOWN = (0, 65535)  # millimetres


class Frame(NamedTuple):
    """An image of a sequence with its truth.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        depth: (H, W) float32 metres, NaN where unknown.
        pose: 4x4 float64, from the camera's frame to the world.
    """

    image: np.ndarray
    depth: np.ndarray
    pose: np.ndarray


class Sequence:
    """The images of a folder, from the first on.

    Args:
        root: the folder.
        most: images to read at most.

    Raises:
        DataError: if it has fewer than two images, or no usable camera.
    """

    def __init__(self, root: Path, most: int) -> None:
        self._images = sorted(root.glob(f"frame-*{_COLOUR}.*"))[:most]
        if len(self._images) < 2:
            raise DataError(
                f"{root} has {len(self._images)} images named frame-NAME{_COLOUR}.jpg or .png, "
                "expected two or more; docs/training.md says how a sequence is laid out"
            )
        height, width = read_colour(self._images[0]).shape[:2]
        matrix = _matrix(root / "camera-intrinsics.txt", 3)
        (fx, _, cx), (_, fy, cy), _ = matrix.tolist()
        self.camera = Intrinsics(fx, fy, cx, cy, width, height)

    def __len__(self) -> int:
        return len(self._images)

    def __iter__(self) -> Iterator[Frame]:
        """Read one after the other.

        Raises:
            DataError: naming the file that cannot be read or is of another size.
        """
        for path in self._images:
            start = path.with_name(path.name[: path.name.rindex(_COLOUR)])
            image = read_colour(path)
            depth_file = start.with_name(f"{start.name}.depth.png")
            millimetres = read_grey(depth_file, np.uint16)
            for file, pixels in ((path, image), (depth_file, millimetres)):
                size, expected = pixels.shape[:2], (self.camera.height, self.camera.width)
                if size != expected:
                    raise DataError(
                        f"{file} is {size[0]}x{size[1]}, but the first image is "
                        f"{expected[0]}x{expected[1]}; bring all to one size, depth as well"
                    )
            depth = np.where(np.isin(millimetres, _UNKNOWN), np.nan, millimetres / 1000)
            pose = _matrix(start.with_name(f"{start.name}.pose.txt"), 4)
            yield Frame(image, depth.astype(np.float32), pose)


def still(frame: Frame, count: int, random: np.random.Generator) -> Iterator[Frame]:
    """What a camera that does not move sees: noise, lamps that flicker, and compression.

    Noise has a deviation of 4 of 255; the light changes by 3 % at most, as that of lamps does at a
    rate that is none of the camera's; and each image is a JPEG of quality 80.
    """
    for number in range(count):
        light = 1 + 0.03 * np.sin(2.1 * number)
        noisy = frame.image * light + random.normal(0, 4, frame.image.shape)
        pixels = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
        stored = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
        seen = cv2.imdecode(stored, cv2.IMREAD_COLOR)
        assert seen is not None
        yield frame._replace(image=seen)


def _matrix(path: Path, side: int) -> np.ndarray:
    """A square matrix of numbers in a text file, float64."""
    try:
        matrix = np.loadtxt(path, np.float64)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path} ({error}); copy the sequence again") from error
    if matrix.shape != (side, side) or not np.isfinite(matrix).all():
        raise DataError(
            f"{path} holds numbers of shape {matrix.shape}, expected {side}x{side} finite ones; "
            "docs/training.md says how a sequence is laid out"
        )
    return matrix
