"""Cityscapes, from its official tree: ``leftImg8bit``, ``gtFine``, ``disparity``, ``camera``."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sosd_ros.camera import Intrinsics
from sosd_ros.labels import CITYSCAPES19, UNLABELLED
from sosd_ros.weights import DepthKind

from .errors import DataError
from .files import check_names, listed, read_sample
from .sample import DataSet, Sample
from .transforms import resize

LICENCE = (
    "Trained on Cityscapes (Cordts et al., CVPR 2016), which is for research and other "
    "non-commercial use; see the data set's terms before any other."
)
# What the paper scales training images by.
SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
# The label id of each of the 19 classes that are evaluated, in the order of their train ids.
LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)

SPLITS = ("train", "val")

_ENDINGS = {
    "leftImg8bit": "_leftImg8bit.png",
    "disparity": "_disparity.png",
    "gtFine": "_gtFine_labelIds.png",
    "camera": "_camera.json",
}


class StereoCamera(NamedTuple):
    """The left camera, in pixels of 1024x2048, and the distance to the right one in metres.

    A point of disparity d pixels lies at Z = fx * baseline / d metres.
    """

    intrinsics: Intrinsics
    baseline: float


# The usual calibration. Some cities have others: `prepare cityscapes` prints how far they lie.
CAMERA = StereoCamera(
    Intrinsics(2262.52, 2265.3017905988554, 1096.98, 513.137, 2048, 1024), 0.209313
)


class FrameFiles(NamedTuple):
    """Of one frame, in the order of ``_ENDINGS``."""

    image: Path
    disparity: Path
    labels: Path
    camera: Path


def data_set(size: tuple[int, int], disparity_divisor: float = 1.0) -> DataSet:
    """Cityscapes at (height, width); disparity in pixels of the full-size images, divided."""
    return DataSet(
        title="Cityscapes",
        labels=CITYSCAPES19,
        depth=DepthKind(
            "disparity",
            focal_length=CAMERA.intrinsics.fx / disparity_divisor,
            baseline=CAMERA.baseline,
        ),
        camera=CAMERA.intrinsics,
        scales=SCALES,
        licence=LICENCE,
        open=partial(Cityscapes, size=size, disparity_divisor=disparity_divisor),
    )


class Cityscapes:
    """A split of the data set as a sequence of samples of one size.

    Args:
        root: the folder with the four official ones, or a cache of the same shape.
        split: ``train`` or ``val``.
        size: (height, width) of the samples; larger files are resized.
        disparity_divisor: 1 leaves disparity in pixels of the full-size images.

    Raises:
        DataError: if there is no such split or no frame, a frame lacks a file, or a file its image.
    """

    def __init__(
        self, root: Path, split: str, size: tuple[int, int], disparity_divisor: float = 1.0
    ) -> None:
        if split not in SPLITS:
            raise DataError(f"Cityscapes has no split {split}; choose one of {', '.join(SPLITS)}")
        self._root, self._split, self._size = root, split, size
        self._divisor = disparity_divisor
        found = {folder: _found(root, split, folder) for folder in _ENDINGS}
        if not any(found.values()):
            raise DataError(
                f"{root} has no frame in leftImg8bit/{split}; let --data, --root or "
                f"SOSD_CITYSCAPES name the folder with {', '.join(_ENDINGS)}"
            )
        _refuse_differences(root, split, found)
        self.names = sorted(found["leftImg8bit"])
        check_names(root / "leftImg8bit" / split, [Path(name).name for name in self.names])

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """Raises DataError as :meth:`stored` does, or if a label is not an official one."""
        image, stored, ids = self.stored(index)
        labels = _TRAIN_IDS[ids]
        if (labels == _NO_LABEL).any():
            wrong = ids[labels == _NO_LABEL].max()
            raise DataError(
                f"{self._files(index).labels} has a label {wrong}, expected the official 0 to 33 "
                "or 255; put the original file there"
            )
        disparity = (stored.astype(np.float32) - 1) / np.float32(256 * self._divisor)
        disparity[stored == 0] = np.nan
        return Sample(image, disparity, labels)

    def stored(self, index: int) -> Sample:
        """A frame at this size with the values of the files: label ids, and 16-bit disparity.

        Raises:
            DataError: as ``files.read_sample`` does, or if the files are smaller than the size.
        """
        paths = self._files(index)
        sample = read_sample(paths.image, paths.disparity, paths.labels)
        height, width = sample.labels.shape
        if height < self._size[0] or width < self._size[1]:
            raise DataError(
                f"{paths.image} is {height}x{width}, smaller than the {self._size[0]}x"
                f"{self._size[1]} asked for; use larger files or a smaller size"
            )
        return resize(sample, self._size)

    def camera(self, index: int) -> StereoCamera:
        """The calibration of a frame.

        Raises:
            DataError: if its file cannot be read or lacks a number.
        """
        path = self._files(index).camera
        try:
            values = json.loads(path.read_text())
            fx, fy, u0, v0 = (float(values["intrinsic"][key]) for key in ("fx", "fy", "u0", "v0"))
            baseline = float(values["extrinsic"]["baseline"])
            return StereoCamera(Intrinsics(fx, fy, u0, v0, 2048, 1024), baseline)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path} is not a calibration with fx, fy, u0, v0 and baseline; unpack it again"
            ) from error

    def _files(self, index: int) -> FrameFiles:
        return files(self._root, self._split, self.names[index])


def files(root: Path, split: str, name: str) -> FrameFiles:
    """Where the files of the frame ``city/city_sequence_frame`` lie."""
    return FrameFiles(*(root / folder / split / f"{name}{end}" for folder, end in _ENDINGS.items()))


def _found(root: Path, split: str, folder: str) -> set[str]:
    """The frames of which a folder has a file."""
    ending = _ENDINGS[folder]
    paths = (root / folder / split).glob(f"*/*{ending}")
    return {f"{path.parent.name}/{path.name.removesuffix(ending)}" for path in paths}


def _refuse_differences(root: Path, split: str, found: dict[str, set[str]]) -> None:
    """The folders must have the same frames."""
    images = found["leftImg8bit"]
    every = [
        (name, path, name in found[folder])
        for name in sorted(set().union(*found.values()))
        for path, folder in zip(files(root, split, name), _ENDINGS, strict=True)
    ]
    missing = [path for name, path, is_there in every if name in images and not is_there]
    extra = [path for name, path, is_there in every if name not in images and is_there]
    if missing or extra:
        raise DataError(
            f"{root}: {', '.join(_ENDINGS)} must hold the same frames of {split}; unpack them "
            "again, or finish `python -m training.prepare cityscapes`"
            + (f"\nmissing, {len(missing)}:\n{listed(missing)}" if missing else "")
            + (f"\nwithout an image, {len(extra)}:\n{listed(extra)}" if extra else "")
        )


# Train ids by label id. Label ids end at 33; 255 is what the licence plate's -1 becomes in 8 bits.
_NO_LABEL = 254
_TRAIN_IDS = np.full(256, _NO_LABEL, np.uint8)
_TRAIN_IDS[[*range(34), 255]] = UNLABELLED
_TRAIN_IDS[list(LABEL_IDS)] = np.arange(len(LABEL_IDS))
