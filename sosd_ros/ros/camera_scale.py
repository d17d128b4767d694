"""The scale of one camera's depth: pairs of what was measured and answered, and what they tell."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import attrgetter, methodcaller
from typing import NamedTuple

import numpy as np

from ..camera_info import View
from ..poses import Pose
from ..scale import (
    Evidence,
    Scale,
    ScaleWindow,
    evidence_of_height,
    evidence_of_points,
    visible,
)
from .sensors import Reading
from .transforms import NoTransformError

SECOND = 1_000_000_000
APART = SECOND // 10  # nanoseconds between a measurement and the image that it is compared with
SPACING = SECOND // 12  # between two frames that are kept; those in between say the same
RECENT = SECOND  # how long a frame is kept, for sensors and transforms that are late
AHEAD = 5 * SECOND  # that a sensor may be ahead of answers; by more, its clock is another
KEPT = 32  # readings of a sensor that wait for their frame
MOST_PAIRS = 128  # that wait for a transform
PATIENCE = 5  # readings in a row that told nothing, until it is said why
FACTORS = (0.1, 10.0)  # that are believed, as of depth_scale
GROUND = ("floor", "road")  # names of classes that lie at the height of ground
NOT_SEEN = "no image has been answered with depth yet; does anybody subscribe to depth?"
BY_HEIGHT = "height"  # the name of that input, beside topics


class Answer(NamedTuple):
    """A frame that was answered.

    Attributes:
        stamp: nanoseconds.
        frame_id: of the image.
        view: its camera.
        depth: (H, W) float32 metres as published; NaN invalid, +inf beyond the range.
        uncertainty: (H, W) float32 metres, or ``None``.
        labels: (H, W) uint8 class ids, or ``None``.
        factor, shift: that brought the network's depth to ``depth``.
    """

    stamp: int
    frame_id: str
    view: View
    depth: np.ndarray
    uncertainty: np.ndarray | None
    labels: np.ndarray | None
    factor: float
    shift: float

    @property
    def as_answered(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Depth and its uncertainty before they were scaled."""
        doubt = None if self.uncertainty is None else self.uncertainty / np.float32(self.factor)
        return (self.depth - np.float32(self.shift)) / np.float32(self.factor), doubt


@dataclass(frozen=True)
class Ground:
    """What is known of the ground.

    Attributes:
        frame: that lies on it, with z up; empty: the camera's height and pitch are given.
        height: metres of the camera above it.
        pitch: radians by which the camera looks down.
        labels: ids of the classes that are ground.
    """

    frame: str
    height: float
    pitch: float
    labels: Collection[int]


@dataclass
class _Input:
    """What came of one input.

    Attributes:
        waiting: for the frame that is nearest in time.
        used, unused, refused: how many told something, told nothing, and were bad messages.
        in_vain: how many in a row told nothing, or were bad.
        reason: why the last of these did.
    """

    waiting: deque[Reading] = field(default_factory=lambda: deque(maxlen=KEPT))
    used: int = 0
    unused: int = 0
    refused: int = 0
    in_vain: int = 0
    reason: str = ""

    def succeed(self) -> None:
        self.used += 1
        self.in_vain, self.reason = 0, ""

    def fail(self, reason: str, is_fault: bool = True) -> None:
        self.unused += 1
        self.in_vain = self.in_vain + 1 if is_fault else 0
        self.reason = reason

    def __str__(self) -> str:
        counts = f"{self.used} used, {self.unused} unused, {self.refused} refused"
        return f"{counts}; the last: {self.reason}" if self.reason else counts


class Report(NamedTuple):
    """What is known at one moment.

    Attributes:
        scale: the last that was found.
        refusal: why there is none of the last seconds; empty: ``scale`` is of them.
        inputs: how many readings of each were used, unused and refused, in words.
        faults: why inputs tell nothing.
    """

    scale: Scale | None
    refusal: str
    inputs: Mapping[str, str]
    faults: Mapping[str, str]


class CameraScale:
    """Pairs each reading with the answered frame that is nearest in time, for one camera.

    All but ``report`` is for one thread. Its memory is bounded: by ``RECENT`` and ``SPACING`` of
    frames, ``KEPT`` of readings and the window's duration of evidence.

    Args:
        topics: of the sensors.
        ground: ``None`` if it tells nothing.
        pose: where a frame lies within another at a stamp, as ``Transforms.pose``.
        on_jump: called when the stamps of the frames have jumped back.

    Attributes:
        window: its duration, and whether it estimates a shift, may be changed at any time.
        report: for any thread.
    """

    def __init__(
        self,
        topics: Sequence[str],
        ground: Ground | None,
        pose: Callable[[str, str, int], Pose],
        on_jump: Callable[[], None] = lambda: None,
    ) -> None:
        self._inputs = {topic: _Input() for topic in (*topics, *([BY_HEIGHT] if ground else []))}
        self._ground = ground
        self._pose = pose
        self._on_jump = on_jump
        self._frames: list[Answer] = []
        self._pairs: list[tuple[str, Reading | None, Answer]] = []  # that wait for a transform
        self._rays = lru_cache(maxsize=1)(methodcaller("rays"))
        self._scale: Scale | None = None
        self._refusal = NOT_SEEN
        self._estimated = 0  # when, by the frames' stamps
        self.window = ScaleWindow()
        self.report = self._reported(NOT_SEEN)

    def refuse(self, topic: str, reason: str) -> None:
        """A sensor's message is bad."""
        source = self._inputs[topic]
        source.refused += 1
        source.in_vain += 1
        source.reason = reason

    def hear(self, topic: str, reading: Reading) -> None:
        """A sensor has measured."""
        self._inputs[topic].waiting.append(reading)

    def see(self, answer: Answer) -> None:
        """A frame was answered."""
        newest = max((frame.stamp for frame in self._frames), default=answer.stamp)
        if answer.stamp < newest - RECENT:
            self._begin_anew(answer.stamp)
        elif any(abs(answer.stamp - frame.stamp) < SPACING for frame in self._frames):
            return
        since = max(newest, answer.stamp) - RECENT
        self._frames = [frame for frame in self._frames if frame.stamp > since] + [answer]
        if self._ground is not None:
            self._pairs.append((BY_HEIGHT, None, answer))

    def _begin_anew(self, stamp: int) -> None:
        """The recording has started over, or a clock was set back."""
        self._frames, self._pairs = [], []
        self.window = ScaleWindow(self.window.duration, with_shift=self.window.with_shift)
        for source in self._inputs.values():
            left = [reading for reading in source.waiting if reading.stamp < stamp + RECENT]
            source.waiting = deque(left, maxlen=KEPT)
            source.in_vain = 0
        self._on_jump()

    def update(self) -> None:
        """Take what has come into account."""
        if not self._frames:
            self.report = self._reported(self._refusal)
            return
        newest = max(self._frames, key=attrgetter("stamp"))
        for topic, source in self._inputs.items():
            self._match(topic, source, newest.stamp)
        pairs, self._pairs = self._pairs[-MOST_PAIRS:], []
        for pair in pairs:
            self._compare(*pair, newest.stamp)
        # Seldom enough that a long window costs no more than a short one.
        if 50 * abs(newest.stamp - self._estimated) >= self.window.duration * SECOND:
            self._estimated, self._refusal = newest.stamp, self._estimate(newest.stamp)
        self.report = self._reported(self._refusal)

    def _estimate(self, stamp: int) -> str:
        """Renew the scale; or why not."""
        found = self.window.estimate(stamp / SECOND)
        if isinstance(found, str):
            return found
        if not FACTORS[0] <= found.factor <= FACTORS[1]:
            return (
                f"the factor would be {found.factor:.3g}, expected {FACTORS[0]:g} to "
                f"{FACTORS[1]:g}; check the sensor's unit, and that it sees what the camera sees"
            )
        self._scale = found
        return ""

    def _reported(self, refusal: str) -> Report:
        inputs = self._inputs.items()
        return Report(
            self._scale,
            refusal,
            {name: str(source) for name, source in inputs},
            {name: source.reason for name, source in inputs if source.in_vain >= PATIENCE},
        )

    def _match(self, topic: str, source: _Input, newest: int) -> None:
        """Pair readings with frames, once a frame has come that is no earlier."""
        while source.waiting:
            reading = source.waiting[0]
            if newest < reading.stamp <= newest + AHEAD:
                return
            source.waiting.popleft()
            frame = min(self._frames, key=lambda frame: abs(frame.stamp - reading.stamp))
            apart = abs(frame.stamp - reading.stamp)
            if apart <= APART:
                self._pairs.append((topic, reading, frame))
            else:
                source.fail(
                    f"it is {apart / SECOND:.3g} s apart from the answered image that is nearest, "
                    f"at most {APART / SECOND:g} s are usable: does its clock agree with the "
                    "camera's?"
                )

    def _compare(self, name: str, reading: Reading | None, frame: Answer, newest: int) -> None:
        """Make evidence of a pair, or keep it until its transform has come."""
        source, is_recent = self._inputs[name], newest - frame.stamp < RECENT
        try:
            said = self._of_height(frame) if reading is None else self._of_points(reading, frame)
        except NoTransformError as error:
            if is_recent:
                self._pairs.append((name, reading, frame))
            else:
                source.fail(str(error))
            return
        if not isinstance(said, Evidence):
            # A camera may well look away from the ground.
            source.fail(said, is_fault=name != BY_HEIGHT)
        elif is_recent and len(said.weights):
            self.window.add(frame.stamp / SECOND, said)
            source.succeed()

    def _of_points(self, reading: Reading, frame: Answer) -> Evidence | str:
        """What a sensor says of a frame, nothing if it measured nothing; or why nothing."""
        pose = self._pose(reading.frame_id, frame.frame_id, frame.stamp)
        view = frame.view
        points = pose.of(reading.points) - (*view.camera.centre, 0)
        pixels = (view.lens or view.camera).project(points)
        seen = visible(points, pixels, frame.depth.shape)
        evidence = evidence_of_points(points[seen, 2], pixels[seen], *frame.as_answered)
        if len(evidence.weights) or not len(points):
            return evidence
        return (
            f"of its {len(points)} points in the frame {reading.frame_id}, the camera in the frame "
            f"{frame.frame_id} sees {seen.sum()}, and answers none with a usable depth: does it "
            "look there, and is tf right?"
        )

    def _of_height(self, frame: Answer) -> Evidence | str:
        """What the ground says of a frame; or why nothing."""
        assert self._ground is not None
        ground, camera = self._ground, frame.view.camera
        height, up = ground.height, -_down(ground.pitch)
        if ground.frame:
            pose = self._pose(frame.frame_id, ground.frame, frame.stamp)
            height = float(pose.of(np.array([*camera.centre, 0]))[2])
            up = pose.rotation[2]
        if height <= 0:
            raise NoTransformError(
                f"tf has the frame {frame.frame_id} {height:.2f} m above {ground.frame}, expected "
                "a scale_from.ground_frame on the ground, with z up"
            )
        assert frame.labels is not None
        depth, doubt = frame.as_answered
        rays = self._rays(frame.view.lens or camera)
        return evidence_of_height(height, frame.labels, ground.labels, rays, depth, up, doubt)


def _down(pitch: float) -> np.ndarray:
    """Down, in the axes of a camera that is level across."""
    return np.array([0.0, math.cos(pitch), math.sin(pitch)])
