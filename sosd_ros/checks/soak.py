"""``python -m sosd_ros.checks.soak``: the real node at camera rate for a long time.

The first quarter of the time is warm-up; what is judged is cut into twenty windows of equal length
after it. The command fails on

- memory that grows by more than 1 %, from the median of the first window to that of the last. The
  node's anonymous memory is taken, in RAM and swapped out: that is where a leak goes, while mapped
  files come and go as the system likes. A median does not see a message on its way. On a GPU, the
  used memory of the device is judged likewise, so nothing else should use it meanwhile;
- a frame that was sent and is neither answered nor counted as dropped, an answer that was counted
  and did not come, a stamp that goes back, comes twice, or was never sent. The inputs are reliable
  and deep, so that nothing gets lost before the node can count it. What the middleware loses
  nonetheless, it must have counted: the table shows it as ``dropped: transport`` and ``lost on``;
- a p99 of the latency that drifts: the least p99 of the last three windows is more than ``--drift``
  times that of the first three. A busy machine spoils some windows, a node that becomes slower
  spoils all of them, and the best of three is then worse as well.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from subprocess import Popen
from typing import Any

import numpy as np

from .. import commands
from ..camera import USUAL_SIZE
from ..progress import progress_bar
from ..ros import messages
from ..ros.generations import SubscriptionEventCallbacks
from ..ros.messages import info_of
from ..testbed.camera import Camera
from ..testbed.frames import assumed_intrinsics
from ..testbed.process import NodeError, middleware, own_memory, perception_node, reliable_inputs

WARM_UP = 0.25  # of the time
WINDOWS = 20  # of the rest
PART = 3  # windows at either end whose p99 are compared
GROWTH = 0.01  # of memory, at most
END_TIMEOUT = 30.0  # seconds
OUTPUTS = ("depth", "semantic", "points")
DEPTH = 60  # messages that the middleware keeps for a reader that is late: 2 s at 30 Hz
Samples = list[tuple[float, float]]


@dataclass
class Record:
    """What a run has shown, of one frame at least; times are seconds of one clock.

    Attributes:
        sent: time of sending by stamp, in nanoseconds.
        answers: (stamp, time of arrival) by output, in the order of arrival.
        memory: (time, bytes) by kind of memory.
        counts: the node's own: ``received``, ``answered`` and ``dropped: <cause>``.
        lost: answers that the middleware says it has lost on their way to us, by output.
    """

    sent: dict[int, float] = field(default_factory=dict)
    answers: dict[str, list[tuple[int, float]]] = field(
        default_factory=lambda: {output: [] for output in OUTPUTS}
    )
    memory: defaultdict[str, Samples] = field(default_factory=lambda: defaultdict(list))
    counts: dict[str, int] = field(default_factory=dict)
    lost: Counter[str] = field(default_factory=Counter)

    def latencies(self) -> Samples:
        """(Time of sending, seconds until the last of its answers) of every answered frame."""
        last: dict[int, float] = {}
        for stamp, arrived in (answer for answers in self.answers.values() for answer in answers):
            last[stamp] = max(arrived, last.get(stamp, arrived))
        return [(sent, last[stamp] - sent) for stamp, sent in self.sent.items() if stamp in last]

    def windows(self, samples: Samples) -> list[np.ndarray]:
        """The values of each window; none of the warm-up."""
        sent = list(self.sent.values())
        start = sent[0] + WARM_UP * (sent[-1] - sent[0])
        times, values = np.reshape(samples, (-1, 2)).T
        edges = np.linspace(start, sent[-1], WINDOWS + 1)
        return [values[(since <= times) & (times <= to)] for since, to in pairwise(edges)]


def judge(record: Record, drift: float) -> list[str]:
    """What is wrong, a sentence each; empty if all is well.

    Args:
        drift: how many times its first value the p99 may become.
    """
    return [
        *_wrong_stamps(record),
        *_wrong_counts(record),
        *_grown_memory(record),
        *_drifted_latency(record, drift),
    ]


def _wrong_stamps(record: Record) -> Iterator[str]:
    for output, answers in record.answers.items():
        stamps = [stamp for stamp, _ in answers]
        if unknown := [stamp for stamp in stamps if stamp not in record.sent]:
            yield f"{output}: {len(unknown)} stamps were never sent, the first is {unknown[0]}"
        if back := [stamp for before, stamp in pairwise(stamps) if stamp <= before]:
            yield (
                f"{output}: {len(back)} stamps are not newer than the one before, the first is "
                f"{back[0]}"
            )


def _wrong_counts(record: Record) -> Iterator[str]:
    received, answered, dropped, lost = _account(record.counts)
    if len(record.sent) != received + lost:
        yield (
            f"{len(record.sent)} frames were sent, but the node counts {received} as received and "
            f"{lost} as lost by the middleware"
        )
    if received != answered + dropped:
        yield (
            f"the node has received {received} frames, but counts {answered} as answered and "
            f"{dropped} as dropped"
        )
    for output, answers in record.answers.items():
        if len(answers) + record.lost[output] != answered:
            yield (
                f"the node counts {answered} frames as answered, but {len(answers)} answers came "
                f"on {output}, and {record.lost[output]} were lost by the middleware"
            )


def _account(counts: Mapping[str, int]) -> tuple[int, int, int, int]:
    """Received, answered, dropped, and lost by the middleware before they could be received."""
    dropped = sum(count for key, count in counts.items() if key.startswith("dropped: "))
    lost = counts.get("dropped: transport", 0)
    return counts.get("received", 0), counts.get("answered", 0), dropped - lost, lost


def _grown_memory(record: Record) -> Iterator[str]:
    for kind, samples in record.memory.items():
        first, last = _medians(record.windows(samples))
        if last > (1 + GROWTH) * first:
            yield (
                f"{kind} grew from {first / 2**20:.1f} to {last / 2**20:.1f} MiB after warm-up, by "
                f"{last / first - 1:.2%}, expected at most {GROWTH:.0%}"
            )


def _drifted_latency(record: Record, drift: float) -> Iterator[str]:
    windows = record.windows(record.latencies())
    first, last = _least_p99(windows[:PART]), _least_p99(windows[-PART:])
    if np.isnan(first) or np.isnan(last):
        yield "no frame was answered in the first windows after warm-up, or in the last"
    if last > drift * first:
        yield (
            f"the p99 of the latency drifted from {1000 * first:.1f} to {1000 * last:.1f} ms, "
            f"expected at most {drift:g} times as much"
        )


def _medians(windows: Sequence[np.ndarray]) -> tuple[float, float]:
    """Of the first and of the last window."""
    return _percentile(windows[0], 50), _percentile(windows[-1], 50)


def _least_p99(windows: Sequence[np.ndarray]) -> float:
    return min((_percentile(window, 99) for window in windows if window.size), default=np.nan)


def _percentile(values: np.ndarray, percent: float) -> float:
    """NaN if there are no values."""
    return float(np.percentile(values, percent)) if values.size else np.nan


def report(record: Record) -> str:
    """The figures of a run, for people."""
    sent = list(record.sent.values())
    frames = {
        "sent": len(sent),
        "received by the node": record.counts.get("received", 0),
        **{f"answered on {output}": len(answers) for output, answers in record.answers.items()},
        **{f"lost on {output}": count for output, count in record.lost.items()},
        **{key: n for key, n in record.counts.items() if key.startswith("dropped: ")},
    }
    seconds = max(sent[-1] - sent[0], 1e-3)
    lines = [f"{'frames':<30}{'number':>12}{'Hz':>12}"]
    lines += [f"{name:<30}{n:>12}{n / seconds:>12.2f}" for name, n in frames.items()]

    lines += ["", f"{'after warm-up':<30}{'first':>12}{'last':>12}"]
    windows = record.windows(record.latencies())
    ends = windows[:PART], windows[-PART:]
    for p in (50, 95, 99):
        a, b = (1000 * _percentile(np.concatenate(end), p) for end in ends)
        lines.append(f"{f'latency p{p} [ms]':<30}{a:>12.1f}{b:>12.1f}")
    a, b = (1000 * _least_p99(end) for end in ends)
    lines.append(f"{'least p99 of a window [ms]':<30}{a:>12.1f}{b:>12.1f}{b / a - 1:>+9.0%}")
    for kind, samples in record.memory.items():
        a, b = (size / 2**20 for size in _medians(record.windows(samples)))
        lines.append(f"{kind + ' [MiB]':<30}{a:>12.1f}{b:>12.1f}{b / a - 1:>+9.2%}")
    return "\n".join(lines)


class Recorder:
    """A camera that plays noise, with ears on the outputs and an eye on the node's memory."""

    def __init__(self, camera: Camera, process: Popen, size: tuple[int, int]) -> None:
        self.camera = camera
        self.process = process
        height, width = size
        self._pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        self._info = info_of(assumed_intrinsics(width, height))
        for output in OUTPUTS:
            lost = SubscriptionEventCallbacks(message_lost=partial(self._lose, output))
            camera.subscribe(output, event_callbacks=lost)
        camera.listen_diagnostics()
        self.begin()

    def begin(self) -> None:
        """Forget what has been so far."""
        self.camera.forget()
        self._memory: defaultdict[str, Samples] = defaultdict(list)
        self._lost: Counter[str] = Counter()
        self._counts_before = self._counts()

    def send(self) -> None:
        """Publish a frame of the present time, and take a sample of the node's memory."""
        self.camera.send(messages.rgb_message(self.camera.header(), self._pixels), self._info)
        now = time.monotonic()
        self._memory["memory"].append((now, own_memory(self.process.pid)))
        used = self.camera.values("node").get("device memory used [MiB]")
        if used is not None:
            self._memory["device memory"].append((now, 2**20 * float(used)))

    def settle(self, timeout: float) -> bool:
        """Wait until the last frame is answered, and the node has given account since.

        Returns:
            Whether each of both was so within ``timeout`` seconds.
        """
        if not self.camera.spin_until(self.camera.last_is_answered, timeout):
            return False
        heard = self.camera.node.get_clock().now().nanoseconds

        def is_accounted_for() -> bool:
            received, answered, dropped, _ = _account(self._counts())
            return self.camera.health_time > heard and received == answered + dropped

        return self.camera.spin_until(is_accounted_for, timeout)

    def record(self) -> Record:
        """What was seen since the beginning."""
        before = self._counts_before
        counts = {key: count - before.get(key, 0) for key, count in self._counts().items()}
        camera = self.camera
        return Record(camera.sent, camera.arrived, self._memory, counts, self._lost)

    def _counts(self) -> dict[str, int]:
        return {
            key: int(value)
            for key, value in self.camera.values("camera").items()
            if key in ("received", "answered") or key.startswith("dropped: ")
        }

    def _lose(self, output: str, event: Any) -> None:
        self._lost[output] += event.total_count_change


def soak(recorder: Recorder, frames: int, rate: float) -> Record:
    """Feed frames to the node; what was seen.

    Raises:
        NodeError: if it does not come up, does not answer, or ends.
    """
    camera = recorder.camera
    camera.wait_until_active()
    camera.send_until(lambda: camera.answered, recorder.send)
    _fill_queue(recorder)
    recorder.begin()
    timer = camera.node.create_timer(1 / rate, recorder.send)
    with progress_bar(total=frames, desc="soaking", unit="frame", mininterval=1.0) as bar:
        while bar.n < frames:
            camera.spin_until(lambda: len(camera.sent) > bar.n, END_TIMEOUT)
            bar.update(len(camera.sent) - bar.n)
    camera.node.destroy_timer(timer)
    recorder.settle(END_TIMEOUT)
    return recorder.record()


def _fill_queue(recorder: Recorder) -> None:
    """Make the node's input queue as long as it may become, by frames sent while it is halted.

    Else the first stall of a busy machine would look like memory that grows.
    """
    recorder.process.send_signal(signal.SIGSTOP)
    try:
        for _ in range(DEPTH):
            recorder.send()
    finally:
        recorder.process.send_signal(signal.SIGCONT)
    if not recorder.settle(END_TIMEOUT):
        raise NodeError(f"{DEPTH} frames at once were not all accounted for in {END_TIMEOUT:g} s")


def command_line() -> argparse.ArgumentParser:
    parser = commands.parser("sosd_ros.checks.soak", __doc__, "--seconds 3600")
    parser.add_argument("--seconds", type=commands.positive, default=600.0, help="(%(default)g)")
    parser.add_argument(
        "--rate", type=commands.positive, default=30.0, help="frames/s (%(default)g)"
    )
    commands.add_size_option(parser, "of a frame (480x640)", USUAL_SIZE)
    commands.add_weights_option(parser)
    commands.add_device_option(parser)
    parser.add_argument(
        "--drift",
        type=float,
        default=1.5,
        help="how many times its first value p99 may become; inf does not judge it (%(default)g)",
    )
    return parser


def run(arguments: argparse.Namespace) -> None:
    frames = max(1, round(arguments.seconds * arguments.rate))
    # A frame that is lost before the node could count it would look like a fault of the node. Its
    # outputs are left as they are: deep ones keep clouds for us whenever we are late, by megabytes.
    inputs = reliable_inputs("", depth=DEPTH)
    given = {"weights": arguments.weights, "device": arguments.device, **inputs}
    with (
        middleware() as context,
        perception_node(given) as process,
        closing(Camera("sosd_soak", context, process, queue=DEPTH)) as camera,
    ):
        record = soak(Recorder(camera, process, arguments.size), frames, arguments.rate)
    print(f"\n{report(record)}\n")
    problems = judge(record, arguments.drift)
    if problems:
        sys.exit("\n".join(f"failed: {problem}" for problem in problems))
    print("passed: memory does not grow, every frame is accounted for, latency does not drift")


if __name__ == "__main__":
    commands.main(command_line(), run, NodeError)
