"""The data sets by the name that a configuration gives them."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np

from sosd_ros.camera import Intrinsics
from sosd_ros.network import TASKS

from .. import config
from ..config import Data
from . import camvid, cityscapes, nyuv2, own
from .errors import DataError
from .sample import DataSet, Part, Samples
from .sources import Source, Sources, class_ids

# Where the data lies if no command line says so: an environment variable, or beside the checkout.
_ROOTS = {"nyuv2": "SOSD_NYUV2", "cityscapes": "SOSD_CITYSCAPES", "camvid": "SOSD_CAMVID"}
_PHOTOGRAPHS = (
    " Also trained on photographs without labels, of other origin: for research, unless their "
    "terms are known to allow more."
)
_AUGMENTATION = {
    *("chance", "rotation", "tint", "gamma", "blur", "noise", "cutmix", "crop", "truth_stride"),
}
_BESIDE = Path(__file__).parents[2] / "../shared/data"


def data_set(data: Data) -> DataSet:
    """What a configuration learns: the data set that it names, with its options.

    A data set without depth has that of the first source that teaches it: its unit and camera.
    """
    chosen = _own(data) if data.name == "own" else _named(data.name, data)
    sources = [(source, _of(source, data)) for source in data.sources]
    depth = [itself for source, itself in sources if "depth" in source.taught]
    if "depth" not in chosen.tasks and depth:
        chosen = dataclasses.replace(chosen, depth=depth[0].depth, camera=depth[0].camera)
    licences = dict.fromkeys(itself.licence for _, itself in sources) or [chosen.licence]
    return dataclasses.replace(
        chosen,
        licence=data.licence or " ".join(licences) + (_PHOTOGRAPHS if data.photographs else ""),
        scales=data.scales or chosen.scales,
        **data.model_dump(include=_AUGMENTATION),
    )


def with_folders(settings: config.Config, root: Path | None = None) -> config.Config:
    """The same settings with what each folder of one's own says of itself.

    So what is written beside a training, and into its weights, needs the folder no more.

    Args:
        root: the folder of the data set ``data.name``.

    Raises:
        DataError: if a folder says no camera, or there is none.
    """
    sources = []
    for source in settings.data.sources:
        if source.name == "own" and source.camera is None:
            assert source.root is not None
            one = own.read_camera(source.root)
            camera = one.fx, one.fy, one.width, one.height
            source = source.model_copy(update={"camera": camera})
        sources.append(source)
    data = settings.data.model_copy(update={"sources": tuple(sources)})
    if data.name == "own" and data.own is None:
        folder = own.read_folder(root or default_root("own"))
        data = data.model_copy(update={"own": folder})
        # Now it is known what it teaches, and so whether the network can learn from it.
        return config.Config.model_validate({**settings.model_dump(), "data": data.model_dump()})
    return settings.model_copy(update={"data": data})


def _named(name: str, data: Data, tasks: tuple[str, ...] = TASKS) -> DataSet:
    if name == "cityscapes":
        return cityscapes.data_set(data.size, data.disparity_divisor)
    if name == "camvid":
        return camvid.data_set()
    if name == "own":
        return own.data_set(tasks)
    return nyuv2.data_set(data.classes or 40, raw_depth=data.raw_depth, tasks=tasks)


def _of(source: config.Source, data: Data) -> DataSet:
    """The data set of a source, with its camera."""
    chosen = _named(source.name, data, source.taught)
    if source.camera is None:
        return chosen
    return dataclasses.replace(chosen, camera=_camera(*source.camera))


def _own(data: Data) -> DataSet:
    """The data set of a folder of one's own that has been looked into."""
    if data.own is None:
        raise DataError(
            "data.own is missing, which says the camera and the classes of the folder; a training "
            "fills it in"
        )
    chosen = own.data_set(data.own.tasks, data.own.classes)
    return dataclasses.replace(chosen, camera=_camera(*data.own.camera))


def _camera(fx: float, fy: float, width: int, height: int) -> Intrinsics:
    return Intrinsics(fx, fy, (width - 1) / 2, (height - 1) / 2, width, height)


def open_training(data: Data, root: Path) -> Samples:
    """The samples to learn from.

    Metres of every source are those that the training's camera would have to say: by eq. 3 an
    answer is multiplied by the camera's focal length over that of the training.

    Args:
        root: the folder of the data set ``data.name``, and of its sources that name none.

    Raises:
        DataError: if a source cannot be opened, or does not fit what is learned.
    """
    learned = data_set(data)
    if not data.sources:
        return learned.open(root, data.split)
    return Sources([_opened(number, data, learned, root) for number in range(len(data.sources))])


def _opened(number: int, data: Data, learned: DataSet, root: Path) -> Source:
    where, source = f"data.sources.{number}", data.sources[number]
    itself = _of(source, data)
    is_main = source.name == data.name and source.root in (None, root)
    folder = source.root or (root if is_main else default_root(source.name))
    first, step = source.part
    whole = itself.open(folder, source.split)
    samples = Part(whole, range(first, len(whole), step))
    if not len(samples):
        raise DataError(f"{where}.part {[first, step]} is empty: {folder} has {len(whole)} samples")
    factor = 1.0
    if "depth" in source.taught:
        if itself.depth != learned.depth:
            raise DataError(
                f"{where} has depth as {itself.depth}, but {learned.depth} is learned; let it "
                "teach semantic alone, by its tasks"
            )
        factor = learned.focal(data.size) / itself.focal(data.size)
    ids = np.empty(0, np.uint8)
    if "semantic" in source.taught:
        classes = own.read_classes(folder) if source.name == "own" else itself.labels
        ids = class_ids(source.labels, classes, learned.labels, f"{where}.labels")
    # What is measured on is known by its names: those of other folders must not be like them.
    names = samples.names if is_main else [f"{folder}: {name}" for name in samples.names]
    return Source(samples, names, frozenset(source.taught), source.share, factor, ids)


def default_root(name: str) -> Path:
    """The folder that ``SOSD_NYUV2``, ``SOSD_CITYSCAPES`` or ``SOSD_CAMVID`` names.

    Or else one beside this checkout.

    Raises:
        DataError: of ``own``, which lies wherever it was recorded.
    """
    if name not in _ROOTS:
        raise DataError(f"data.name {name} is a folder of your own; say which, by --data")
    return Path(os.environ.get(_ROOTS[name], _BESIDE / name))
