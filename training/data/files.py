"""Files of a data set: read whole or refused by name, written whole or not at all."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from typing import Any

import cv2
import numpy as np

from sosd_ros import atomic

from .errors import DataError
from .sample import Sample

# What a whole file ends in. Some versions of OpenCV only warn of one that was cut off. A PNG has
# checksums besides; wrong bytes inside of a JPEG cannot be told from a picture.
_ENDS = {".png": b"IEND\xaeB`\x82", ".jpg": b"\xff\xd9"}


def read_sample(image: Path, depth: Path | None, labels: Path | None) -> Sample:
    """The files of a sample, with the values that stand in them, and 0 where there is no file.

    Returns:
        image (H, W, 3) uint8 RGB, depth (H, W) uint16 with 0 for unknown, labels (H, W) uint8.

    Raises:
        DataError: naming the file that cannot be read, is damaged, or has another type or size
            than it should; or a depth map without any depth.
    """
    picture = read_colour(image)
    sample = Sample(
        picture, _read_truth(depth, np.uint16, picture), _read_truth(labels, np.uint8, picture)
    )
    for path, pixels in ((depth, sample.depth), (labels, sample.labels)):
        if pixels.shape != picture.shape[:2]:
            raise DataError(
                f"{path} is {_size(pixels)}, but {image} is {_size(picture)}; both must have "
                "the same height and width: copy the data set again"
            )
    if depth is not None and not sample.depth.any():
        raise DataError(
            f"{depth} is 0 everywhere, which means no depth at any pixel; copy it again, or leave "
            "this sample out"
        )
    return sample


def _read_truth(path: Path | None, dtype: np.typing.DTypeLike, picture: np.ndarray) -> np.ndarray:
    return np.zeros(picture.shape[:2], dtype) if path is None else read_grey(path, dtype)


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Make ``path`` hold (H, W, 3) RGB or (H, W) pixels, uint8 or uint16; leave it if it does.

    Raises:
        DataError: if the file cannot be written.
    """
    colour = pixels.ndim == 3
    try:
        present = read_colour(path) if colour else read_grey(path, pixels.dtype)
    except DataError:
        pass
    else:
        if np.array_equal(present, pixels):
            return
    stored = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if colour else pixels
    write(path, cv2.imencode(".png", stored)[1].tobytes())


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; makes its folder.

    Raises:
        DataError: naming the file and the reason, such as a full disk.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(path, content)
    except OSError as error:
        raise DataError(
            f"cannot write {path}: {error.strerror}; fix that and give the same command again, "
            "it goes on where it stopped"
        ) from error


def begin(path: Path, settings: dict[str, Any]) -> None:
    """Record the settings that a folder is begun with, or check that they are the same as then.

    Raises:
        DataError: naming a setting that differs.
    """
    now = json.loads(json.dumps(settings))
    if not path.exists():
        write(path, json.dumps(now, indent=1).encode())
        return
    then = json.loads(path.read_text())
    for key in now:
        if then.get(key) != now[key]:
            raise DataError(
                f"{path.parent} was begun with {key} {then.get(key)}, not {now[key]}; give the "
                "same options, or choose another --out"
            )


def read_names(listing: Path, advice: str) -> list[str]:
    """The names of samples in a list, checked by :func:`check_names`.

    Args:
        advice: what to do if it cannot be read, for the message.

    Raises:
        DataError: if it cannot be read, or names no samples or wrong ones.
    """
    try:
        names = listing.read_text().split()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{listing} cannot be read; {advice}") from error
    check_names(listing, names)
    return names


def metres(millimetres: np.ndarray) -> np.ndarray:
    """(H, W) float32 metres of uint16 millimetres, NaN where they are 0, which is unknown."""
    depth = np.divide(millimetres, 1000, dtype=np.float32)
    depth[millimetres == 0] = np.nan
    return depth


def check_names(where: Path, names: Sequence[str]) -> None:
    """Refuse names of samples that are missing, repeated, or lead out of the folder.

    Raises:
        DataError: with ``where`` they come from.
    """
    if not names:
        raise DataError(f"{where} names no sample; copy the data set again")
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise DataError(f"{where} names samples more than once:\n{listed(repeated)}")
    outside = [name for name in names if PurePath(name).is_absolute() or ".." in Path(name).parts]
    if outside:
        raise DataError(f"{where} names files outside the data set:\n{listed(outside)}")
    # Such as ./0001, which is 0001 again.
    odd = [name for name in names if str(PurePath(name)) != name]
    if odd:
        raise DataError(f"{where} has names that are not in their plain form:\n{listed(odd)}")


def check_present(where: Path, paths: Iterable[Path], remedy: str) -> None:
    """Refuse files that do not exist.

    Raises:
        DataError: naming them, ``where`` they are named, and what to do.
    """
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise DataError(
            f"{where} names {len(missing)} files that do not exist; {remedy}:\n{listed(missing)}"
        )


def listed(things: Sequence[object]) -> str:
    """One a line up to 20, and how many more there are."""
    lines = [f"  {thing}" for thing in things[:20]]
    if len(things) > 20:
        lines.append(f"  and {len(things) - 20} more")
    return "\n".join(lines)


def read_colour(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB. Raises DataError as :func:`read_sample` does."""
    return cv2.cvtColor(_decode(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def read_grey(path: Path, dtype: np.typing.DTypeLike) -> np.ndarray:
    """(H, W) of that type. Raises DataError as :func:`read_sample` does."""
    pixels = _decode(path, cv2.IMREAD_UNCHANGED)
    if pixels.ndim != 2 or pixels.dtype != dtype:
        channels = 1 if pixels.ndim == 2 else pixels.shape[2]
        raise DataError(
            f"{path} has {channels} channel(s) of {pixels.dtype}, expected 1 of {np.dtype(dtype)}; "
            "put the original file there"
        )
    return pixels


def _decode(path: Path, flags: int) -> np.ndarray:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    whole = content.endswith(_ENDS[path.suffix])
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags) if whole else None
    if pixels is None:
        raise DataError(f"{path} is cut off or damaged; copy it again")
    return pixels


def _size(pixels: np.ndarray) -> str:
    return f"{pixels.shape[0]}x{pixels.shape[1]}"
