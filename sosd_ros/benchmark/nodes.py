"""Nodes under test: from the camera's stamp to the answers received, over the real middleware.

Each is a process of its own; the camera that plays to it and hears its answers is in this one.
Depth, labels, confidence, points and, of weights that have it, depth's uncertainty are subscribed,
which is all that both the perception node and the textbook node have, and a frame counts as
answered when all have come. Results are plain numbers: ``dataclasses.asdict`` makes JSON of them.
"""

from __future__ import annotations

import itertools
import math
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from subprocess import Popen

import numpy as np
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from ..camera import USUAL_SIZE
from ..ros import messages
from ..ros.messages import info_of
from ..testbed.camera import Camera
from ..testbed.frames import sample_camera
from ..testbed.process import NodeError, middleware, perception_node, running
from ..testbed.times import Times, rate_of
from ..weights import Manifest
from .engines import frames
from .timing import LOW_RATE

RATES = (10.0, 30.0, 60.0)  # Hz offered
SECONDS = 4.0  # of a run
WARM_UP = 10  # frames, one at a time
HELD = 0.99  # of the frames, answered
BOUNDS = (2.0, 128.0)  # Hz, of which the first is taken to be held and the second not to be
PRECISION = 1.05  # of the highest rate held: a rate that is not over one that is
GROWTH = 0.02  # seconds of latency a second of play, at most, where a rate is held
TIMEOUT = 90.0  # seconds for what comes in the end; not a speed limit
QUIET = 3.0  # seconds without an answer, after which none is waited for


@dataclass(frozen=True)
class RosResult:
    """A run at one rate.

    Attributes:
        rate_hz: that was asked for.
        achieved_hz: of answered frames; 0 if it was one alone.
        offered, answered: frames.
        latency: from a frame's stamp to the last of its answers.
        growth: of the latency, in seconds a second of play; what is above ``GROWTH`` queues up.
        held: whether ``HELD`` of the frames were answered, and the latency did not grow.
    """

    rate_hz: float
    achieved_hz: float
    offered: int
    answered: int
    latency: Times
    growth: float
    held: bool


@dataclass(frozen=True)
class NodeReport:
    """All about one node.

    Attributes:
        unhurried: the run at ``LOW_RATE``, whose median goes over the engine's own at that rate.
        stages: median milliseconds of it by stage, of the node's own diagnostics; ``total`` is from
            the image's arrival to the last answer's departure. None of the textbook node.
        rates: a run for each of ``RATES``.
        highest: the highest rate held in Hz; 0 if none was.
    """

    unhurried: RosResult
    stages: dict[str, float]
    rates: dict[float, RosResult]
    highest: float


class Robot:
    """A node under test and the camera before it, which plays the sample frames.

    Args:
        node: ``sosd`` or ``textbook``.
        size: (height, width) of the frames.
        camera: that the node answers.
    """

    def __init__(self, node: str, size: tuple[int, int], camera: Camera) -> None:
        self.node, self.camera = node, camera
        # Made once: a camera's own work should not show in the figures.
        self._pictures = _pictures(size)
        self.begin()

    def begin(self) -> None:
        """Begin anew at the first picture, with none sent and none answered."""
        self.camera.forget()
        self._frames = itertools.cycle(self._pictures)

    def warm_up(self) -> None:
        """Play frames until the node answers, and some more, one at a time.

        Raises:
            NodeError: if it ends or does not answer, or is not alone with its name.
        """
        if self.node == "sosd":
            self.camera.wait_until_active()
        if not self.camera.spin_until(self.camera.is_connected, TIMEOUT):
            raise NodeError(f"the topics of {self.node} were not found within {TIMEOUT:g} s")
        if (count := max(map(self.camera.publishers_of, self.camera.arrived))) > 1:
            raise NodeError(
                f"{count} nodes named {self.node} answer, expected one; end the others, or set "
                "ROS_DOMAIN_ID to a number of your own"
            )
        self.camera.send_until(lambda: self.camera.answered, self._send)
        self._settle()
        for _ in range(WARM_UP):
            self.ask(QUIET)

    def ask(self, timeout: float) -> bool:
        """Play one frame; whether all of its answers came within ``timeout`` seconds."""
        self._send()
        return self.camera.spin_until(self.camera.last_is_answered, timeout)

    def play(self, rate_hz: float, seconds: float = SECONDS) -> RosResult:
        """Play frames at a steady rate, wait for the answers that are due, and sum up.

        Raises:
            NodeError: if the node ends, or answers none of the frames.
        """
        self.begin()
        count, last = max(1, round(rate_hz * seconds)), 0
        for number in self.camera.ticks(rate_hz):
            # Beyond the frames that count, play goes on until all of them have been answered or
            # passed over: a queue would drain else, as it does not before a camera that runs.
            if number >= count and self._is_past(last):
                break
            stamp = self._send()
            last = stamp if number < count else last
        self._settle()
        sent = {stamp: when for stamp, when in self.camera.sent.items() if stamp <= last}
        answered = {s: self.camera.answered[s] for s in sent if s in self.camera.answered}
        if not answered:
            raise NodeError(f"{self.node} answered none of {len(sent)} frames at {rate_hz:g} Hz")
        return summarise(rate_hz, sent, answered)

    def stages(self) -> dict[str, float]:
        """Median milliseconds by stage, which the perception node says of its last frames."""
        values = self.camera.values("node").items()
        stages = ((re.fullmatch(r"latency (\w+) p50 \[ms\]", key), value) for key, value in values)
        return {stage[1]: float(value) for stage, value in stages if stage}

    def _send(self) -> int:
        """Publish the next frame with its CameraInfo, of the present time; its stamp."""
        image, info = next(self._frames)
        image.header = self.camera.header()
        return self.camera.send(image, info)

    def _settle(self) -> None:
        """Wait for the last frame's answers."""
        last = next(reversed(self.camera.sent))
        self.camera.spin_until(lambda: self._is_past(last), TIMEOUT)

    def _is_past(self, stamp: int) -> bool:
        """Whether this frame or a newer one is answered, or nothing comes any more."""
        if any(answered >= stamp for answered in reversed(self.camera.answered)):
            return True
        heard = [answers[-1][1] for answers in self.camera.arrived.values() if answers]
        return time.monotonic() - max([self.camera.sent[stamp], *heard]) > QUIET


def answers_of(manifest: Manifest) -> list[str]:
    """The topics that both nodes answer on with such weights."""
    answers = ["depth", "semantic", "confidence", "points"]
    return [*answers, "depth_uncertainty"] if manifest.spread else answers


def _pictures(size: tuple[int, int]) -> list[tuple[Image, CameraInfo]]:
    """The sample frames at ``size``, each with what describes its camera; without headers."""
    height, width = size
    info = info_of(sample_camera().resized(width, height))
    return [(messages.rgb_message(Header(), image), info) for image in frames(size)]


@contextmanager
def robot(
    node: str,
    parameters: Mapping[str, object],
    answers: Sequence[str],
    size: tuple[int, int] = USUAL_SIZE,
) -> Iterator[Robot]:
    """A node as a process, warmed up, with a camera in a context of its own.

    Args:
        node: ``sosd`` or ``textbook``.
        parameters: of the node, over its defaults; the textbook node takes ``weights`` and
            ``device`` of them, which have to be there.
        answers: the topics that a frame is answered on, see ``answers_of``.
        size: (height, width) of the frames.

    Raises:
        NodeError: if the node does not come up.
    """
    with (
        middleware() as context,
        NODES[node](parameters) as process,
        closing(Camera("sosd_benchmark", context, process, peer=node)) as camera,
    ):
        for topic in answers:
            camera.subscribe(topic)
        camera.listen_diagnostics()
        robot = Robot(node, size, camera)
        robot.warm_up()
        yield robot


def textbook_node(parameters: Mapping[str, object]) -> AbstractContextManager[Popen]:
    """The textbook node with those of ``parameters`` that it knows, until the block ends."""
    options = [f"--{name}={parameters[name]}" for name in ("weights", "device")]
    return running([sys.executable, "-m", "sosd_ros.benchmark.textbook", *options])


NODES: dict[str, Callable[[Mapping[str, object]], AbstractContextManager[Popen]]] = {
    "sosd": perception_node,
    "textbook": textbook_node,
}


def highest_rate(robot: Robot) -> float:
    """Bisect for the highest rate in Hz that a node holds, which has been warmed up; 0 if none."""
    best = 0.0
    held, missed = BOUNDS
    while missed > PRECISION * held:
        rate = math.sqrt(held * missed)
        if robot.play(rate).held:
            best = held = rate
        else:
            missed = rate
    return best


def examine(node: str, parameters: Mapping[str, object], answers: Sequence[str]) -> NodeReport:
    """All that is measured of a node, which is started once; arguments as of ``robot``."""
    with robot(node, parameters, answers) as robot_:
        return NodeReport(
            unhurried=robot_.play(LOW_RATE),
            stages=robot_.stages(),
            rates={rate: robot_.play(rate) for rate in RATES},
            highest=highest_rate(robot_),
        )


def summarise(
    rate_hz: float, sent: Mapping[int, float], answered: Mapping[int, float]
) -> RosResult:
    """The figures of a run.

    Args:
        sent: seconds at which frames were published, by stamp, in that order.
        answered: seconds at which the last of its answers came, by stamp; not empty.
    """
    started = np.array([sent[stamp] for stamp in answered])
    latencies = np.array(list(answered.values())) - started
    growth = _growth(started, latencies)
    return RosResult(
        rate_hz=rate_hz,
        achieved_hz=rate_of(list(answered.values())),
        offered=len(sent),
        answered=len(answered),
        latency=Times.of(latencies),
        growth=growth,
        held=len(answered) >= HELD * len(sent) and growth <= GROWTH,
    )


def _growth(started: np.ndarray, latencies: np.ndarray) -> float:
    """The slope from the medians of the first half to those of the second, which no outlier moves.

    A queue that fills at k times the rate at which it is emptied makes it k - 1.
    """
    half = len(started) // 2
    if half == 0:
        return 0.0
    seconds = np.median(started[half:]) - np.median(started[:half])
    return float((np.median(latencies[half:]) - np.median(latencies[:half])) / seconds)
