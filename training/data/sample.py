"""What every data set is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from sosd_ros.camera import Intrinsics
from sosd_ros.labels import LabelSet
from sosd_ros.network import TASKS
from sosd_ros.weights import DepthKind


class Sample(NamedTuple):
    """One picture with its truth.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        depth: (H, W) float32 in the data set's unit, metres or pixels of disparity; NaN where
            unknown.
        labels: (H, W) uint8 class ids, 255 unlabelled.
    """

    image: np.ndarray
    depth: np.ndarray
    labels: np.ndarray


class Samples(Protocol):
    """A split of a data set, or a part of one."""

    @property
    def names(self) -> Sequence[str]:
        """The name of every sample, for messages to people."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...


class Part:
    """The samples at ``indices`` of others."""

    def __init__(self, samples: Samples, indices: Sequence[int]) -> None:
        self.samples, self.indices = samples, indices
        self.names = [samples.names[index] for index in indices]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[self.indices[index]]


@dataclass(frozen=True)
class DataSet:
    """What is known of a data set without looking into it, and how to open it.

    Attributes:
        title: its name for people.
        labels: the classes.
        depth: what ``Sample.depth`` means.
        camera: of the images as they are distributed.
        scales: by which training may scale a sample before it is cropped or padded back.
        chance: of scaling, colour jitter and turning, each drawn for itself.
        rotation: by how many degrees at most training may turn a sample; 0 for never.
        tint: by how much at most, relatively, colour jitter may change a channel; 0 for never.
        gamma: by how much at most the logarithm of a picture's gamma may differ from 0.
        blur: deviation in pixels of the strongest blur; 0 for never.
        noise: deviation of the strongest noise, of pixels of 0 to 255; 0 for never.
        cutmix: chance of replacing a part of a sample by that of another.
        crop: (height, width) of the part of a sample that training sees; all of it if empty.
        truth_stride: training has the truth of one pixel out of so many, in rows and in columns.
        licence: what may be done with weights that were trained on it.
        tasks: of which it has the truth.
        open: ``open(root, split)`` with split ``train`` or ``val``, or what else the data set has;
            raises DataError.
    """

    title: str
    labels: LabelSet
    depth: DepthKind
    camera: Intrinsics
    scales: tuple[float, ...]
    licence: str
    open: Callable[[Path, str], Samples]
    tasks: tuple[str, ...] = TASKS
    chance: float = 1.0
    rotation: float = 0.0
    tint: float = 0.0
    gamma: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    cutmix: float = 0.0
    crop: tuple[int, int] | None = None
    truth_stride: int = 1

    def focal(self, size: tuple[int, int]) -> float:
        """The focal length sqrt(fx fy) in pixels of an image of (height, width)."""
        return self.camera.resized(size[1], size[0]).focal


def evenly_spaced(samples: Samples, most: int) -> Iterator[Sample]:
    """At most so many samples, from the first to the last."""
    # Rounded down, unlike by ``scale.evidence.evenly``: what has been published began with these.
    chosen = np.linspace(0, len(samples) - 1, min(most, len(samples))).astype(int)
    return (samples[int(index)] for index in chosen)


def median_depth(samples: Samples) -> float:
    """The median of all known depth in at most 32 evenly spaced samples, in the data set's unit.

    Args:
        samples: of which there is at least one.

    Raises:
        DataError: if one cannot be read.
    """
    depths = (sample.depth for sample in evenly_spaced(samples, 32))
    known = [depth[np.isfinite(depth)] for depth in depths]
    return float(np.median(np.concatenate(known)))
