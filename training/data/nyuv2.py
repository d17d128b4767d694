"""NYU Depth v2, from a folder of images: ``rgb``, ``depth``, ``label40`` and lists of names."""

from __future__ import annotations

from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sosd_ros.camera import Intrinsics
from sosd_ros.labels import NYU13, NYU40, UNLABELLED
from sosd_ros.network import TASKS
from sosd_ros.weights import DepthKind

from . import held_back
from .errors import DataError
from .files import check_present, metres, read_names, read_sample
from .sample import DataSet, Sample

# The Kinect's RGB camera, from the data set's toolbox (Silberman et al., ECCV 2012).
CAMERA = Intrinsics(518.858, 519.470, 325.582, 253.736, 640, 480)
LICENCE = (
    "Trained on NYU Depth v2 (Silberman et al., ECCV 2012), whose images come without a stated "
    "licence: for research; check the terms of the data before other use."
)
# What the paper scales training images by.
SCALES = (1.0, 1.2, 1.5)
# For each of the 40 classes its group, counted from 1 (Couprie et al., ICLR 2013).
# fmt: off
GROUPS13 = (
    12, 5, 6, 1, 4, 9, 10, 12, 13, 6, 8, 6, 13, 10, 6, 13, 6, 7, 7, 5,
    7, 3, 2, 6, 11, 7, 7, 7, 7, 7, 7, 6, 7, 7, 7, 7, 7, 7, 6, 7,
)
# fmt: on


def data_set(
    classes: int = 40, *, raw_depth: bool = False, tasks: tuple[str, ...] = TASKS
) -> DataSet:
    """NYU Depth v2 with 40 or 13 classes, and in-painted depth or the sensor's own.

    Or a folder of the same layout, without the files of a task that it does not teach.
    """
    return DataSet(
        title="NYU Depth v2",
        labels={40: NYU40, 13: NYU13}[classes],
        depth=DepthKind("metres"),
        camera=CAMERA,
        scales=SCALES,
        licence=LICENCE,
        open=partial(NYUv2, classes=classes, raw_depth=raw_depth, tasks=tasks),
        tasks=tasks,
    )


class _Files(NamedTuple):
    """Of one sample."""

    image: Path
    depth: Path | None
    labels: Path | None


class NYUv2:
    """A split of the data set as a sequence of samples.

    In the folder are ``rgb/NAME.png`` or ``.jpg``; ``depth/NAME.png`` and ``depth_raw/NAME.png``,
    16-bit millimetres with 0 for unknown; ``label40/NAME.png``, 0 for unlabelled and the classes
    from 1.

    Args:
        root: the folder.
        split: ``train`` or ``val``: the list of names ``<split>.txt`` in it; or ``fit`` or
            ``held_back``, the two parts of ``train`` that :mod:`held_back` makes.
        classes: 40, or 13 for their groups.
        raw_depth: the sensor's own depth, with its holes, in place of the in-painted.
        tasks: of which truth is read; of the others it is unknown, and needs no files.

    Raises:
        DataError: if the list is empty, names a sample twice or one outside the folder, lacks
            what a part of it goes by, or if a file is missing.
    """

    def __init__(
        self,
        root: Path,
        split: str,
        classes: int = 40,
        *,
        raw_depth: bool = False,
        tasks: tuple[str, ...] = TASKS,
    ) -> None:
        in_parts = split in held_back.SPLITS
        listing = root / f"{'train' if in_parts else split}.txt"
        self.names = read_names(
            listing,
            "point --data (or SOSD_NYUV2) at a folder that `python -m training.prepare nyuv2` "
            "wrote",
        )
        if in_parts:
            self.names = held_back.part(split, listing, self.names)
        depth = "depth_raw" if raw_depth else "depth"
        if "depth" in tasks and not (root / depth).is_dir():
            raise DataError(
                f"{root / depth} does not exist; write it with `python -m training.prepare nyuv2`"
                + (", or set data.raw_depth=false for in-painted depth" if raw_depth else "")
            )
        self._files = [
            _Files(
                _image(root, name),
                root / depth / f"{name}.png" if "depth" in tasks else None,
                root / "label40" / f"{name}.png" if "semantic" in tasks else None,
            )
            for name in self.names
        ]
        check_present(listing, filter(None, chain(*self._files)), "copy the data set again")
        self._class_ids = np.full(256, UNLABELLED, np.uint8)
        self._class_ids[1:41] = np.arange(40) if classes == 40 else np.array(GROUPS13) - 1

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """Raises DataError as ``files.read_sample`` does, or if a label is out of range."""
        image, millimetres, labels = read_sample(*self._files[index])
        if labels.max() > 40:
            raise DataError(
                f"{self._files[index].labels} has a label {labels.max()}, expected 0 to 40; put "
                "the original file there"
            )
        return Sample(image, metres(millimetres), self._class_ids[labels])


def _image(root: Path, name: str) -> Path:
    lossless = root / "rgb" / f"{name}.png"
    return lossless if lossless.is_file() else lossless.with_suffix(".jpg")
