"""``python -m sosd_ros.bag``: the node's answers to recordings, without ROS.

OUT holds all messages of IN, untouched, and the answers to its images with their stamps, on the
topics of the node. Every image is answered, as fast as this machine can. A run that was interrupted
goes on where it stopped. Of several recordings each becomes a folder in OUT.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

from .. import commands, many, weights
from ..ahead import ahead
from ..answering import add_engine_options, open_engine
from ..camera_info import RECTIFIED, check_info
from ..encodings import MessageError
from ..engine import Engine, EngineError, Range
from ..progress import progress_bar
from ..recorded_cameras import NODE, Camera, cameras_of
from ..recordings import (
    STRING,
    Message,
    Parts,
    Recording,
    RecordingError,
    Topic,
    Types,
    is_whole,
    seconds,
)
from .answers import OUTPUTS, Answerer, Output

LATE = 100_000_000  # nanoseconds that a CameraInfo may come after its image, as for the node


@dataclass
class Step:
    """A message, what is answered to it, and why it is refused, if it is.

    Attributes:
        topic: of the images, if it is one.
    """

    message: Message
    topic: str = ""
    outputs: list[Output] = field(default_factory=list)
    refusal: str = ""


def outputs(text: str) -> list[str]:
    """Names of topics, with commas in between."""
    names = text.split(",")
    if wrong := [name for name in names if name not in OUTPUTS]:
        raise argparse.ArgumentTypeError(f"has {wrong[0]!r}, expected some of {','.join(OUTPUTS)}")
    return sorted(names)


def command_line() -> argparse.ArgumentParser:
    parser = commands.parser(
        "sosd_ros.bag", __doc__, "drive drive_answered --answers depth,semantic"
    )
    parser.add_argument(
        "sources",
        type=Path,
        nargs="+",
        metavar="IN",
        help="a rosbag2 folder, an mcap or a db3 file",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder to write")
    parser.add_argument(
        "--topics",
        type=lambda text: text.split(","),
        default=[],
        metavar="TOPIC,...",
        help="the images to answer (default: all)",
    )
    parser.add_argument(
        "--answers",
        type=outputs,
        default=sorted(OUTPUTS),
        metavar="NAME,...",
        help=f"what to write (default: all, {','.join(OUTPUTS)}); points take the most room",
    )
    parser.add_argument(
        "--rectified",
        default="assumed",
        choices=RECTIFIED,
        help="whether images are rectified, as the node's parameter of that name (%(default)s)",
    )
    parser.add_argument(
        "--json", action="store_true", help="at the end, print a summary of each topic, as JSON"
    )
    add_engine_options(parser)
    many.add_ray_option(parser)
    return parser


class Answering(many.Work):
    """Answers recordings, all with one engine."""

    fixable = (ValueError, OSError, EngineError)

    @cached_property
    def file(self) -> weights.Weights:
        return weights.read(self.arguments.weights)

    @cached_property
    def engine(self) -> tuple[Engine, Range]:
        engine, limits = open_engine(self.file, self.arguments)
        self.loaded.callback(engine.close)
        return engine, limits

    def is_there(self, source: Path, out: Path) -> bool:
        commands.check_out("OUT", out, folder=True)
        if out.resolve() == source.resolve():
            raise ValueError(f"OUT is IN, {out}; name another folder")
        with closing(Recording(source)) as recording:
            return is_whole(out, self._origin(recording))

    def make(self, source: Path, out: Path) -> dict[str, Any]:
        """How many images of each topic were answered; why no more, where IN is ``broken``."""
        with closing(Recording(source)) as recording:
            cameras, said = cameras_of(recording, self.arguments.topics)
            refuse_taken(recording, cameras, self.arguments)
            parts = Parts(out, recording.storage, self._origin(recording))
            for sentence in said:
                commands.say(sentence)
            engine, limits = self.engine
            answerer = Answerer(
                engine, limits, self.arguments.answers, self.arguments.rectified, commands.say
            )
            broken = ""
            try:
                answer_all(recording, cameras, answerer, parts, engine)
                parts.finish()
            except RecordingError as error:
                parts.finish()  # what could be read before that is answered
                broken = str(error)
            except BaseException:
                parts.abandon()
                raise
        return {"topics": parts.facts["topics"], "broken": broken}

    def report(self, out: Path, made: dict[str, Any], stdout: TextIO) -> None:
        """An image that was refused makes the command fail."""
        if made["broken"]:
            raise RecordingError(made["broken"])
        counts = made["topics"]
        if self.arguments.json:
            print(json.dumps({"out": str(out), "topics": counts}), file=stdout, flush=True)
        else:
            for topic, count in counts.items():
                answered = f"{topic}: {count['answered']} images answered in {out}"
                print(answered, file=stdout, flush=True)
        if refused := sum(count["refused"] for count in counts.values()):
            raise ValueError(
                f"{refused} images were refused, for the reasons above; all else is there"
            )

    def _origin(self, recording: Recording) -> dict[str, Any]:
        return origin(recording, self.file.sha256, self.arguments)


def run(arguments: argparse.Namespace) -> None:
    many.run(Answering, arguments, arguments.sources)


def origin(recording: Recording, sha256: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """What the answers follow from: who goes on must have the same."""
    asked = ("backend", "precision", "max_depth", "topics", "answers", "rectified")
    return {
        "recording": [recording.path.resolve().name, recording.count, *recording.span],
        "weights": sha256,
        **{name: getattr(arguments, name) for name in asked},
    }


def refuse_taken(
    recording: Recording, cameras: Iterable[Camera], arguments: argparse.Namespace
) -> None:
    """Refuse to mix our answers with those that were recorded."""
    there = {topic.name for topic in recording.topics}
    ours = {f"{camera.outputs}{name}" for camera in cameras for name in arguments.answers}
    if taken := sorted(there & ours):
        raise RecordingError(
            f"{recording.path} has {taken[0]} already; record it without the topics below {NODE}, "
            "or choose others with --answers"
        )


def answer_all(
    recording: Recording,
    cameras: list[Camera],
    answerer: Answerer,
    parts: Parts,
    engine: Engine,
) -> None:
    """Copy and answer, from where the last part ended; read, answer and write at the same time."""
    done = parts.facts.setdefault("read", 0)
    counts = parts.facts.setdefault("topics", {})
    for camera in cameras:
        counts.setdefault(camera.images.name, {"answered": 0, "refused": 0})
    steps = ahead(answered(known(ahead(recording.messages()), cameras), cameras, answerer, done))
    with (
        closing(steps),
        progress_bar(steps, recording.path.name, total=recording.count, unit="message") as bar,
    ):
        for number, step in enumerate(bar, 1):
            if number <= done:
                continue
            if number == 1 and "semantic" in engine.answers:
                _write_labels(parts, engine, step.message.time)
            parts.write(*step.message)
            for output in step.outputs:
                parts.write(output.topic, step.message.time, output.data)
            if step.topic:
                counts[step.topic]["refused" if step.refusal else "answered"] += 1
            if step.refusal:
                time = seconds(step.message.time)
                bar.write(f"{step.message.topic.name} at {time}: {step.refusal}", sys.stderr)
            parts.facts["read"] = number
            if parts.is_full():
                parts.end_part()


def known(messages: Iterable[Message], cameras: list[Camera]) -> Iterator[Message]:
    """Messages in their order, once the CameraInfos that come a little later are known."""
    types, held = Types(), deque[Message]()
    buffers: dict[str, list[Any]] = {}
    for camera in cameras:
        if camera.infos_of is not None:
            buffers.setdefault(camera.infos_of.name, []).append(camera.infos)
    for message in messages:
        for buffer in buffers.get(message.topic.name, []):
            try:
                info = types.decode(message.topic.kind, message.data)
                check_info(info)
            except (MessageError, RecordingError) as error:
                commands.say(f"{message.topic.name} at {seconds(message.time)}: {error}")
            else:
                buffer.add(info)
        held.append(message)
        while held[0].time + LATE < message.time:
            yield held.popleft()
    yield from held


def answered(
    messages: Iterable[Message], cameras: list[Camera], answerer: Answerer, done: int
) -> Iterator[Step]:
    """Each message with its answers; none for the first ``done``."""
    by_topic = {camera.images.name: camera for camera in cameras}
    for number, message in enumerate(messages, 1):
        camera = by_topic.get(message.topic.name)
        if camera is None or number <= done:
            yield Step(message)
            continue
        step = Step(message, camera.images.name)
        try:
            step.outputs = answerer(camera, message)
        except ValueError as error:
            step.refusal = str(error)
        yield step


def _write_labels(parts: Parts, engine: Engine, time: int) -> None:
    types = Types()
    message = types.make(STRING, data=engine.manifest.labels.info())
    topic = Topic(f"{NODE}label_info/json", STRING, None)
    parts.write(topic, time, types.encode(STRING, message))


def main() -> None:
    commands.main(command_line(), run, EngineError)


if __name__ == "__main__":
    main()
