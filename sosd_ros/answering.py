"""The engine of a command, and what it answers for one image: as the node does, bit for bit."""

from __future__ import annotations

import argparse

import numpy as np

from . import commands
from .build import add_backend_option
from .engine import AUTO, PRECISIONS, Engine, Perception, Range, Request, load
from .engine.answers import USUAL_RANGE
from .lens import Maps
from .outputs import blank
from .share import sample_frames
from .weights import Weights


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Which network, where and how it runs, and how far it is asked to see."""
    commands.add_weights_option(parser)
    commands.add_device_option(parser)
    add_backend_option(parser, "that runs the network (default: the fastest of those there are)")
    parser.add_argument(
        "--precision", default=AUTO, choices=[AUTO, *PRECISIONS], help="that it runs at"
    )
    parser.add_argument(
        "--max-depth",
        type=commands.positive,
        default=USUAL_RANGE.most,
        metavar="METRES",
        help="farther depth is answered as +inf (%(default)g)",
    )


def open_engine(file: Weights, arguments: argparse.Namespace) -> tuple[Engine, Range]:
    """The network of a file, run as those options ask for.

    Raises:
        ValueError: if ``--max-depth`` is less than any depth.
        EngineError: as ``load`` does.
    """
    if arguments.max_depth <= USUAL_RANGE.least:
        raise ValueError(
            f"--max-depth is {arguments.max_depth:g} m, expected more than {USUAL_RANGE.least:g} m"
        )
    commands.say("getting ready, which takes a minute or two the first time")
    request = Request(arguments.backend, arguments.precision)
    engine = load(file, sample_frames(), arguments.device, request, commands.say)
    return engine, USUAL_RANGE._replace(most=arguments.max_depth)


def answer_to(
    engine: Engine,
    image: np.ndarray,
    focal: float | None,
    limits: Range,
    maps: Maps | None = None,
    x_over_z: np.ndarray | None = None,
) -> Perception:
    """All that the engine can answer for an image, (H, W) each.

    Args:
        image: (H, W, 3) uint8 RGB.
        focal: sqrt(fx fy) of its camera in pixels; ``None``: it is not known, so nothing is
            answered that is in metres.
        limits: of the depth that is answered as a number.
        maps, x_over_z: as ``blank`` takes them.
    """
    answers = engine.answers if focal else engine.answers - {"depth", "uncertainty"}
    parts = engine(image[None], [focal or 1.0], answers, limits)
    answer = Perception(*(None if part is None else part[0] for part in parts))
    blank(answer, maps, x_over_z)
    return answer
