"""CamVid (Brostow et al., 2008), from a folder of images: ``rgb``, ``labels`` and lists of names.

It is the public copy with 701 frames of 360x480 and 11 classes, which SegNet was trained on. It has
no depth, and nobody states its camera.
"""

from __future__ import annotations

import math
from itertools import chain
from pathlib import Path

import numpy as np

from sosd_ros.camera import Intrinsics
from sosd_ros.labels import CAMVID11, UNLABELLED
from sosd_ros.weights import DepthKind

from .errors import DataError
from .files import check_present, read_names, read_sample
from .sample import DataSet, Sample

LICENCE = (
    "Trained on CamVid (Brostow et al., 2008), from a copy for personal and research use only; see "
    "its terms before any other."
)
SPLITS = ("train", "val", "test")
SIZE = (360, 480)
VOID = len(CAMVID11.names)  # in the files
# A guess of 60 degrees across. Nothing is computed by it: depth is learned from other sources, as
# their camera shows it.
_FOCAL = 240 / math.tan(math.radians(30))
CAMERA = Intrinsics(_FOCAL, _FOCAL, 239.5, 179.5, 480, 360)


def data_set() -> DataSet:
    """CamVid with its 11 classes, scaled in training as the paper scales Cityscapes."""
    return DataSet(
        title="CamVid",
        labels=CAMVID11,
        depth=DepthKind("metres"),
        camera=CAMERA,
        scales=(0.5, 0.75, 1.0, 1.25, 1.5, 1.75),
        licence=LICENCE,
        open=CamVid,
        tasks=("semantic",),
    )


class CamVid:
    """A split of the data set as a sequence of samples whose depth is unknown.

    In the folder are ``rgb/NAME.png`` and ``labels/NAME.png`` with the classes from 0 and 11 for
    what has none.

    Args:
        root: the folder.
        split: ``train``, ``val`` or ``test``: the list of names ``<split>.txt`` in it.

    Raises:
        DataError: if there is no such split, or a file is missing.
    """

    def __init__(self, root: Path, split: str) -> None:
        if split not in SPLITS:
            raise DataError(f"CamVid has no split {split}; choose one of {', '.join(SPLITS)}")
        listing = root / f"{split}.txt"
        self.names = read_names(
            listing,
            "point --data (or SOSD_CAMVID) at a folder that `python -m training.prepare camvid` "
            "wrote",
        )
        self._files = [
            (root / "rgb" / f"{name}.png", root / "labels" / f"{name}.png") for name in self.names
        ]
        check_present(listing, chain(*self._files), "prepare the data set again")

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """Raises DataError as ``files.read_sample`` does, or if a label is out of range."""
        picture, ids = self._files[index]
        image, _, labels = read_sample(picture, None, ids)
        if labels.max() > VOID:
            raise DataError(
                f"{ids} has a label {labels.max()}, expected 0 to {VOID}; "
                "prepare the data set again"
            )
        unknown = np.full(labels.shape, np.nan, np.float32)
        return Sample(image, unknown, np.where(labels == VOID, UNLABELLED, labels))
