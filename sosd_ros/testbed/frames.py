"""Where a camera's frames come from: the sample frames, a folder, a video file or a camera."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import yaml

from ..camera import Intrinsics
from ..commands import pictures_in
from ..share import sample_frames, share

# Longer sides are shrunk to this: the cloud of a phone's picture would have 200 MB.
_LONGEST_SIDE = 1280
# A webcam's usual horizontal field of view, for sources that come without a calibration.
_ASSUMED_FIELD_OF_VIEW = math.radians(60)


class Source(NamedTuple):
    """Frames to play.

    Attributes:
        name: for people.
        frames: pairs of (picture number, (H, W, 3) uint8 RGB), in the order of playing.
        is_calibrated: whether ``intrinsics`` are known, and not assumed.
        intrinsics: of the camera at an image size of (width, height).
        length: number of frames that ``frames`` gives at most; ``None`` if not known before.
        sizes: the (height, width) that occur among so many frames.
    """

    name: str
    frames: Iterator[tuple[int, np.ndarray]]
    is_calibrated: bool
    intrinsics: Callable[[int, int], Intrinsics]
    length: int | None
    sizes: Callable[[int], set[tuple[int, int]]]


def open_source(source: str | None, rate: float) -> Source:
    """Open a folder of images, a video file, a camera (``0`` or ``/dev/video0``), or the samples.

    Every image of a folder is held for a second, as by a camera that stands still.
    Frames of more than 1280 pixels in width or height are shrunk.

    Raises:
        ValueError: if there is no such source, or it gives no frame.
    """
    repeat = max(1, round(rate))
    if source is None:
        return _samples(repeat)
    path = Path(source).expanduser()
    if path.is_dir():
        return _folder(path, repeat)
    return _capture(source if source.isdigit() else str(path))


def _samples(repeat: int) -> Source:
    images, camera = sample_frames(), sample_camera()
    frames = (picture for picture in enumerate(images) for _ in range(repeat))
    name, size = f"{len(images)} sample frames", (camera.height, camera.width)
    return Source(name, frames, True, camera.resized, repeat * len(images), lambda _: {size})


def sample_camera() -> Intrinsics:
    """The camera that the sample frames were taken with."""
    values = yaml.safe_load(share("demo", "camera_info.yaml").read_text())
    fx, _, cx, _, fy, cy, *_ = values["camera_matrix"]["data"]
    return Intrinsics(fx, fy, cx, cy, values["image_width"], values["image_height"])


def assumed_intrinsics(width: int, height: int) -> Intrinsics:
    """A camera of 60 degrees with its centre in the middle of the image."""
    focal = width / 2 / math.tan(_ASSUMED_FIELD_OF_VIEW / 2)
    return Intrinsics(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)


def _folder(folder: Path, repeat: int) -> Source:
    paths = pictures_in(folder)

    def pictures() -> Iterator[tuple[int, np.ndarray]]:
        for number, path in enumerate(paths):
            image = cv2.imread(str(path), cv2.IMREAD_COLOR)
            if image is None:
                raise ValueError(f"image {path} cannot be decoded; remove or replace it")
            yield number, _frame(image)

    def sizes(frames: int) -> set[tuple[int, int]]:
        shown = itertools.islice(pictures(), -(-frames // repeat))
        return {image.shape[:2] for _, image in shown}

    frames = (picture for picture in pictures() for _ in range(repeat))
    name = f"{len(paths)} images of {folder}"
    return Source(name, frames, False, assumed_intrinsics, repeat * len(paths), sizes)


def _capture(source: str) -> Source:
    is_camera = source.isdigit() or source.startswith("/dev/")
    if not is_camera and not Path(source).is_file():
        raise ValueError(
            f"source {source} is neither a folder of images, a video file nor a camera device"
        )
    capture = cv2.VideoCapture(int(source) if source.isdigit() else source)
    if not capture.isOpened():
        raise ValueError(f"source {source} cannot be opened as a video or a camera")
    is_there, first = capture.read()
    if not is_there:
        raise ValueError(f"source {source} gives no frame")

    def frames() -> Iterator[tuple[int, np.ndarray]]:
        image = first
        for number in itertools.count():
            yield number, _frame(image)
            is_there, image = capture.read()
            if not is_there:
                return

    def sizes(_: int) -> set[tuple[int, int]]:
        return {_frame(first).shape[:2]}

    length = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    count = length if not is_camera and length > 0 else None
    return Source(source, frames(), False, assumed_intrinsics, count, sizes)


def _frame(bgr: np.ndarray) -> np.ndarray:
    """RGB of at most the longest side that we play."""
    height, width = bgr.shape[:2]
    scale = min(1, _LONGEST_SIDE / max(height, width))
    if scale < 1:
        size = (round(width * scale), round(height * scale))
        bgr = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
