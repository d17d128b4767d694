"""What is answered: the images of a folder, one image, or the frames of a video."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from ..commands import PICTURE_SUFFIXES, pictures_in
from ..encodings import check_size, declared_size

USUAL_RATE = 30.0  # Hz, of a video that does not tell its own
_EXIF, _FOCAL_35MM = 0x8769, 0xA405  # EXIF 2.3: the block, and FocalLengthIn35mmFilm in it


@dataclass(frozen=True)
class Picture:
    """An image, or a frame of a video.

    Attributes:
        name: for people.
        key: what files that belong to it are called.
        read: returns (H, W, 3) uint8 RGB; raises ValueError if it is broken.
        focal_35mm: in millimetres of a 35 mm film, by its EXIF; 0 if that does not tell.
    """

    name: str
    key: str
    read: Callable[[], np.ndarray]
    focal_35mm: float = 0.0


@dataclass(frozen=True)
class Source:
    """Pictures in their order.

    Attributes:
        count: how many there are; ``None`` if not known before.
        rate: of a video, in Hz; 0: they are images.
        key: what the file that belongs to all of them is called.
    """

    pictures: Iterator[Picture]
    count: int | None
    rate: float = 0.0
    key: str = ""


def open_source(path: Path) -> Source:
    """A folder, an image or a video.

    Raises:
        ValueError: if it is none of them.
    """
    if path.is_dir():
        return _images(pictures_in(path))
    if not path.is_file():
        raise ValueError(f"{path} does not exist; name a folder of images, an image or a video")
    return _images([path]) if path.suffix.lower() in PICTURE_SUFFIXES else _video(path)


def _images(paths: list[Path]) -> Source:
    stems = Counter(path.stem for path in paths)

    def pictures() -> Iterator[Picture]:
        for path in paths:
            # Of a.jpg and a.png, neither may take the place of the other.
            key = path.stem if stems[path.stem] == 1 else path.name
            yield Picture(path.name, key, partial(read_image, path), focal_35mm(path))

    return Source(pictures(), len(paths))


def read_image(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB, upright by its EXIF.

    Raises:
        ValueError: if it cannot be decoded, is cut off, or too large.
    """
    data = path.read_bytes()
    size = declared_size(data)
    if size is not None:
        check_size(*size)
    is_cut_off = size is None and path.suffix.lower() in (".jpg", ".jpeg", ".png")
    pixels = None
    if data and not is_cut_off:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ValueError("it is not a whole image that can be decoded; remove or replace it")
    check_size(pixels.shape[1], pixels.shape[0])
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def focal_35mm(path: Path) -> float:
    """The focal length by the EXIF, as of a 35 mm film, in millimetres; 0 if it is not told."""
    try:
        with PillowImage.open(path) as image:
            found = image.getexif().get_ifd(_EXIF).get(_FOCAL_35MM, 0)
        return max(0.0, float(found))
    except (OSError, UnidentifiedImageError, ValueError, TypeError, SyntaxError):
        return 0.0  # what is broken is told by who reads it


def _video(path: Path) -> Source:
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise ValueError(
            f"{path} is neither a folder of images, an image "
            f"({', '.join(sorted(PICTURE_SUFFIXES))}) nor a video that OpenCV can read"
        )
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))

    def pictures() -> Iterator[Picture]:
        number = 0
        while True:
            is_there, bgr = capture.read()
            if not is_there:
                return
            name = f"{path.name} frame {number}"
            yield Picture(name, f"{path.stem}_{number:06d}", partial(_frame, bgr))
            number += 1

    rate = capture.get(cv2.CAP_PROP_FPS) or USUAL_RATE
    return Source(pictures(), count if count > 0 else None, rate, path.stem)


def _frame(bgr: np.ndarray) -> np.ndarray:
    check_size(bgr.shape[1], bgr.shape[0])
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
