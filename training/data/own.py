"""A data set of one's own: a folder that ``training.record`` wrote, with or without labels.

In it are ``rgb/NAME.jpg``; ``depth/NAME.png``, 16-bit millimetres with 0 for unknown;
``label/NAME.png``, class ids with 255 where there is none, as ``training.prepare labels`` writes
them; ``camera.yaml``, ``classes.yaml``, and the lists ``train.txt`` and ``val.txt``. An image may
lack its depth or its labels.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path

import numpy as np
import yaml

from sosd_ros.camera import Intrinsics
from sosd_ros.labels import UNLABELLED, LabelSet
from sosd_ros.reasons import first_line
from sosd_ros.weights import DepthKind

from ..config import Folder
from . import nyuv2, own_classes
from .errors import DataError
from .files import check_present, metres, read_colour, read_grey, read_names
from .sample import DataSet, Sample

CAMERA = "camera.yaml"
LISTS = ("train", "val")  # files of names
# By what is opened, the list of its names, and which part of the list that is.
SPLITS = {
    "train": ("train", 0.0, 1.0),
    "fit": ("train", 0.0, 1.0),
    "val": ("val", 0.0, 1.0),
    "early": ("val", 0.0, 0.5),
    "late": ("val", 0.5, 1.0),
}
_TRUTH = {"depth": "depth", "semantic": "label"}  # folders, by task


LICENCE = "Trained on recordings of its owner, whose terms are theirs."
_UNKNOWN = LabelSet(("unknown",), ((0, 0, 0),))


def data_set(tasks: tuple[str, ...], learned: LabelSet | None = None) -> DataSet:
    """A folder that teaches these tasks.

    Args:
        learned: its classes, to which labels are brought by their names. If empty, they are as they
            stand in the folder, which says what they mean.
    """
    return DataSet(
        title="recordings of your own",
        labels=learned or _UNKNOWN,
        depth=DepthKind("metres"),
        camera=nyuv2.CAMERA,  # until the configuration says which
        scales=nyuv2.SCALES,
        licence=LICENCE,
        open=partial(Own, tasks=tasks, learned=learned),
        tasks=tasks,
    )


class Own:
    """A split of the data set as a sequence of samples.

    Args:
        root: the folder.
        split: one of ``SPLITS``.
        tasks: only images that have the truth of one of these.
        classes: how many there are.
        learned: see :func:`data_set`.

    Raises:
        DataError: if there is no such list, it names no image with such a truth, or one is missing.
    """

    def __init__(
        self,
        root: Path,
        split: str,
        *,
        tasks: Collection[str],
        classes: int = UNLABELLED,
        learned: LabelSet | None = None,
    ) -> None:
        if split not in SPLITS:
            raise DataError(f"{root} has no split {split}; choose one of {', '.join(SPLITS)}")
        listed, start, end = SPLITS[split]
        listing = root / f"{listed}.txt"
        names = read_names(listing, "name a folder that `python -m training.record` wrote")
        self._root, self._classes = root, classes
        self._ids = np.arange(256, dtype=np.uint8)
        if learned is not None and "semantic" in tasks:
            own = read_classes(root)
            self._classes, self._ids = len(own.names), ids_by_name(own, learned)
        folders = [root / _TRUTH[task] for task in sorted(tasks)]
        found = [name for name in names if any((one / f"{name}.png").is_file() for one in folders)]
        self.names = found[round(start * len(found)) : round(end * len(found))]
        if not self.names:
            wanted = " or ".join(str(one) for one in folders)
            raise DataError(f"{listing} names no image of which {wanted} has the truth")
        check_present(listing, (self._image(name) for name in self.names), "record it again")

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """Raises DataError if a file cannot be read, is of another size, or has no such class."""
        name = self.names[index]
        image = read_colour(self._image(name))
        size = image.shape[:2]
        depth, labels = np.full(size, np.nan, np.float32), np.full(size, UNLABELLED, np.uint8)
        if (path := self._root / "depth" / f"{name}.png").is_file():
            depth = metres(self._read(path, np.uint16, size))
        if (path := self._root / "label" / f"{name}.png").is_file():
            labels = self._read(path, np.uint8, size)
            wrong = labels[(labels >= self._classes) & (labels != UNLABELLED)]
            if wrong.size:
                raise DataError(
                    f"{path} has the class {wrong[0]}, expected 0 to {self._classes - 1} or "
                    f"{UNLABELLED}; bring the labels here by `python -m training.prepare labels`"
                )
        return Sample(image, depth, self._ids[labels])

    def _image(self, name: str) -> Path:
        return self._root / "rgb" / f"{name}.jpg"

    def _read(self, path: Path, dtype: np.typing.DTypeLike, size: tuple[int, int]) -> np.ndarray:
        pixels = read_grey(path, dtype)
        if pixels.shape != size:
            found, wanted = ("x".join(map(str, one)) for one in (pixels.shape, size))
            raise DataError(f"{path} is {found}, but its image is {wanted}; make it anew")
        return pixels


def ids_by_name(own: LabelSet, learned: LabelSet) -> np.ndarray:
    """(256,) uint8: for each label the learned class of the same name, or unlabelled."""
    ids = np.full(256, UNLABELLED, np.uint8)
    for place, name in enumerate(own.names):
        if name in learned.names:
            ids[place] = learned.names.index(name)
    return ids


def read_folder(root: Path, learned: LabelSet | None = None) -> Folder:
    """What a folder says of itself.

    Args:
        learned: the classes to learn; those of the folder's labels if empty.

    Raises:
        DataError: if it has no camera, or neither classes nor depth.
    """
    one = read_camera(root)
    own = own_classes.read_classes(root / own_classes.FILE) if has_classes(root) else None
    known = own is not None and (learned is None or {*own.names} & {*learned.names})
    return Folder(
        camera=(one.fx, one.fy, one.width, one.height),
        classes=learned or own or _UNKNOWN,
        tasks=("depth", "semantic") if known else ("depth",),
    )


def has_classes(root: Path) -> bool:
    return (root / own_classes.FILE).is_file()


def read_classes(root: Path) -> LabelSet:
    """The classes of the folder's labels. Raises DataError if it does not say them."""
    path = root / own_classes.FILE
    if not has_classes(root):
        raise DataError(
            f"{root} has no {own_classes.FILE}, and so no labels: bring some by `python -m "
            "training.prepare labels`, or let it teach depth alone (tasks: [depth])"
        )
    return own_classes.read_classes(path)


def read_camera(root: Path) -> Intrinsics:
    """The camera of the folder's images.

    Raises:
        DataError: if the file is missing or holds none.
    """
    path = root / CAMERA
    try:
        content = yaml.safe_load(path.read_text())
        fx, _, cx, _, _, fy, cy, *_ = content["projection_matrix"]["data"]
        return Intrinsics(fx, fy, cx, cy, content["image_width"], content["image_height"])
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise DataError(
            f"{path} holds no camera ({first_line(error)}); expected the form of "
            "camera_info_manager, as `python -m training.record` writes it"
        ) from error
