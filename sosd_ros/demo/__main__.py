"""``python -m sosd_ros.demo``: the whole way of a frame, on this machine."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor

from .. import commands, weights
from ..engine import AUTO, BACKENDS
from ..labels import LabelSet
from ..progress import progress_bar
from ..ros.malloc import keep_freed_memory
from ..testbed.frames import SourceError, open_source
from ..testbed.process import (
    NodeError,
    perception_node,
    use_local_middleware,
    wait_until_active,
)
from .contact_sheet import contact_sheet
from .engine import build_once, has_bfloat16
from .player import Player
from .verdict import cpu_time, reasons, verdict

_CONNECT_TIMEOUT = 20.0  # seconds
_ANSWER_TIMEOUT = 20.0
_SHEET_PICTURES = 12


class DemoError(RuntimeError):
    """The demo did not see what it should have; the message says what."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sosd_ros.demo",
        description="Start the perception node, play frames to it over DDS, check what comes back.",
    )
    parser.add_argument(
        "--source",
        help="a folder of images, a video file, or a camera (0, /dev/video0); default: samples",
    )
    commands.add_weights_option(parser)
    commands.add_device_option(parser)
    parser.add_argument(
        "--backend",
        default=AUTO,
        choices=[AUTO, *(backend.name for backend in BACKENDS)],
        help="of the node; auto, the default: the fastest, which on a CPU is built beforehand",
    )
    parser.add_argument(
        "--rate", type=commands.positive, default=30.0, help="frames/s to play (%(default)g)"
    )
    parser.add_argument(
        "--frames", type=commands.count, default=360, help="frames to play at most (%(default)s)"
    )
    parser.add_argument("--out", type=Path, default=Path("demo.png"), help="the contact sheet")
    return parser


def _wait_until_connected(player: Player, executor: SingleThreadedExecutor) -> None:
    deadline = time.monotonic() + _CONNECT_TIMEOUT
    while not player.is_connected():
        if time.monotonic() > deadline:
            raise DemoError(f"the node's topics were not found within {_CONNECT_TIMEOUT:g} s")
        executor.spin_once(timeout_sec=0.1)


def _play(player: Player, executor: SingleThreadedExecutor, rate: float, frames: int) -> None:
    """Play at a steady rate while listening; returns when the last frame has been answered."""
    period, start = 1 / rate, time.perf_counter()
    with progress_bar(total=frames, desc="playing", unit="frame") as bar:
        for number in range(frames):
            while (rest := start + number * period - time.perf_counter()) > 0:
                executor.spin_once(timeout_sec=rest)
            player.play_next()
            if player.finished:
                break
            bar.update()
            bar.set_postfix(answered=len(player.arrived["/sosd/depth"]), refresh=False)
    if not player.sent:
        raise SourceError("the source gave no frame")
    deadline = time.monotonic() + _ANSWER_TIMEOUT
    while not player.last_is_answered() and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.1)


def check(player: Player) -> list[str]:
    """What is wrong with the answers, a sentence each; empty if all is well."""
    problems = list(player.wrong)
    answered = {topic: set(stamps) for topic, stamps in player.arrived.items()}
    everywhere = set.intersection(*answered.values())
    if not everywhere:
        problems.append("no frame was answered on all topics")
    elif not player.last_is_answered():
        problems.append("the last frame was not answered on all topics")
    for topic, stamps in player.arrived.items():
        if list(stamps) != sorted(stamps):
            problems.append(f"{topic}: stamps went back")
        for other in sorted(set.union(*answered.values()) - answered[topic]):
            problems.append(f"{topic}: no answer for stamp {other}, which other topics have")
    return problems


def report(player: Player) -> str:
    """Rates and latencies by topic, from publishing the image to receiving the answer."""
    lines = [f"{'topic':<20}{'messages':>9}{'Hz':>8}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}"]
    for topic, arrived in player.arrived.items():
        if not arrived:
            lines.append(f"{topic:<20}{0:>9}")
            continue
        times = list(arrived.values())
        span = times[-1] - times[0]
        rate = (len(times) - 1) / span if span > 0 else float("nan")
        latency = [1000 * (t - player.sent[stamp]) for stamp, t in arrived.items()]
        cells = "".join(f"{p:>9.1f}" for p in np.percentile(latency, (50, 95, 99)))
        lines.append(f"{topic:<20}{len(times):>9}{rate:>8.1f}{cells}")
    return "\n".join(lines)


def _summary(player: Player, rate: float, no_engine: str, others: float) -> str:
    sent = list(player.sent.values())
    if sent[1:]:  # a camera has a rate of its own
        rate = (len(sent) - 1) / (sent[-1] - sent[0])
    answered = len(set.intersection(*map(set, player.arrived.values())))
    engine = f"{player.health['backend']} on {player.health['device']}"
    why = reasons(player.health, no_engine, has_bfloat16(), others)
    return verdict(rate, len(sent), answered, engine, why)


def run(arguments: argparse.Namespace) -> None:
    path = arguments.weights
    labels = weights.read(path).manifest.labels
    source = open_source(arguments.source, arguments.rate)
    if not source.is_calibrated:
        print("no calibration for this source: assuming a field of view of 60 degrees")
    count = min(arguments.frames, source.length or arguments.frames)
    no_engine = ""
    if arguments.backend == AUTO:
        no_engine = build_once(path, arguments.device, source.sizes(count))

    use_local_middleware()
    keep_freed_memory()
    rclpy.init()
    executor = SingleThreadedExecutor()
    player = Player(source)
    executor.add_node(player)
    parameters = {name: getattr(arguments, name) for name in ("weights", "device", "backend")}
    try:
        print("starting the node ...", flush=True)
        # What it says of engines is for those who choose one; the rest is said here.
        with perception_node(parameters, log_level="warn") as node:
            wait_until_active(node, player, executor)
            _wait_until_connected(player, executor)
            print(f"playing {source.name} at {arguments.rate:g} Hz", flush=True)
            before = cpu_time(node.pid)
            _play(player, executor, arguments.rate, count)
            others = cpu_time(node.pid).others_since(before)
    finally:
        executor.shutdown()
        rclpy.try_shutdown()

    print(f"\n{report(player)}\n")
    problems = check(player)
    if problems:
        raise DemoError("; ".join(problems[:5]))
    print(_summary(player, arguments.rate, no_engine, others))
    print("each with depth, labels and points, and with its exact stamp and frame")
    _write_sheet(player, labels, arguments.out)


def _write_sheet(player: Player, labels: LabelSet, path: Path) -> None:
    numbers = sorted(player.answers)
    every = -(-len(numbers) // _SHEET_PICTURES)
    chosen = [player.answers[number] for number in numbers[::every][:_SHEET_PICTURES]]
    sheet = cv2.cvtColor(contact_sheet(chosen, labels), cv2.COLOR_RGB2BGR)
    if not cv2.imwrite(str(path), sheet):
        raise DemoError(f"the contact sheet {path} could not be written; choose another --out")
    print(f"contact sheet: {path.resolve()}")


def main() -> None:
    commands.main(_parser(), run, DemoError, NodeError)


if __name__ == "__main__":
    main()
