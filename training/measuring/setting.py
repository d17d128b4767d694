"""What networks are measured on: which images, and what is the truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..config import Data
from ..data import own
from ..data.sample import DataSet, Samples
from ..data.sets import data_set, default_root
from ..networks.trained import Model
from .result import check_classes


@dataclass(frozen=True)
class Setting:
    """A part of a data set.

    Attributes:
        data: the data set, with the options that say what is the truth.
        split: the part's name.
        samples: of the part.
    """

    data: Data
    split: str
    samples: Samples

    @property
    def truth(self) -> DataSet:
        """What is known of the data set."""
        return data_set(self.data)

    def of(self, model: Model) -> str:
        """What a file's network is measured on, in words: images, classes, and which depth."""
        truth, (height, width) = self.truth, self.samples[0].labels.shape
        parts = [
            f"{truth.title} {self.split}",
            f"{len(self.samples)} images at {height}x{width}",
        ]
        if "semantic" in {*model.network.tasks} & {*truth.tasks}:
            answered, known = len(model.manifest.labels.names), len(truth.labels.names)
            parts.append(
                f"{known} classes" + (f" grouped from {answered}" if answered != known else "")
            )
        if "depth" in model.network.tasks:
            parts.append(depth_in_words(self.data))
        return ", ".join(parts)


def open_setting(
    model: Model, data: Data, root: Path | None = None, split: str | None = None
) -> Setting:
    """What a file's network is measured on.

    Args:
        data: the data set.
        root: its folder; where it is expected if empty.
        split: the part; what the training of ``data`` left untouched if empty.

    Raises:
        ValueError: if the network's classes are not those of the truth.
        DataError: if the data set cannot be opened.
    """
    root = root or default_root(data.name)
    if data.name == "own":  # whichever folder it is
        data = data.model_copy(update={"own": own.read_folder(root, model.manifest.labels)})
    truth, split = data_set(data), split or data.validation
    if "semantic" in model.network.tasks:
        check_classes(len(model.manifest.labels.names), truth)
    if data.name != model.data.name:
        _check_meaning(model, truth)
    return Setting(data, split, truth.open(root, split))


def _check_meaning(model: Model, truth: DataSet) -> None:
    """Refuse the truth of another data set that means something else by the same numbers.

    Raises:
        ValueError: with the first that differs.
    """
    tasks, answers = {*model.network.tasks} & {*truth.tasks}, model.manifest
    pairs = [(answers.depth.kind, truth.depth.kind)] if "depth" in tasks else []
    if "semantic" in tasks and len(answers.labels.names) == len(truth.labels.names):
        pairs += zip(answers.labels.names, truth.labels.names, strict=True)
    for answered, known in pairs:
        if answered != known:
            raise ValueError(
                f"the network answers {answered!r} where the truth of {truth.title} has {known!r}; "
                "measure it on a data set like that of its training"
            )


def depth_in_words(data: Data) -> str:
    """Which depth is the truth."""
    if data.name == "own":
        return "measured depth"
    if data_set(data).depth.kind == "metres":
        return "raw depth" if data.raw_depth else "in-painted depth"
    divided = f" divided by {data.disparity_divisor:g}" if data.disparity_divisor != 1 else ""
    return "disparity in pixels of the full-size images" + divided
