"""How far the answers of two engines agree, and how far they have to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .answers import USUAL_RANGE, Perception, Range
from .engine import Engine

MOST_DEPTH_DIFFERENCE = 0.01
# It is an estimate of an error: that it is off by a twentieth, nobody can tell.
MOST_UNCERTAINTY_DIFFERENCE = 0.05
# Of several images. Bfloat16 moves labels where two classes are nearly equally likely, mostly at
# the edges of things, and images differ in how many such pixels they have: of the sample frames
# 0.4 to 1.9 %, 1.1 % on average. The limits lie above that, and far below what faults do. No image
# may be far worse, as the mean would hide one that an engine fails on; depth is to be right in all.
LEAST_MEAN_LABELS = 0.985
LEAST_WORST_LABELS = 0.975
REQUIRED = (
    f"expected {LEAST_MEAN_LABELS:.1%} of labels on average and {LEAST_WORST_LABELS:.1%} "
    f"at worst, and depth within {MOST_DEPTH_DIFFERENCE:.0%} (median) in each image, its "
    f"uncertainty within {MOST_UNCERTAINTY_DIFFERENCE:.0%}"
)
_ASKED = frozenset({"depth", "semantic", "uncertainty"})


class Agreement(NamedTuple):
    """How far two engines' answers for one image, or one batch, agree.

    Attributes:
        labels: share of pixels with the same label; 1 where there are no labels.
        depth: median of the depth's relative difference; 0 where there is no depth.
        uncertainty: the same of its uncertainty.
    """

    labels: float
    depth: float
    uncertainty: float = 0.0

    @property
    def distances_suffice(self) -> bool:
        """Whether depth and its uncertainty agree."""
        return self.depth < MOST_DEPTH_DIFFERENCE and self.uncertainty < MOST_UNCERTAINTY_DIFFERENCE

    def __str__(self) -> str:
        distances = f"depth differs by {self.depth:.2%}"
        if self.uncertainty:
            distances += f", its uncertainty by {self.uncertainty:.2%}"
        return f"{self.labels:.2%} of labels agree, {distances}"


class Agreements(NamedTuple):
    """How far two engines' answers for several images agree.

    Attributes:
        mean: over the images.
        worst: the least share of labels and the greatest difference of depth of any image.
        images: how many.
    """

    mean: Agreement
    worst: Agreement
    images: int

    @classmethod
    def of(cls, each: Sequence[Agreement]) -> Agreements:
        """All images' in one; there is at least one image."""
        labels, *distances = np.array(each).T
        mean = Agreement(float(labels.mean()), *(float(d.mean()) for d in distances))
        worst = Agreement(float(labels.min()), *(float(d.max()) for d in distances))
        return cls(mean, worst, len(each))

    @property
    def suffices(self) -> bool:
        return self.mean.labels >= LEAST_MEAN_LABELS and self.worst_suffices

    @property
    def worst_suffices(self) -> bool:
        """Whether no image is too far off; of few images, the mean says little."""
        return self.worst.labels >= LEAST_WORST_LABELS and self.worst.distances_suffice

    def __str__(self) -> str:
        if self.images == 1:
            return str(self.mean)
        return (
            f"{self.mean}; at worst of {self.images} images {self.worst.labels:.2%} and "
            f"{self.worst.depth:.2%}"
            + (f" and {self.worst.uncertainty:.2%}" if self.worst.uncertainty else "")
        )


def answers(
    engine: Engine, frames: np.ndarray, batch: int = 1, limits: Range = USUAL_RANGE
) -> list[Perception]:
    """What an engine answers each of (N, H, W, 3) uint8 RGB images, so many of them at once."""
    focal, found = engine.manifest.focal_length, []
    for start in range(0, len(frames), batch):
        part = frames[start : start + batch]
        answer = engine(part, [focal] * len(part), _ASKED, limits)
        found += [
            Perception(*(a if a is None else a[i, None] for a in answer)) for i in range(len(part))
        ]
    return found


def fitting(frames: np.ndarray, engine: Engine) -> np.ndarray:
    """(N, H, W, 3) frames, or of their pixels as many as a size that the engine accepts has."""
    if engine.accepts(frames.shape[1:3]):
        return frames
    height, width = engine.usual_size()
    rows = np.arange(height) * frames.shape[1] // height
    columns = np.arange(width) * frames.shape[2] // width
    return np.ascontiguousarray(frames[:, rows[:, None], columns])


def agreement_of(ours: Sequence[Perception], theirs: Sequence[Perception]) -> Agreements:
    """How far two engines' answers for the same images agree."""
    return Agreements.of([_agreement(*pair) for pair in zip(ours, theirs, strict=True)])


def _agreement(ours: Perception, theirs: Perception) -> Agreement:
    labels = 1.0
    if ours.labels is not None and theirs.labels is not None:
        labels = float((ours.labels == theirs.labels).mean())
    depth = _difference(ours.depth, theirs.depth)
    return Agreement(labels, depth, _difference(ours.uncertainty, theirs.uncertainty))


def _difference(ours: np.ndarray | None, theirs: np.ndarray | None) -> float:
    """Median of the relative difference of metres; 0 where there are none."""
    if ours is None or theirs is None:
        return 0.0
    both = np.isfinite(ours) & np.isfinite(theirs)
    difference = np.abs(ours[both] / theirs[both] - 1)
    outside = np.full(int((np.isfinite(ours) != np.isfinite(theirs)).sum()), np.inf)
    if not np.isfinite(theirs).any() and not outside.size:
        return 0.0  # both see nothing within the range
    return float(np.median(np.append(difference, outside))) if both.any() else math.inf
