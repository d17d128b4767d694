"""One factor from what the frames of the last seconds say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .evidence import Evidence, evenly
from .robust import deviation, fit, median, quantile

MOST_POINTS = 64  # kept of a frame, whose answer errs as a whole by more than their median does
FULL_WEIGHT = 4.0  # points beyond which a frame counts no more
CLIP = 3.0  # dispersions from the median at which a point is left out; and at least
LEAST_CLIP = 0.01  # relative, as readings of a world that stands still are the same
LATE = 1.0  # seconds by which a stamp may be out of order; by more, time has jumped back
LEAST_VARIETY = 2.0  # far over near depth (90 and 10 %), from which a shift can be told
_STEPS = 10
_LEAST_DEPTH = 1e-3  # metres
OF_A_MEDIAN = 1.2533  # its standard error over that of a mean, of a normal distribution


class Limits(NamedTuple):
    """When the evidence is too thin.

    Attributes:
        frames, points: at least.
        dispersion: at most.
    """

    frames: int = 5
    points: int = 10
    dispersion: float = 0.3


USUAL_LIMITS = Limits()


@dataclass(frozen=True)
class Scale:
    """What answered depth is brought to metres by: ``depth * factor + shift``.

    Attributes:
        factor: without unit.
        shift: metres; 0 unless asked for.
        dispersion: of single points about it, relative: 1.4826 times the median absolute deviation
            of the logarithms. It grows when the sensor's place is wrong, but a network's own errors
            have one too.
        error: one standard error of scaled depth, relative, if frames are independent. Frames of a
            camera that stands still are not.
        frames, points: that it is made of.
    """

    factor: float
    shift: float
    dispersion: float
    error: float
    frames: int
    points: int


class ScaleWindow:
    """Evidence of the last seconds.

    Args:
        duration: seconds.
        with_shift: whether to estimate a shift too.
        limits: when to answer nothing.
    """

    def __init__(
        self, duration: float = 10.0, *, with_shift: bool = False, limits: Limits = USUAL_LIMITS
    ) -> None:
        self.duration, self.with_shift, self.limits = duration, with_shift, limits
        self._frames: dict[float, Evidence] = {}

    def add(self, stamp: float, evidence: Evidence) -> None:
        """Add what one frame says; several sensors may speak of the same frame.

        Args:
            stamp: of the frame, in seconds. If it is earlier than the newest by more than ``LATE``,
                time has jumped back, as when a recording starts again, and all else is forgotten.
        """
        newest = max(self._frames, default=stamp)
        if stamp < newest - LATE:
            self._frames.clear()
        since = max(newest, stamp) - self.duration
        self._frames = {other: said for other, said in self._frames.items() if other >= since}
        if len(evidence.weights):
            before = [self._frames[stamp]] if stamp in self._frames else []
            self._frames[stamp] = _capped(_joined([*before, _thinned(evidence)]))

    def estimate(self, stamp: float) -> Scale | str:
        """The scale of a frame, by those from ``duration`` before it; or why it has none.

        Args:
            stamp: of the frame, in seconds.
        """
        frames = [said for of, said in self._frames.items() if of >= stamp - self.duration]
        limits, points = self.limits, sum(len(said.weights) for said in frames)
        if len(frames) < max(limits.frames, 1) or points < limits.points:
            return (
                f"{points} points in {len(frames)} frames of the last {self.duration:g} s, at "
                f"least {limits.points} in {limits.frames} are needed"
            )
        said = _joined(frames)
        if self.with_shift and (refusal := _alike(said)):
            return refusal
        factor, shift = _line(said) if self.with_shift else (_ratio(said), 0.0)
        scaled = np.maximum(said.answered * factor + shift, _LEAST_DEPTH)
        dispersion = deviation(np.log(said.measured / scaled), said.weights, 0.0)
        if dispersion > limits.dispersion:
            return (
                f"points stray by {dispersion:.0%} about the best scale, at most "
                f"{limits.dispersion:.0%} are usable; is the sensor's place relative to the camera "
                "right?"
            )
        shares = np.array([frame.weights.sum() for frame in frames])
        equal = shares.sum() ** 2 / (shares**2).sum()  # frames of one weight that tell as much
        error = OF_A_MEDIAN * dispersion / math.sqrt(equal)
        return Scale(factor, shift, dispersion, error, len(frames), points)


def _thinned(evidence: Evidence) -> Evidence:
    chosen = evenly(len(evidence.weights), MOST_POINTS)
    return Evidence(*(values[chosen] for values in evidence))


def _capped(evidence: Evidence) -> Evidence:
    """No heavier than ``FULL_WEIGHT`` points, so that no frame drowns the others.

    Only how weights differ within a frame tells something; so they are brought to a mean of 1.
    """
    weights = evidence.weights / evidence.weights.mean()
    return evidence._replace(weights=weights * min(1.0, FULL_WEIGHT / len(weights)))


def _joined(frames: Sequence[Evidence]) -> Evidence:
    return Evidence(*map(np.concatenate, zip(*frames, strict=True)))


def _alike(said: Evidence) -> str | None:
    """Why a shift cannot be told from a factor."""
    near, far = (quantile(said.answered, said.weights, share) for share in (0.1, 0.9))
    if far >= LEAST_VARIETY * near:
        return None
    return (
        f"most depth lies between {near:.2g} and {far:.2g} m, where a shift is like a factor; the "
        f"far must be {LEAST_VARIETY:g} times the near"
    )


def _ratio(said: Evidence) -> float:
    """The median ratio of what lies near enough to it, which is sought until it settles."""
    ratios, near = said.log_ratios, np.ones(len(said.weights), bool)
    for _ in range(_STEPS):
        centre = median(ratios[near], said.weights[near])
        dispersion = deviation(ratios[near], said.weights[near], centre)
        limit = max(CLIP * dispersion, LEAST_CLIP)
        before, near = near, np.abs(ratios - centre) <= limit
        if (before == near).all():
            break
    return math.exp(centre)


def _line(said: Evidence) -> tuple[float, float]:
    """Factor and shift, of measured / answered = factor + shift / answered."""
    columns = np.stack([np.ones(len(said.weights)), 1 / said.answered], axis=1)
    factor, shift = fit(columns, said.measured / said.answered, said.weights)
    return float(factor), float(shift)
