"""Photographs from anywhere, made into pictures of rooms that a teacher can label."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from sosd_ros.commands import PICTURE_SUFFIXES
from sosd_ros.progress import progress_bar

from .errors import DataError
from .files import begin, write

SIZE = (480, 640)  # the largest picture that is written
QUALITY = 92  # of JPEG
KEPT = "kept"

_ALIKE = 8  # of 64 bits that may differ between hashes of the same picture
# A bar has one grey, give or take so much, but for so many of its pixels; where it ends, so many of
# them change.
_BAR_SPREAD, _BAR_OUTLIERS, _BAR_STEP = 6, 0.01, 0.3
_COLOURLESS = 6  # least difference of channels that one pixel in 20 of a colour picture has
_UNIFORM = 12  # least standard deviation of grey


@dataclass(frozen=True)
class Rules:
    """What decides which pictures stay.

    Attributes:
        folders: of photographs, the best first: of pictures that are alike the first one stays.
        squeezed: those of them whose square files are pictures of 4:3 that were squeezed.
        unlike: folders of pictures that none may be like, such as those that we measure on.
        short_side: least height in pixels of what is cut out.
    """

    folders: tuple[str, ...]
    squeezed: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()
    short_side: int = 240


class Verdict(NamedTuple):
    """What became of a file: a line of ``sources.csv``.

    Attributes:
        name: of the picture, without suffix; empty if there is none.
        verdict: ``kept``, or why there is none.
        source: the folder that it was found in.
        file: below that folder.
        sha256: of the file.
        crop: what was cut out, ``x y width height`` in pixels, of a squeezed picture after
            stretching.
        hash: perceptual, of what was cut out, 16 hexadecimal digits.
    """

    name: str
    verdict: str
    source: str
    file: str
    sha256: str = ""
    crop: str = ""
    hash: str = ""


class Box(NamedTuple):
    """A part of a picture in its pixels."""

    x: int
    y: int
    width: int
    height: int

    def of(self, image: np.ndarray) -> np.ndarray:
        return image[self.y : self.y + self.height, self.x : self.x + self.width]


def prepare(out: Path, rules: Rules) -> list[Verdict]:
    """Write ``rgb/NAME.jpg``, ``sources.csv`` with every file's verdict, and ``train.txt``.

    Every line of ``sources.csv`` is written when its picture is: after a stop, this goes on behind
    the last one. The list of names comes last: without it nobody takes the folder for a data set.

    Raises:
        DataError: if a folder is missing or has no picture, or ``out`` was begun otherwise.
    """
    if not rules.folders:
        raise DataError("there is nothing to prepare; name a folder of photographs")
    files = [(folder, path) for folder in rules.folders for path in pictures_in(Path(folder))]
    begin(out / "rules.json", asdict(rules))
    verdicts = _read_verdicts(out / "sources.csv")
    for verdict, (folder, path) in zip(verdicts, files, strict=False):
        if (verdict.source, verdict.file) != (folder, _below(folder, path)):
            raise DataError(
                f"{out / 'sources.csv'} has {verdict.file} where {path} is next: the folders have "
                "changed since it was begun; choose another --out"
            )
    seen = _Seen()
    others = [path for folder in rules.unlike for path in pictures_in(Path(folder))]
    for path in progress_bar(others, "look at pictures to be unlike", unit="img"):
        if (image := decode(path.read_bytes())) is not None:
            seen.add(perceptual_hash(landscape(trimmed(image)).of(image)), "like one of --unlike")
    for verdict in verdicts:
        if verdict.verdict == KEPT:
            seen.add(int(verdict.hash, 16), _AGAIN)
    with (out / "sources.csv").open("a", newline="") as stream:
        todo = files[len(verdicts) :]
        for folder, path in progress_bar(todo, "prepare", unit="img"):
            verdict = _judge(out, folder, path, rules, seen)
            csv.writer(stream, lineterminator="\n").writerow(verdict)
            stream.flush()
            verdicts.append(verdict)
    names = [verdict.name for verdict in verdicts if verdict.name]
    write(out / "train.txt", "".join(f"{name}\n" for name in names).encode())
    return verdicts


_AGAIN = "like an earlier one"


def _judge(out: Path, folder: str, path: Path, rules: Rules, seen: _Seen) -> Verdict:
    """Write a file's picture, unless something speaks against it."""
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    refused = Verdict("", "damaged", folder, _below(folder, path), sha256)
    image = decode(content)
    if image is None:
        return refused
    if folder in rules.squeezed and image.shape[0] == image.shape[1]:
        image = cv2.resize(image, (round(image.shape[0] * 4 / 3), image.shape[0]))
    whole = trimmed(image)
    box = landscape(whole)
    part = box.of(image)
    refused = refused._replace(crop=" ".join(map(str, box)))
    if why := unfit(part, whole, rules.short_side):
        return refused._replace(verdict=why)
    number = perceptual_hash(part)
    refused = refused._replace(hash=f"{number:016x}")
    if why := seen.what_is_like(number, perceptual_hash(part[:, ::-1])):
        return refused._replace(verdict=why)
    if part.shape[0] > SIZE[0]:
        part = cv2.resize(part, SIZE[::-1], interpolation=cv2.INTER_AREA)
    name = sha256[:16]
    jpeg = cv2.imencode(
        ".jpg", cv2.cvtColor(part, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    )[1]
    write(out / "rgb" / f"{name}.jpg", jpeg.tobytes())
    seen.add(number, _AGAIN)
    return refused._replace(name=name, verdict=KEPT)


def table(verdicts: Sequence[Verdict]) -> str:
    """How many files of each source stayed, and why the others went."""
    reasons = sorted({verdict.verdict for verdict in verdicts} - {KEPT})
    lines = []
    for source in dict.fromkeys(verdict.source for verdict in verdicts):
        counts = Counter(verdict.verdict for verdict in verdicts if verdict.source == source)
        went = ", ".join(f"{counts[why]} {why}" for why in reasons if counts[why])
        lines.append(
            f"{source}: {counts[KEPT]} of {counts.total()} kept" + f"; {went}" * bool(went)
        )
    return "\n".join(lines)


def pictures_in(folder: Path) -> list[Path]:
    """All pictures below a folder, in the order of their names.

    Raises:
        DataError: if it is not there or has none.
    """
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    if not found:
        raise DataError(
            f"{folder} has no picture ({', '.join(sorted(PICTURE_SUFFIXES))}) in it or below; name "
            "a folder of photographs"
        )
    return found


def decode(content: bytes) -> np.ndarray | None:
    """A file as (H, W, 3) uint8 RGB, turned as its camera says; None if it is damaged."""
    # OpenCV fills up a JPEG that was cut off; some cameras write after the end.
    if content.startswith(b"\xff\xd8") and b"\xff\xd9" not in content[-4096:]:
        return None
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return None if pixels is None else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def trimmed(image: np.ndarray) -> Box:
    """What is left of (H, W, 3) uint8 RGB without white, black or grey bars around it.

    A blank wall or an overexposed ceiling is no bar: a bar ends everywhere at once, or has one of
    the same width on the other side.
    """
    box = Box(0, 0, image.shape[1], image.shape[0])
    while True:  # bars may have bars
        top, bottom = _bars(box.of(image))
        left, right = _bars(box.of(image).transpose(1, 0, 2))
        inner = Box(box.x + left, box.y + top, box.width - left - right, box.height - top - bottom)
        if inner == box or min(inner.width, inner.height) < 1:
            return box
        box = inner


def landscape(box: Box) -> Box:
    """The middle of a box that is 4 wide and 3 high, as the camera's pictures are."""
    width = min(box.width, round(box.height * 4 / 3))
    height = min(box.height, round(box.width * 3 / 4))
    return Box(box.x + (box.width - width) // 2, box.y + (box.height - height) // 2, width, height)


def unfit(part: np.ndarray, whole: Box, short_side: int) -> str | None:
    """What speaks against a part that was cut from ``whole``, in two words; None for nothing."""
    if max(whole.width, whole.height) > 2 * min(whole.width, whole.height):
        return "too long"
    if part.shape[0] < short_side:
        return "too small"
    small = cv2.resize(part, (64, 48), interpolation=cv2.INTER_AREA).astype(int)
    if np.percentile(np.ptp(small, axis=2), 95) < _COLOURLESS:
        return "without colour"
    if small.mean(axis=2).std() < _UNIFORM:
        return "almost uniform"
    return None


def perceptual_hash(image: np.ndarray) -> int:
    """64 bits that hardly change with size, compression and brightness: DCT's low frequencies.

    Zauner, Implementation and benchmarking of perceptual image hash functions, 2010.
    """
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small.astype(np.float32))[:8, :8]
    bits = low > np.median(low)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


class _Seen:
    """Hashes of pictures, and what to say of one that is like them."""

    def __init__(self) -> None:
        self._hashes = np.empty(1024, np.uint64)
        self._said: list[str] = []

    def add(self, number: int, said: str) -> None:
        count = len(self._said)
        if count == len(self._hashes):
            self._hashes = np.concatenate([self._hashes, np.empty_like(self._hashes)])
        self._hashes[count] = number
        self._said.append(said)

    def what_is_like(self, *numbers: int) -> str | None:
        """What was said of the first picture that is like one of these; None if there is none."""
        hashes = self._hashes[: len(self._said)]
        for number in numbers:
            differing = _ones(hashes ^ np.uint64(number))
            if len(differing) and differing.min() <= _ALIKE:
                return self._said[int(differing.argmin())]
        return None


_ONES = np.array([bin(number).count("1") for number in range(1 << 16)], np.uint8)


def _ones(numbers: np.ndarray) -> np.ndarray:
    """How many bits of each uint64 are set."""
    return _ONES[numbers.view(np.uint16)].reshape(-1, 4).sum(axis=1)


def _bars(image: np.ndarray) -> tuple[int, int]:
    """How many rows above and below belong to bars."""
    top, bottom = _bar(image), _bar(image[::-1])
    if top.width and bottom.width and abs(top.width - bottom.width) <= 2:
        ends = True, True
    else:
        ends = top.ends, bottom.ends
    # Compression has smeared the edge.
    above, below = (
        bar.width + 2 if bar.width and end else 0
        for bar, end in zip((top, bottom), ends, strict=True)
    )
    return above, below


class _Bar(NamedTuple):
    width: int
    ends: bool  # everywhere at once


def _bar(image: np.ndarray) -> _Bar:
    """The rows from the top on that have one grey."""
    first = image[0].astype(int)
    grey = np.median(first, axis=0)
    if np.ptp(grey) > _BAR_SPREAD:
        return _Bar(0, False)
    differs = (np.abs(image.astype(np.int16) - grey.astype(np.int16)) > _BAR_SPREAD).any(axis=2)
    share = differs.mean(axis=1)
    inside = np.flatnonzero(share > _BAR_OUTLIERS)
    if not len(inside) or not inside[0]:
        return _Bar(0, False)
    width = int(inside[0])
    # Compression has smeared the picture into the bar, as far as its blocks of 8 pixels reach.
    steps = np.flatnonzero(share[width : width + 10] > _BAR_STEP)
    return _Bar(width + int(steps[0]), True) if len(steps) else _Bar(width, False)


def _read_verdicts(path: Path) -> list[Verdict]:
    """The lines that are whole; the file is made so, and begun if it is not there."""
    header = ",".join(Verdict._fields) + "\n"
    text = path.read_bytes().decode() if path.exists() else header
    whole = text[: text.rfind("\n") + 1] or header
    write(path, whole.encode())
    return [Verdict(*row) for row in csv.reader(io.StringIO(whole))][1:]


def _below(folder: str, path: Path) -> str:
    return path.relative_to(folder).as_posix()
