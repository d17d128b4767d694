"""Photographs that teachers have labelled: ``python -m training.teach`` writes them.

Of every pixel there are the three likeliest classes, and a depth which is right up to one factor
an image, since nobody knows the photograph's camera: it is what the depth would be if the training
camera had taken the picture.
"""

from __future__ import annotations

import json
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from sosd_ros import atomic
from sosd_ros.labels import UNLABELLED

from .errors import DataError
from .files import check_names, check_present, read_colour, read_grey, write_png
from .sample import DataSet, Sample
from .transforms import augment

SIZE = (240, 320)  # of what the teachers say
BEST = 3  # classes of a pixel
# Of one step in the files: of depth in metres, of probabilities, and of the spread of log depth.
DEPTH_UNIT, SCORE_UNIT, SPREAD_UNIT = 0.001, 1 / 255, 1 / 250
# Depth is unknown where the teachers' log depths spread more.
DOUBT = 0.15

# Stands for an epoch where photographs are shuffled; none comes so far.
_SHUFFLE = 2**32 - 1


class PseudoLabels(NamedTuple):
    """What teachers say of a picture, with one line for each of the height H and W columns.

    Attributes:
        classes: (H, W, 3) uint8 class ids, the likeliest first.
        scores: (H, W, 3) float32, their probabilities.
        depth: (H, W) float32 metres.
        spread: (H, W) float32, standard deviation of log depth over teachers and views.
    """

    classes: np.ndarray
    scores: np.ndarray
    depth: np.ndarray
    spread: np.ndarray


class PhotographFiles(NamedTuple):
    """Of one photograph."""

    image: Path
    classes: Path
    scores: Path
    depth: Path
    spread: Path


def files(root: Path, name: str) -> PhotographFiles:
    """Where the files of a photograph lie."""
    maps = (root / it / f"{name}.png" for it in ("classes", "scores", "depth", "spread"))
    return PhotographFiles(root / "rgb" / f"{name}.jpg", *maps)


def write(root: Path, name: str, photograph: Path, answer: PseudoLabels) -> None:
    """Write what teachers say of a photograph, and last the photograph itself."""
    paths = files(root, name)
    write_png(paths.classes, answer.classes)
    write_png(paths.scores, _rounded(answer.scores / SCORE_UNIT, np.uint8))
    write_png(paths.depth, _rounded(answer.depth / DEPTH_UNIT, np.uint16))
    write_png(paths.spread, _rounded(answer.spread / SPREAD_UNIT, np.uint8))
    paths.image.parent.mkdir(exist_ok=True)
    atomic.make(paths.image, lambda partial: atomic.link(photograph, partial))


def _rounded(values: np.ndarray, dtype: type[np.unsignedinteger]) -> np.ndarray:
    """To the nearest whole numbers that the type holds."""
    return np.clip(np.rint(values), 0, np.iinfo(dtype).max).astype(dtype)


class SoftSample(NamedTuple):
    """A sample with two more classes for every pixel, of a photograph or of the true data.

    Attributes:
        image, depth, labels: as of a ``Sample``; the labels are the likeliest classes.
        soft: (H, W, 4) uint8: two more classes, and their probabilities in 1/255. What is left is
            the probability of the label.
        photograph: whether depth is the teachers', and so right up to a factor.
    """

    image: np.ndarray
    depth: np.ndarray
    labels: np.ndarray
    soft: np.ndarray
    photograph: bool


def certain(sample: Sample) -> SoftSample:
    """A sample of the true data, whose labels are certain."""
    return SoftSample(*sample, np.zeros((*sample.labels.shape, 4), np.uint8), False)


class Photographs:
    """A folder that ``training.teach`` wrote.

    Args:
        root: the folder.
        data: with the classes that are trained.
        split: the list of names ``<split>.txt`` in it.

    Raises:
        DataError: if the folder is not complete, or of other classes.
    """

    def __init__(self, root: Path, data: DataSet, split: str = "train") -> None:
        listing, meta = root / f"{split}.txt", root / "meta.json"
        try:
            self.names = listing.read_text().split()
            classes = json.loads(meta.read_text())["classes"]
        except (OSError, ValueError, KeyError) as error:
            raise DataError(
                f"{listing} and {meta} cannot be read; let data.photographs name a folder that "
                "`python -m training.teach` wrote to its end"
            ) from error
        check_names(listing, self.names)
        if tuple(classes) != tuple(data.labels.names):
            raise DataError(
                f"{meta} has {len(classes)} classes, {classes[0]} first, which are not the "
                f"{len(data.labels.names)} of {data.title} here; label the photographs with "
                "teachers of these"
            )
        self._files = [files(root, name) for name in self.names]
        check_present(listing, chain(*self._files), "label the photographs again")

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[np.ndarray, PseudoLabels]:
        """(H, W, 3) uint8 RGB of any size, and what the teachers say at ``SIZE``.

        Raises:
            DataError: naming a file that cannot be read or has another size.
        """
        paths = self._files[index]
        answer = PseudoLabels(
            read_colour(paths.classes),
            read_colour(paths.scores).astype(np.float32) * np.float32(SCORE_UNIT),
            read_grey(paths.depth, np.uint16).astype(np.float32) * np.float32(DEPTH_UNIT),
            read_grey(paths.spread, np.uint8).astype(np.float32) * np.float32(SPREAD_UNIT),
        )
        for path, part in zip(paths[1:], answer, strict=True):
            if part.shape[:2] != SIZE:
                raise DataError(
                    f"{path} is {part.shape[0]}x{part.shape[1]}, expected {SIZE[0]}x{SIZE[1]}; "
                    "label the photographs again"
                )
        return read_colour(paths.image), answer

    def augmented(
        self, index: int, size: tuple[int, int], data: DataSet, random: np.random.Generator
    ) -> SoftSample:
        """A photograph with what belongs to it, after :func:`transforms.augment`."""
        image, answer = self[index]
        depth = np.where(answer.spread > DOUBT, np.nan, answer.depth)
        target = image.shape[1], image.shape[0]
        depth = cv2.resize(depth, target, interpolation=cv2.INTER_NEAREST_EXACT)
        # Where pixels come from tells all that they bring along; the last place is outside.
        moved = augment(Sample(image, depth, _places(target)), size, data, random)
        places = moved.labels.astype(np.intp) - _FIRST
        labels = np.append(answer.classes[..., 0], np.uint8(UNLABELLED))[places]
        soft = np.append(_soft(answer), np.uint32(0))[places]
        soft = soft[..., None].view(np.uint8)
        return SoftSample(moved.image, moved.depth, labels, soft, True)


def _soft(answer: PseudoLabels) -> np.ndarray:
    """(H, W) uint32: the four bytes of ``SoftSample.soft``, with probabilities that sum to 1."""
    share = np.rint(255 * answer.scores / answer.scores.sum(-1, keepdims=True).clip(SCORE_UNIT))
    parts = [answer.classes[..., 1:], share[..., 1:].astype(np.uint8)]
    return np.concatenate(parts, -1).view(np.uint32)[..., 0]


_FIRST = UNLABELLED + 1  # so that what transforms write outside of the picture is place -1


@lru_cache(16)
def _places(target: tuple[int, int]) -> np.ndarray:
    """Of every pixel of (width, height) the place in what the teachers say, from ``_FIRST`` on."""
    places = np.arange(_FIRST, _FIRST + SIZE[0] * SIZE[1], dtype=np.float32).reshape(SIZE)
    return cv2.resize(places, target, interpolation=cv2.INTER_NEAREST_EXACT)


class Mix:
    """Which places of a mini-batch photographs have, and which photographs come there.

    Photographs are spread evenly over the mini-batch, so that its parts have as many as they can.
    All of them come before one comes again, over as many epochs as that takes.

    Args:
        batch_size: of all processes together.
        photographs: how many there are.
        share: of a mini-batch that is photographs; 0 for none.
        seed: of their order.

    Raises:
        ValueError: if a mini-batch would have no photograph, or nothing else.
    """

    def __init__(self, batch_size: int, photographs: int, share: float, seed: int) -> None:
        self.batch_size, self.photographs, self.seed = batch_size, photographs, seed
        self.in_batch = round(batch_size * share)
        if share and not 0 < self.in_batch < batch_size:
            raise ValueError(
                f"photographs_share {share:g} of batch_size {batch_size} is {self.in_batch} "
                "samples, expected one at least and fewer than all; change one of them"
            )
        self._shuffled: tuple[int, np.ndarray] = (-1, np.empty(0, int))

    def before(self, place: int) -> int:
        """How many photographs a mini-batch has before a place."""
        return place * self.in_batch // self.batch_size

    def photograph(self, batch: int, place: int) -> int | None:
        """The photograph at a place of a mini-batch, counted over all epochs; None if none is."""
        if self.before(place + 1) == self.before(place):
            return None
        passes, rest = divmod(batch * self.in_batch + self.before(place), self.photographs)
        if self._shuffled[0] != passes:
            random = np.random.default_rng((self.seed, _SHUFFLE, passes))
            self._shuffled = passes, random.permutation(self.photographs)
        return int(self._shuffled[1][rest])
