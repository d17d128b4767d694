"""``python -m sosd_ros.infer``: depth, labels and points of a folder, an image or a video.

Without ROS. For each image it writes a picture for people and an NPZ with all answers, which equal
those of the node; for a video an MP4. What is there already is kept, so that a run that was
interrupted goes on where it stopped.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import atomic, commands, weights
from ..ahead import ahead
from ..answering import add_engine_options, answer_to, open_engine
from ..engine import Engine, EngineError, Range
from ..progress import progress_bar
from . import lines
from .cameras import Given, camera_of, given
from .drawing import Drawing
from .files import KINDS, VIDEO, Answered, VideoFile, write
from .sources import Picture, Source, open_source

USUAL = {False: ["sheet", "arrays"], True: [VIDEO]}  # by whether it is a video


class Step(NamedTuple):
    """What came of a picture: an answer, or why there is none; neither, if it was there already."""

    picture: Picture
    answered: Answered | None = None
    how: str = ""  # its camera is known
    seconds: float = 0.0
    error: str = ""


def kinds(text: str) -> list[str]:
    """Names of files, with commas in between."""
    names = text.split(",")
    if wrong := [name for name in names if name not in (*KINDS, VIDEO)]:
        raise argparse.ArgumentTypeError(
            f"has {wrong[0]!r}, expected some of {','.join((*KINDS, VIDEO))}"
        )
    return names


def command_line() -> argparse.ArgumentParser:
    parser = commands.parser("sosd_ros.infer", __doc__, "photos --out answers --write sheet,points")
    parser.add_argument("source", type=Path, help="a folder of images, an image or a video")
    parser.add_argument(
        "--out", type=Path, default=Path("answers"), help="folder to write to (%(default)s)"
    )
    parser.add_argument(
        "--write",
        type=kinds,
        metavar="KIND,...",
        help="sheet: image, depth and labels side by side, PNG; arrays: all answers, NPZ; depth: "
        "millimetres, 16-bit PNG; labels: class ids, PNG; points: PLY; video: the sheets of a "
        "video, MP4 (default: sheet,arrays; for a video: video)",
    )
    parser.add_argument(
        "--camera",
        type=given,
        metavar="fx,fy,cx,cy",
        help="intrinsics in pixels of the images (default: the EXIF focal length; without one, "
        "those of the training camera are assumed)",
    )
    parser.add_argument("--again", action="store_true", help="also what is there already")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each image")
    add_engine_options(parser)
    return parser


def run(arguments: argparse.Namespace) -> None:
    source = open_source(arguments.source)
    asked = arguments.write or USUAL[bool(source.rate)]
    if VIDEO in asked and not source.rate:
        raise ValueError(f"--write has video, but {arguments.source} is none; leave it out")
    commands.check_out("--out", arguments.out, folder=True)
    if arguments.out.resolve() == arguments.source.resolve():
        raise ValueError(f"--out is {arguments.out}, where the images are; name another folder")
    video = arguments.out / f"{source.key}_sheet.mp4" if VIDEO in asked else None
    asked = [kind for kind in asked if kind != VIDEO]
    if video and video.exists() and not arguments.again and not asked:
        commands.say(f"{video} is there already; --again makes it anew")
        return
    engine, limits = open_engine(weights.read(arguments.weights), arguments)
    with closing(engine):
        check_kinds(asked, engine)
        arguments.out.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            film = None
            if video and (arguments.again or not video.exists()):
                partial = stack.enter_context(atomic.together(video))
                film = stack.enter_context(closing(VideoFile(partial, source.rate)))
            keep = not arguments.again and film is None
            steps = answered_steps(source, engine, limits, arguments, asked if keep else [])
            written = tell(steps, source, asked, film, arguments)
        if film:
            commands.say(f"video: {video}")
    if written["broken"]:
        raise ValueError(
            f"{written['broken']} of {sum(written.values())} images could not be answered, for the "
            "reasons above; the others are"
        )


def check_kinds(asked: list[str], engine: Engine) -> None:
    """Refuse a file of what the network does not answer."""
    for kind in asked:
        if (needs := KINDS[kind].needs) and needs not in engine.answers:
            raise ValueError(
                f"--write has {kind}, but these weights answer no {needs}; leave it out"
            )


def answered_steps(
    source: Source,
    engine: Engine,
    limits: Range,
    arguments: argparse.Namespace,
    kept: list[str],
) -> Generator[Step, None, None]:
    """Read, answer and hand on, each in a thread of its own.

    Args:
        kept: kinds of files that make a picture done if all are there; none: all are answered.
    """

    def read() -> Iterator[tuple[Picture, np.ndarray | str | None]]:
        for picture in source.pictures:
            paths = [arguments.out / (picture.key + KINDS[kind].ending) for kind in kept]
            if paths and all(path.exists() for path in paths):
                yield picture, None
                continue
            try:
                yield picture, picture.read()
            except (ValueError, OSError) as error:
                yield picture, str(error)

    def answer() -> Iterator[Step]:
        for picture, image in ahead(read()):
            if not isinstance(image, np.ndarray):
                yield Step(picture, error=image or "")
                continue
            yield answered(picture, image, engine, limits, arguments.camera)

    return ahead(answer())


def answered(
    picture: Picture, image: np.ndarray, engine: Engine, limits: Range, told: Given | None
) -> Step:
    """Answer a picture."""
    started = time.perf_counter()
    try:
        camera, how = camera_of(image.shape[:2], told, picture.focal_35mm, engine.manifest)
    except ValueError as error:
        return Step(picture, error=str(error))
    answer = answer_to(engine, image, camera.focal, limits)
    made = Answered(image, camera, answer, engine.manifest.labels)
    return Step(picture, made, how, time.perf_counter() - started)


def tell(
    steps: Generator[Step, None, None],
    source: Source,
    asked: list[str],
    film: VideoFile | None,
    arguments: argparse.Namespace,
) -> dict[str, int]:
    """Write and say what there is of each picture; how many there were, by what came of them."""
    count, drawing = {"answered": 0, "kept": 0, "broken": 0}, None
    has_said = False
    with closing(steps), progress_bar(steps, "answering", total=source.count, unit="image") as bar:
        for step in bar:
            name = step.picture.name
            if step.error:
                count["broken"] += 1
                bar.write(f"{name}: {step.error}", sys.stderr)
                if arguments.json:
                    bar.write(lines.broken(name, step.error))
            elif step.answered is None:
                count["kept"] += 1
            else:
                count["answered"] += 1
                if step.how == "assumed" and not has_said:
                    has_said = True
                    bar.write(lines.assumed(name, step.answered), sys.stderr)
                files = write(step.answered, step.picture.key, asked, arguments.out)
                if film:
                    drawing = drawing or Drawing(step.answered.labels, is_steady=True)
                    film.add(drawing(step.answered.image, step.answered.answer))
                if arguments.json:
                    bar.write(lines.facts(name, step.answered, step.how, step.seconds, files))
                elif not source.rate:
                    bar.write(lines.summary(name, step.answered, files))
    if count["kept"]:
        commands.say(f"{count['kept']} were there already and are kept; --again makes them anew")
    return count


def main() -> None:
    commands.main(command_line(), run, EngineError)


if __name__ == "__main__":
    main()
