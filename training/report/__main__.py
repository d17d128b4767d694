"""The paper's pictures and tables of a network: ``python -m training.report FILE --out DIR``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from sosd_ros import atomic, commands
from sosd_ros.device import checked_device
from sosd_ros.scale.evidence import evenly

from .. import options
from ..data.sample import Samples
from ..measuring import paper
from ..measuring.protocol import COMPARISON
from ..measuring.result import measure
from ..measuring.setting import open_setting
from ..networks import trained
from ..networks.predictor import Predictor
from . import figures
from .answer import answer
from .page import FrameFigures, page


def command_line() -> argparse.ArgumentParser:
    parser = commands.parser(
        "training.report",
        "Measure a network on the data set that it was trained on, and draw Fig. 8, 9 "
        "and 10 of the paper: PNG files, and index.html with them and all numbers.",
        "runs/a/last.pt --out report",
    )
    options.add_measured_options(parser)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write into")
    parser.add_argument(
        "--frames",
        default="6",
        metavar="N or NAME,NAME,...",
        help="how many, evenly spaced over the split, or which (%(default)s)",
    )
    options.add_loader_options(parser)
    return parser


def run(arguments: argparse.Namespace) -> None:
    out: Path = arguments.out
    commands.check_out("--out", out, folder=True)
    device = str(checked_device(arguments.device))
    measured = trained.load(arguments.file)
    setting = open_setting(measured, measured.data, arguments.data, arguments.split)
    samples, truth = setting.samples, setting.truth
    chosen = choose(samples.names, arguments.frames)
    out.mkdir(parents=True, exist_ok=True)

    predictor = measured.predictor(device)
    result = measure(
        predictor,
        samples,
        truth,
        batch_size=arguments.batch_size,
        workers=arguments.workers,
    )
    frames = [_frame(predictor, samples, index) for index in chosen]
    for frame in frames:
        for figure, cells in (("answers", frame.answers), ("unit", frame.unit)):
            if cells:
                name = f"{frame.name.replace('/', '_')}_{figure}.png"
                atomic.write(out / name, figures.picture(cells))

    data = measured.data.name
    facts = {
        "file": f"{arguments.file.name}, {measured.origin}",
        "network": str(measured),
        "data": setting.of(measured),
        "protocol": str(COMPARISON),
        "paper": paper.SOURCE[data],
    }
    title = f"{measured.manifest.variant} on {truth.title}"
    html = page(title, facts, result, paper.row(data, measured.manifest), truth.labels, frames)
    atomic.write(out / "index.html", html)
    print(f"wrote {out / 'index.html'}, and the figures of {len(frames)} frames beside it")


def _frame(predictor: Predictor, samples: Samples, index: int) -> FrameFigures:
    sample, data = samples[index], predictor.data
    said = answer(predictor, sample.image)
    return FrameFigures(
        samples.names[index],
        figures.answers(sample, said, data),
        figures.unit(sample, said, data),
    )


def choose(names: Sequence[str], wanted: str) -> list[int]:
    """The places in ``names`` of the frames that ``wanted`` asks for.

    Args:
        wanted: names with commas between them, or how many to take, evenly spaced.

    Raises:
        ValueError: if it is neither.
    """
    places = {name: place for place, name in enumerate(names)}
    parts = wanted.split(",")
    if all(part in places for part in parts):
        return [places[part] for part in parts]
    if wanted.isdecimal() and int(wanted) > 0:
        return evenly(len(names), int(wanted)).tolist()
    unknown = next(part for part in parts if part not in places)
    raise ValueError(
        f"--frames is {wanted}, but {unknown!r} is neither a frame of this split, such as "
        f"{names[0]}, nor a positive number of frames"
    )


if __name__ == "__main__":
    commands.main(command_line(), run)
