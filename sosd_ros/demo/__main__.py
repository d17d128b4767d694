"""``python -m sosd_ros.demo``: the whole way of a frame, on this machine."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

import cv2
from rclpy.context import Context

from .. import atomic, commands, view, weights
from ..build import add_backend_option
from ..contact_sheet import contact_sheet
from ..engine import AUTO
from ..labels import LabelSet
from ..testbed.camera import Camera
from ..testbed.frames import Source, open_source
from ..testbed.process import NodeError, middleware, perception_node, running
from ..testbed.times import Times, rate_of
from .engine import build_once, has_bfloat16
from .page import Shown, page
from .player import Player
from .verdict import cpu_time, reasons, verdict

_CONNECT_TIMEOUT = 20.0  # seconds
_SHEET_PICTURES = 12
_LIVE_VIEW = (sys.executable, "-m", "sosd_ros.view")


class DemoError(RuntimeError):
    """The demo did not see what it should have; the message says what."""


def command_line() -> argparse.ArgumentParser:
    parser = commands.parser(
        "sosd_ros.demo",
        "Start the perception node, play frames to it over DDS, check what comes back.",
        "--source walk.mp4",
    )
    parser.add_argument(
        "--source",
        help="a folder of images, a video file, or a camera (0, /dev/video0); default: samples",
    )
    commands.add_weights_option(parser)
    commands.add_device_option(parser)
    add_backend_option(
        parser, "of the node; auto, the default: the fastest, which on a CPU is built beforehand"
    )
    parser.add_argument(
        "--rate", type=commands.positive, default=30.0, help="frames/s to play (%(default)g)"
    )
    parser.add_argument(
        "--frames", type=commands.count, default=360, help="frames to play at most (%(default)s)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("demo.png"),
        help="the contact sheet, beside which there will be a page, as HTML (%(default)s)",
    )
    parser.add_argument(
        "--view",
        action="store_true",
        help="also serve the live view to a browser, and play again and again until Ctrl-C",
    )
    return parser


def check(player: Player) -> list[str]:
    """What is wrong with the answers, a sentence each; empty if all is well."""
    camera, problems = player.camera, list(player.wrong)
    answered = {topic: [stamp for stamp, _ in camera.arrived[topic]] for topic in camera.arrived}
    anywhere = set(itertools.chain.from_iterable(answered.values()))
    if not camera.answered:
        problems.append("no frame was answered on all topics")
    elif not camera.last_is_answered():
        problems.append("the last frame was not answered on all topics")
    for topic, stamps in answered.items():
        if stamps != sorted(stamps):
            problems.append(f"/sosd/{topic}: stamps went back")
        for other in sorted(anywhere.difference(stamps)):
            problems.append(f"/sosd/{topic}: no answer for stamp {other}, which other topics have")
    return problems


def report(camera: Camera) -> str:
    """Rates and latencies by topic, from publishing the image to receiving the answer."""
    lines = [f"{'topic':<20}{'messages':>9}{'Hz':>8}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}"]
    for topic, arrived in camera.arrived.items():
        times = [(when, camera.sent[stamp]) for stamp, when in arrived if stamp in camera.sent]
        row = f"{'/sosd/' + topic:<20}{len(times):>9}"
        if times:
            rate = rate_of([when for when, _ in times])
            row += f"{rate:>8.1f} {Times.of([when - sent for when, sent in times])}"
        lines.append(row)
    return "\n".join(lines)


def _summary(camera: Camera, rate: float, no_engine: str, others: float) -> str:
    sent, health = list(camera.sent.values()), camera.values("node")
    rate = rate_of(sent) or rate  # a camera has one of its own
    engine = f"{health['backend']} on {health['device']}"
    why = reasons(health, no_engine, has_bfloat16(), others)
    return verdict(rate, len(sent), len(camera.answered), engine, why)


def run(arguments: argparse.Namespace) -> None:
    if arguments.view:
        view.check_installed()
    path = arguments.weights
    source = open_source(arguments.source, arguments.rate)
    if not source.is_calibrated:
        print("no calibration for this source: assuming a field of view of 60 degrees")
    count = min(arguments.frames, source.length or arguments.frames)
    no_engine = ""
    if arguments.backend == AUTO:
        no_engine = build_once(path, arguments.device, source.sizes(count))

    parameters = {name: getattr(arguments, name) for name in ("weights", "device", "backend")}
    print("starting the node ...", flush=True)
    with (
        middleware() as context,
        running(_LIVE_VIEW) if arguments.view else nullcontext() as live,
        # What it says of engines is for those who choose one; the rest is said here.
        perception_node(parameters, log_level="warn") as node,
        closing(Camera("sosd_demo", context, node)) as camera,
    ):
        player = Player(camera)
        camera.wait_until_active()
        if not camera.spin_until(player.is_connected, _CONNECT_TIMEOUT):
            raise DemoError(f"the node's topics were not found within {_CONNECT_TIMEOUT:g} s")
        print(f"playing {source.name} at {arguments.rate:g} Hz", flush=True)
        before = cpu_time(node.pid)
        player.play(source, arguments.rate, count)
        others = cpu_time(node.pid).others_since(before)

        print(f"\n{report(camera)}\n")
        problems = check(player)
        if problems:
            raise DemoError("; ".join(problems[:5]))
        summary = _summary(camera, arguments.rate, no_engine, others)
        print(summary)
        print("each with depth, labels and points, and with its exact stamp and frame")
        labels = weights.read(path).manifest.labels
        _write_pictures(player, source, labels, arguments.out, summary)
        if live is not None:
            with _until_interrupted(context):
                print("playing on for the live view; Ctrl-C ends it", flush=True)
                while live.poll() is None:
                    camera.forget()
                    again = open_source(arguments.source, arguments.rate)
                    player.play(again, arguments.rate, count)


@contextmanager
def _until_interrupted(context: Context) -> Iterator[None]:
    """What Ctrl-C ends in order, whatever it ends first: this process, the node or the view."""
    try:
        yield
    except KeyboardInterrupt:
        pass
    except Exception:
        if context.ok():  # no signal has shut it down
            raise


def _write_pictures(
    player: Player, source: Source, labels: LabelSet, path: Path, verdict: str
) -> None:
    """The contact sheet, and beside it a page with the clouds as well."""
    numbers = sorted(player.answers)
    every = -(-len(numbers) // _SHEET_PICTURES)
    chosen = [player.answers[number] for number in numbers[::every][:_SHEET_PICTURES]]
    sheet = contact_sheet(chosen, labels)
    if not cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)):
        raise DemoError(f"the contact sheet {path} could not be written; choose another --out")
    print(f"contact sheet: {path.resolve()}")
    camera = player.camera
    first = next(iter(camera.sent.values()))
    shown = Shown(
        f"{source.name}, answered by sosd_ros",
        verdict,
        report(camera),
        [(camera.sent[s] - first, when - camera.sent[s]) for s, when in camera.answered.items()],
    )
    cameras = [source.intrinsics(*reversed(depth.shape)) for _, depth, _ in chosen]
    beside = path.with_suffix(".html")
    atomic.write(beside, page(shown, chosen, cameras, sheet, labels))
    print(f"the same with clouds to turn: {beside.resolve().as_uri()}")


def main() -> None:
    commands.main(command_line(), run, DemoError, NodeError)


if __name__ == "__main__":
    main()
