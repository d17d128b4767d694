"""``python -m sosd_ros.measure``: how far is what the camera sees there, and is that right?

Listens to a running perception node. Ctrl-C ends it.
"""

from __future__ import annotations

import argparse
import math
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

from .. import commands
from .listener import Listener, listening
from .reading import Measured, Reading, factor, measured, read

FRAMES = 10  # of each measured distance
LINE_EVERY = 1.0  # seconds, where the output is no terminal
RENEW = "\r\x1b[K"  # what a terminal begins its line anew by
APART = 1.2  # the greatest over the least factor, beyond which one does not mend all


def pixel(text: str) -> tuple[int, int]:
    """COLUMN,ROW."""
    numbers = re.fullmatch(r"(\d+),(\d+)", text, re.ASCII)
    if not numbers:
        raise argparse.ArgumentTypeError(f"is {text!r}, expected COLUMN,ROW such as 320,240")
    return int(numbers[1]), int(numbers[2])


def command_line() -> argparse.ArgumentParser:
    parser = commands.parser("sosd_ros.measure", __doc__, "--at 320,400 --calibrate")
    parser.add_argument(
        "--at", type=pixel, metavar="COLUMN,ROW", help="a pixel; default: the middle of the image"
    )
    parser.add_argument("--node", default="/sosd", help="the perception node (%(default)s)")
    parser.add_argument("--camera", default="", help="one of several cameras of the node")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--calibrate",
        action="store_true",
        help="ask for two or three measured distances, and say which depth_scale to set",
    )
    how.add_argument(
        "--true",
        type=commands.positive,
        metavar="METRES",
        help="the same for one measured distance, without asking",
    )
    return parser


def show(listener: Listener, at: tuple[int, int] | None) -> None:
    """A line that is renewed with each image; off a terminal, one a second."""
    is_terminal, shown = sys.stdout.isatty(), -math.inf
    try:
        while True:
            reading = read(listener.next(say), at)
            assert listener.settings is not None
            scale = listener.settings.depth_scale, listener.scale
            line = line_of(reading, listener.name_of, *scale)
            if is_terminal:
                width = shutil.get_terminal_size().columns - 1  # a longer one could not be renewed
                print(f"{RENEW}{line[:width]}", end="", flush=True)
            elif time.monotonic() - shown >= LINE_EVERY:
                print(line, flush=True)
                shown = time.monotonic()
    finally:
        print(end="\n" if is_terminal else "")


def line_of(
    reading: Reading, name_of: Callable[[int], str], depth_scale: float, scale: str = ""
) -> str:
    """A reading in words, with what the node says of an estimated scale."""
    if math.isfinite(reading.z):
        doubt = "" if math.isnan(reading.uncertainty) else f" +- {reading.uncertainty:.2f}"
        far = f"{reading.z:.2f}{doubt} m along z, {reading.distance:.2f} m along the ray"
    elif math.isinf(reading.z):
        far = "beyond max_depth"
    else:
        far = "no depth: nearer than min_depth, too uncertain, or outside the lens' view"
    what = ""
    if reading.label is not None:
        what = f", {name_of(reading.label)}"
        what += "" if math.isnan(reading.confidence) else f" {reading.confidence:.0%}"
    column, row = reading.place
    scales = f"depth_scale {depth_scale:g}{f', {scale}' if scale else ''}"
    return f"{column},{row}: {far}{what}, {scales}"


def asked() -> Iterator[float]:
    """Metres that somebody enters, until a line is empty."""
    while True:
        try:
            text = input("measured distance from the lens to there, in metres (empty to end): ")
        except EOFError:
            print()
            return
        if not text.strip():
            return
        try:
            distance = commands.positive(text)
        except argparse.ArgumentTypeError as error:
            say(f"the distance {error}")
        else:
            yield distance


def measure(listener: Listener, at: tuple[int, int] | None) -> tuple[Measured, float]:
    """What a few images are answered as, from now on, and the node's depth_scale."""
    listener.refresh(say)
    distances = [read(listener.next(say), at).distance for _ in range(FRAMES)]
    assert listener.settings is not None
    return measured(distances), listener.settings.depth_scale


def calibrate(
    node: str, distances: Iterator[float], measure: Callable[[], tuple[Measured, float]]
) -> Iterator[str]:
    """What to set, from distances that are known.

    Args:
        node: its name.
        distances: in metres.
        measure: what the node answers there, and its depth_scale then.

    Yields:
        Lines for people.

    Raises:
        ValueError: if there was no distance to learn from.
    """
    true, raw = [], []
    for distance in distances:
        try:
            answer, scale = measure()
        except ValueError as error:
            yield str(error)
            continue
        yield (
            f"{distance:g} m is answered as {answer.distance:.2f} m ({answer.least:.2f} to "
            f"{answer.most:.2f} in {FRAMES} frames): factor {distance / answer.distance:.3f}"
        )
        true.append(distance)
        raw.append(answer.distance / scale)
    if not true:
        raise ValueError("nothing was measured, so there is nothing to set")
    found = factor(true, raw)
    yield f"depth_scale {found.value:.3f} makes {_of(found.spread, len(true))} right:"
    yield f"    ros2 param set {node} depth_scale {found.value:.3f}"
    if found.most > APART * found.least:
        yield (
            f"but single distances ask for {found.least:.3f} to {found.most:.3f}, so no one factor "
            "mends them all: see docs/geometry.md"
        )


def _of(spread: float, count: int) -> str:
    if count == 1:
        return "this distance"
    return f"{count} distances, which stray by {spread:.0%},"


def say(sentence: str) -> None:
    """To people, apart from what is measured."""
    print(f"{RENEW if sys.stderr.isatty() else ''}{sentence}", file=sys.stderr, flush=True)


def run(arguments: argparse.Namespace) -> None:
    # Ctrl-C is how one puts the tape measure away: no failure.
    with suppress(KeyboardInterrupt), listening(arguments.node, arguments.camera) as listener:
        if arguments.calibrate or arguments.true:
            read(listener.next(say), arguments.at)  # so that nobody is asked in vain
            if listener.settings is not None and listener.settings.applies_scale:
                raise ValueError(
                    "the node's scale.apply is true, so that an estimate takes the place of "
                    "depth_scale; set it to false while you calibrate"
                )
            distances = asked() if arguments.calibrate else iter([arguments.true])
            answer = partial(measure, listener, arguments.at)
            for line in calibrate(arguments.node, distances, answer):
                print(line, flush=True)
        else:
            show(listener, arguments.at)


def main() -> None:
    commands.end_in_order()
    commands.main(command_line(), run)


if __name__ == "__main__":
    main()
