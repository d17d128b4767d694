"""NYU Depth v2 as it is distributed: ``nyu_depth_v2_labeled.mat`` and the small files with it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import scipy.io

from sosd_ros.labels import NYU40

from .errors import DataError
from .files import listed
from .nyuv2 import GROUPS13


class OfficialFrame(NamedTuple):
    """A frame in the types of our files.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        depth: (H, W) uint16 millimetres, in-painted.
        raw_depth: (H, W) uint16 millimetres, 0 where the sensor saw nothing.
        labels: (H, W) uint8, 0 unlabelled, 1..40 the classes.
    """

    image: np.ndarray
    depth: np.ndarray
    raw_depth: np.ndarray
    labels: np.ndarray


class OfficialNYUv2:
    """The frames of the .mat file, read one by one.

    It is a MATLAB v7.3 file, which is HDF5 with the axes reversed: ``images`` is (N, 3, W, H);
    ``depths``, ``rawDepths`` and ``labels`` are (N, W, H); ``names`` lists 894 classes.

    Args:
        mat: ``nyu_depth_v2_labeled.mat``.
        classes40: ``classMapping40.mat``, which maps the 894 classes to 40.

    Attributes:
        size: (height, width) of the frames.

    Raises:
        DataError: if a file cannot be read or is not what its name says.
    """

    def __init__(self, mat: Path, classes40: Path) -> None:
        self._mat = mat
        try:
            file = h5py.File(mat, "r")
            self._images, self._depths, self._raw_depths, self._labels = (
                file[name] for name in ("images", "depths", "rawDepths", "labels")
            )
            names = file["names"].size
        except (OSError, KeyError) as error:
            raise DataError(
                f"{mat} is not a whole nyu_depth_v2_labeled.mat ({error.args[-1]}); "
                "download it again"
            ) from error
        shape, maps = self._images.shape, [part.shape for part in self._maps()]
        if (
            shape[1:2] != (3,)
            or self._images.dtype != np.uint8
            or set(maps) != {(shape[0], *shape[2:])}
        ):
            raise DataError(
                f"{mat} holds {self._images.dtype} images of {shape} and maps of {maps}, expected "
                "uint8, (N, 3, W, H) and three times (N, W, H); download it again"
            )
        self.size: tuple[int, int] = (shape[3], shape[2])
        self._class40 = _read_classes40(classes40, names)

    def __len__(self) -> int:
        return len(self._images)

    def frame(self, number: int) -> OfficialFrame:
        """Frame ``number``, counted from 1 as the official lists do.

        Raises:
            DataError: if it cannot be read, or holds a depth or a label out of range.
        """
        place = f"frame {number} of {self._mat}"
        try:
            image, depth, raw_depth, labels = (
                part[number - 1].T for part in (self._images, *self._maps())
            )
        except OSError as error:
            raise DataError(f"{place} is damaged; download the file again") from error
        if labels.max() >= len(self._class40):
            raise DataError(
                f"{place} has a label {labels.max()}, expected 0 to {len(self._class40) - 1}; "
                "download the file again"
            )
        return OfficialFrame(
            np.ascontiguousarray(image),
            _millimetres(depth, place),
            _millimetres(raw_depth, place),
            self._class40[labels],
        )

    def _maps(self) -> tuple[h5py.Dataset, ...]:
        return self._depths, self._raw_depths, self._labels


def read_splits(path: Path, frames: int) -> dict[str, list[int]]:
    """The numbers of the ``train`` and ``val`` frames, from ``splits.mat``.

    Raises:
        DataError: if it cannot be read, a list is empty, or a number stands twice or is not one
            of 1 to ``frames``.
    """
    train, val = (
        _variable(path, name).ravel().astype(int).tolist() for name in ("trainNdxs", "testNdxs")
    )
    if not (train and val):
        raise DataError(f"{path} has an empty split; download it again")
    numbers = train + val
    wrong = sorted({n for n in numbers if not 1 <= n <= frames or numbers.count(n) > 1})
    if wrong:
        raise DataError(
            f"{path} has numbers that stand twice or are not of 1 to {frames}, the frames of the "
            f".mat file; download both again:\n{listed(wrong)}"
        )
    return {"train": train, "val": val}


def check_classes13(path: Path) -> None:
    """Compare ``class13Mapping.mat`` with the groups of the 40 classes that we use.

    Raises:
        DataError: if it cannot be read or says something else.
    """
    variable = _variable(path, "classMapping13")
    if "labels13" not in (variable.dtype.names or ()):
        raise DataError(f"{path} has no classMapping13.labels13; download it again")
    groups = variable["labels13"].item().ravel().tolist()
    differing = [
        f"{name}: {theirs}, expected {ours}"
        for name, theirs, ours in zip(NYU40.names, groups, GROUPS13, strict=False)
        if theirs != ours
    ]
    if len(groups) != len(GROUPS13) or differing:
        raise DataError(
            f"{path} maps {len(groups)} classes, of which {len(differing)} to other groups than "
            f"the official 13; download it again\n{listed(differing)}"
        )


def _read_classes40(path: Path, names: int) -> np.ndarray:
    """The class 0..40 of every official label 0..894, uint8."""
    classes = _variable(path, "mapClass").ravel()
    if len(classes) != names or not np.isin(classes, range(1, 41)).all():
        raise DataError(
            f"{path} maps {len(classes)} classes to {set(classes.tolist())}, expected the {names} "
            "of the .mat file to 1..40; download it again"
        )
    return np.concatenate([[0], classes]).astype(np.uint8)


def _variable(path: Path, name: str) -> np.ndarray:
    """A variable of a MATLAB v5 file."""
    try:
        return scipy.io.loadmat(str(path), appendmat=False)[name]
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; download it, or give its path") from error
    except Exception as error:  # a damaged file gives errors of many types
        raise DataError(f"{path} is not a MATLAB file with {name}; download it again") from error


def _millimetres(metres: np.ndarray, place: str) -> np.ndarray:
    if not (metres.min() >= 0 and metres.max() < 65.535):  # nor is NaN
        raise DataError(
            f"{place} has depths of {metres.min()} to {metres.max()}, expected 0 to 65.5 m; "
            "download the file again"
        )
    return np.rint(metres * 1000).astype(np.uint16)
