"""Training samples of several sources, each of which teaches what it has."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from sosd_ros.labels import UNLABELLED, LabelSet

from .drawing import SourceShare
from .errors import DataError
from .sample import Sample, Samples


@dataclass(frozen=True)
class Source:
    """Samples as the network is to learn from them: what they do not teach is unknown.

    Attributes:
        samples: of the source.
        names: of them, unlike those of other sources.
        tasks: that they teach.
        share: see ``drawing.SourceShare``.
        depth_factor: brings metres to the camera of the training, see :func:`sets.open_training`.
        class_ids: (256,) uint8: for each of the source's labels the one that is learned.
    """

    samples: Samples
    names: Sequence[str]
    tasks: frozenset[str]
    share: float
    depth_factor: float
    class_ids: np.ndarray

    def __getitem__(self, index: int) -> Sample:
        image, depth, labels = self.samples[index]
        if "depth" in self.tasks:
            depth = depth * np.float32(self.depth_factor)
        else:
            depth = np.full_like(depth, np.nan)
        if "semantic" in self.tasks:
            labels = self.class_ids[labels]
        else:
            labels = np.full_like(labels, UNLABELLED)
        return Sample(image, depth, labels)


class Sources:
    """The samples of all sources, one source after the other.

    Args:
        sources: at least one.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = sources
        self.names = [name for source in sources for name in source.names]
        self._firsts = [0, *accumulate(len(source.names) for source in sources)]

    def __len__(self) -> int:
        return self._firsts[-1]

    def __getitem__(self, index: int) -> Sample:
        number = self._number(index)
        return self.sources[number][index - self._firsts[number]]

    def beside(self, index: int) -> range:
        """The samples of the source that one belongs to."""
        number = self._number(index)
        return range(self._firsts[number], self._firsts[number + 1])

    def shares(self) -> list[SourceShare]:
        """What drawing knows of them."""
        return [SourceShare(len(s.names), s.tasks, s.share) for s in self.sources]

    def _number(self, index: int) -> int:
        return bisect_right(self._firsts, index) - 1


def class_ids(
    mapping: Mapping[str, str] | None, own: LabelSet, learned: LabelSet, where: str
) -> np.ndarray:
    """(256,) uint8: for each label of a source the one that is learned, or unlabelled.

    Args:
        mapping: from the source's classes, by name or id, to names of the learned ones; what is not
            in it is unlabelled. If there is none, both must have the same classes.
        own, learned: the classes.
        where: the key of the configuration, for messages.

    Raises:
        DataError: naming a class that does not exist.
    """
    ids = np.full(256, UNLABELLED, np.uint8)
    if mapping is None:
        if own.names != learned.names:
            raise DataError(
                f"{where} is missing: the source has {len(own.names)} classes, {own.names[0]} "
                f"first, but {len(learned.names)} are learned, {learned.names[0]} first; say there "
                "which of its classes is which of them"
            )
        ids[: len(own.names)] = np.arange(len(own.names))
        return ids
    for theirs, ours in mapping.items():
        place = own.names.index(theirs) if theirs in own.names else _number(theirs)
        if not 0 <= place < len(own.names):
            raise DataError(
                f"{where} has {theirs!r}, which is no class of the source; choose from 0 to "
                f"{len(own.names) - 1} or from {', '.join(own.names)}"
            )
        if ours not in learned.names:
            raise DataError(
                f"{where} maps {theirs!r} to {ours!r}, which is no class that is learned; choose "
                f"from {', '.join(learned.names)}"
            )
        ids[place] = learned.names.index(ours)
    return ids


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else -1
