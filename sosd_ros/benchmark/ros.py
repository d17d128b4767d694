"""From the camera's stamp to the answers received, over the real middleware.

The node under test is a process of its own; the camera that plays to it and hears its answers is in
this one. Depth, labels, confidence, points and, of weights that have it, depth's uncertainty are
subscribed, which is all that both the perception node and the textbook node have, and a frame
counts as answered when all have come. Results are plain numbers: ``dataclasses.asdict`` makes JSON
of them.
"""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import numpy as np
import rclpy
import torch
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor

from .. import weights
from ..ros.malloc import keep_freed_memory
from ..share import DEFAULT_WEIGHTS, share
from ..testbed.process import (
    NodeError,
    check_running,
    perception_node,
    running,
    use_local_middleware,
    wait_until_active,
)
from .camera import ANSWERS, OF_SPREAD, Camera
from .timing import LOW_RATE

RATES = (10.0, 30.0, 60.0)  # Hz offered
SECONDS = 4.0  # of a run
SIZE = (480, 640)
WARM_UP = 10  # frames, one at a time
HELD = 0.99  # of the frames, answered
GROWTH = 0.02  # seconds of latency a second of play, at most, where a rate is held
TIMEOUT = 90.0  # seconds for the first answer; not a speed limit
RETRY = 1.0  # seconds until a first frame that discovery may have missed is sent again
QUIET = 3.0  # seconds without an answer, after which none is waited for
TEXTBOOK_PARAMETERS = ("weights", "device", "min_depth", "max_depth")


@dataclass(frozen=True)
class RosResult:
    """A run at one rate.

    Attributes:
        node: ``sosd`` or ``textbook``.
        parameters: of the node.
        size: (height, width) of the frames.
        rate_hz: that was asked for.
        offered_hz: that the camera did publish at.
        achieved_hz: of answered frames; 0 if it was one alone.
        offered, answered, dropped: frames.
        p50_ms, p95_ms, p99_ms: from a frame's stamp to the last of its four answers.
        growth: of the latency, in seconds a second of play; what is above ``GROWTH`` queues up.
        held: whether ``HELD`` of the frames were answered, and the latency did not grow.
    """

    node: str
    parameters: dict[str, object]
    size: tuple[int, int]
    rate_hz: float
    offered_hz: float
    achieved_hz: float
    offered: int
    answered: int
    dropped: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    growth: float
    held: bool


@dataclass(frozen=True)
class HighestRate:
    """The highest rate that was held.

    Attributes:
        node: ``sosd`` or ``textbook``.
        rate_hz: of the fastest run that was held; 0 if none was.
        runs: that were tried, in their order.
    """

    node: str
    rate_hz: float
    runs: list[RosResult]


@dataclass(frozen=True)
class NodeReport:
    """All about one node.

    Attributes:
        node: ``sosd`` or ``textbook``.
        unhurried: the run at ``LOW_RATE``, whose p50 goes over the engine's own at that rate.
        stages: median milliseconds of it by stage, of the node's own diagnostics; ``total`` is from
            the image's arrival to the last answer's departure. None of the textbook node.
        rates: a run for each rate.
        highest: the highest rate held.
    """

    node: str
    unhurried: RosResult
    stages: dict[str, float]
    rates: list[RosResult]
    highest: HighestRate


class Robot:
    """A node under test and the camera before it.

    Args:
        node: ``sosd`` or ``textbook``.
        parameters: of the node.
        size: (height, width) of the frames.
        process: that the node runs as.
        camera: in ``executor``, which spins only while frames are played.
    """

    def __init__(
        self,
        node: str,
        parameters: Mapping[str, object],
        size: tuple[int, int],
        process: Popen,
        camera: Camera,
        executor: SingleThreadedExecutor,
    ) -> None:
        self.node, self.parameters, self.size = node, dict(parameters), size
        self.camera = camera
        self._process, self._executor = process, executor

    def warm_up(self) -> None:
        """Play frames until the node answers, and some more, one at a time.

        Raises:
            NodeError: if it ends or does not answer, or is not alone with its name.
        """
        if self.node == "sosd":
            wait_until_active(self._process, self.camera, self._executor)
        if not self._spin_until(self.camera.is_connected, TIMEOUT):
            raise NodeError(f"the topics of {self.node} were not found within {TIMEOUT:g} s")
        if (count := max(map(self.camera.publishers_of, self.camera.topics))) > 1:
            raise NodeError(
                f"{count} nodes named {self.node} answer, expected one; end the others, or set "
                "ROS_DOMAIN_ID to a number of your own"
            )
        # Discovery has two sides: only an answer proves that the node knows us. Any will do, as a
        # slow node may have several frames in its queue by then.
        deadline = time.monotonic() + TIMEOUT
        while not self.ask(RETRY) and not self.camera.newest:
            if time.monotonic() > deadline:
                raise NodeError(f"{self.node} did not answer a frame within {TIMEOUT:g} s")
        self._settle()
        for _ in range(WARM_UP):
            self.ask(QUIET)

    def ask(self, timeout: float) -> bool:
        """Play one frame; whether all of its answers came within ``timeout`` seconds."""
        stamp = self.camera.send()
        return self._spin_until(lambda: self.camera.is_answered(stamp), timeout)

    def play(self, rate_hz: float, seconds: float = SECONDS) -> RosResult:
        """Play frames at a steady rate, wait for the answers that are due, and sum up.

        Raises:
            NodeError: if the node ends, or answers none of the frames.
        """
        if not 0 < rate_hz < math.inf or not 0 < seconds < math.inf:
            raise ValueError(f"rate {rate_hz} Hz for {seconds} s, expected numbers above 0")
        self.camera.forget()
        start, count, last = time.monotonic(), max(1, round(rate_hz * seconds)), 0
        for number in itertools.count():
            # By the schedule, not from frame to frame, so that what is late does not add up.
            while (rest := start + number / rate_hz - time.monotonic()) > 0:
                self._executor.spin_once(timeout_sec=rest)
            # Beyond the frames that count, play goes on until all of them have been answered or
            # passed over: a queue would drain else, as it does not before a camera that runs.
            if number >= count and self._is_past(last):
                break
            check_running(self._process)
            stamp = self.camera.send()
            last = stamp if number < count else last
        self._settle()
        sent = {stamp: when for stamp, when in self.camera.sent.items() if stamp <= last}
        answered = {s: when for s, when in self.camera.answered().items() if s <= last}
        if not answered:
            raise NodeError(f"{self.node} answered none of {len(sent)} frames at {rate_hz:g} Hz")
        return summarise(self.node, self.parameters, self.size, rate_hz, sent, answered)

    def _settle(self) -> None:
        """Wait for the last frame's answers."""
        last = next(reversed(self.camera.sent))
        self._spin_until(lambda: self._is_past(last), TIMEOUT)

    def _is_past(self, stamp: int) -> bool:
        """Whether this frame or a newer one is answered, or nothing comes any more."""
        since = max(self.camera.sent[stamp], self.camera.last_heard)
        return self.camera.newest >= stamp or time.monotonic() - since > QUIET

    def _spin_until(self, condition: Callable[[], bool], timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while not condition() and time.monotonic() < deadline:
            check_running(self._process)
            self._executor.spin_once(timeout_sec=0.1)
        return condition()


@contextmanager
def robot(
    node: str, parameters: Mapping[str, object] | None = None, size: tuple[int, int] = SIZE
) -> Iterator[Robot]:
    """A node as a process, warmed up, with a camera in a context of its own.

    Args:
        node: ``sosd`` or ``textbook``.
        parameters: of the node, over its defaults; the textbook node takes ``weights``, ``device``,
            ``min_depth`` and ``max_depth`` of them. ``device`` is CUDA where torch finds it, else
            the CPU, if it is not among them.
        size: (height, width) of the frames.

    Raises:
        NodeError: if the node does not come up.
        ValueError: if there is no such node.
    """
    if node not in NODES:
        raise ValueError(f"node {node!r} is unknown; choose one of {', '.join(NODES)}")
    given = {
        "weights": str(share("weights", DEFAULT_WEIGHTS)),
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        **(parameters or {}),
    }
    use_local_middleware()
    keep_freed_memory()  # as the perception node does
    context = Context()
    rclpy.init(context=context)
    executor = SingleThreadedExecutor(context=context)
    has_spread = weights.read(Path(str(given["weights"]))).manifest.spread
    camera = Camera(node, size, context, ANSWERS | (OF_SPREAD if has_spread else {}))
    executor.add_node(camera)
    try:
        with NODES[node](given) as process:
            robot = Robot(node, given, size, process, camera, executor)
            robot.warm_up()
            yield robot
    finally:
        executor.shutdown()
        camera.destroy_node()
        rclpy.try_shutdown(context=context)


@contextmanager
def textbook_node(parameters: Mapping[str, object]) -> Iterator[Popen]:
    """The textbook node with those of ``parameters`` that it knows, until the block ends."""
    options = [
        f"--{name.replace('_', '-')}={parameters[name]}"
        for name in TEXTBOOK_PARAMETERS
        if name in parameters
    ]
    with running([sys.executable, "-m", "sosd_ros.benchmark.textbook", *options]) as process:
        yield process


NODES: dict[str, Callable[[Mapping[str, object]], AbstractContextManager[Popen]]] = {
    "sosd": perception_node,
    "textbook": textbook_node,
}


def measure(
    node: str,
    rate_hz: float,
    seconds: float = SECONDS,
    size: tuple[int, int] = SIZE,
    parameters: Mapping[str, object] | None = None,
) -> RosResult:
    """Start a node, play to it at one rate, and end it; arguments as of ``robot`` and ``play``."""
    with robot(node, parameters, size) as robot_:
        return robot_.play(rate_hz, seconds)


def highest_rate(
    robot: Robot,
    seconds: float = SECONDS,
    bounds: tuple[float, float] = (2.0, 128.0),
    precision: float = 1.05,
) -> HighestRate:
    """Bisect for the highest rate that a node holds.

    Args:
        robot: a node that has been warmed up.
        seconds: of each run.
        bounds: rates in Hz, of which the lower is taken to be held and the upper not to be.
        precision: the ratio of a rate that is not held to the one that is, at which to stop.
    """
    held, missed = bounds
    runs = []
    while missed > precision * held:
        rate = math.sqrt(held * missed)
        runs.append(robot.play(rate, seconds))
        held, missed = (rate, missed) if runs[-1].held else (held, rate)
    best = max((run.rate_hz for run in runs if run.held), default=0.0)
    return HighestRate(robot.node, best, runs)


def examine(
    node: str,
    parameters: Mapping[str, object] | None = None,
    rates: Sequence[float] = RATES,
    seconds: float = SECONDS,
    size: tuple[int, int] = SIZE,
) -> NodeReport:
    """All that is measured of a node, which is started once; arguments as of ``measure``."""
    with robot(node, parameters, size) as robot_:
        unhurried = robot_.play(LOW_RATE, seconds)
        return NodeReport(
            node=node,
            unhurried=unhurried,
            stages=dict(robot_.camera.stages),
            rates=[robot_.play(rate, seconds) for rate in rates],
            highest=highest_rate(robot_, seconds),
        )


def summarise(
    node: str,
    parameters: Mapping[str, object],
    size: tuple[int, int],
    rate_hz: float,
    sent: Mapping[int, float],
    answered: Mapping[int, float],
) -> RosResult:
    """The figures of a run.

    Args:
        sent: seconds at which frames were published, by stamp, in that order.
        answered: seconds at which the last of its answers came, by stamp; not empty.
    """
    started = np.array([sent[stamp] for stamp in answered])
    latencies = np.array(list(answered.values())) - started
    p50, p95, p99 = (1000 * float(p) for p in np.percentile(latencies, (50, 95, 99)))
    growth = _growth(started, latencies)
    return RosResult(
        node=node,
        parameters=dict(parameters),
        size=size,
        rate_hz=rate_hz,
        offered_hz=_rate(list(sent.values())),
        achieved_hz=_rate(list(answered.values())),
        offered=len(sent),
        answered=len(answered),
        dropped=len(sent) - len(answered),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
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


def _rate(times: Sequence[float]) -> float:
    """Events a second, from the first to the last of them."""
    return (len(times) - 1) / (max(times) - min(times)) if len(times) > 1 else 0.0
