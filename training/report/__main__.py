"""The paper's pictures and tables of a network: ``python -m training.report FILE --out DIR``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sosd_ros import atomic, commands
from sosd_ros.device import checked_device

from .. import options
from ..data.sample import DataSet, Samples
from ..data.sets import data_set, default_root
from ..measuring import tables
from ..measuring.result import Protocol, measure, setting
from ..networks import trained
from ..networks.trained import Model
from . import figures
from .answer import answer
from .page import Frame, page


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.report",
        description="Measure a network on the data set that it was trained on, and draw Fig. 8, 9 "
        "and 10 of the paper: PNG files, and index.html with them and all numbers.",
    )
    parser.add_argument("file", type=Path, help="a .safetensors weights file or a .pt checkpoint")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write into")
    options.add_data_option(parser)
    options.add_split_option(parser)
    parser.add_argument(
        "--frames",
        default="6",
        metavar="N or NAME,NAME,...",
        help="how many, evenly spaced over the split, or which (%(default)s)",
    )
    commands.add_device_option(parser)
    options.add_loader_options(parser)
    return parser


def run(arguments: argparse.Namespace) -> None:
    out: Path = arguments.out
    commands.check_out("--out", out, folder=True)
    device = str(checked_device(arguments.device))
    measured = trained.load(arguments.file)
    truth = data_set(measured.data)
    root = arguments.data or default_root(measured.data.name)
    split = arguments.split or measured.data.validation
    samples = truth.open(root, split)
    chosen = choose(samples.names, arguments.frames)
    out.mkdir(parents=True, exist_ok=True)

    result = measure(
        measured,
        samples,
        truth,
        device=device,
        batch_size=arguments.batch_size,
        workers=arguments.workers,
    )
    frames = [_frame(measured, samples, index, truth, device) for index in chosen]
    for frame in frames:
        for figure, cells in (("answers", frame.answers), ("unit", frame.unit)):
            if cells:
                name = f"{frame.name.replace('/', '_')}_{figure}.png"
                atomic.write(out / name, figures.picture(cells))

    manifest, data = measured.manifest, measured.data
    height, width = manifest.input_size
    facts = {
        "file": f"{arguments.file.name}, {measured.origin}",
        "network": f"{manifest.variant} on {manifest.backbone}, input near {height}x{width}",
        "data": setting(measured, data, samples, split),
        "protocol": str(Protocol()),
        "paper": tables.SOURCE[data.name],
    }
    method = tables.method(data.name, manifest)
    paper = (method, tables.PAPER[data.name][method])
    title = f"{manifest.variant} on {truth.title}"
    html = page(title, facts, result, paper, truth.labels, frames)
    atomic.write(out / "index.html", html)
    print(f"wrote {out / 'index.html'}, and the figures of {len(frames)} frames beside it")


def _frame(measured: Model, samples: Samples, index: int, truth: DataSet, device: str) -> Frame:
    sample = samples[index]
    said = answer(measured, sample.image, truth, device=device)
    return Frame(
        samples.names[index],
        figures.answers(sample, said, truth),
        figures.unit(sample, said, truth),
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
        count = min(int(wanted), len(names))
        return [int(place) for place in np.linspace(0, len(names) - 1, count).round()]
    unknown = next(part for part in parts if part not in places)
    raise ValueError(
        f"--frames is {wanted}, but {unknown!r} is neither a frame of this split, such as "
        f"{names[0]}, nor a positive number of frames"
    )


if __name__ == "__main__":
    commands.main(_parser(), run)
