"""Let teachers label photographs: ``python -m training.label TEACHER --photographs DIR --out DIR``.

Given again after a stop, it goes on where it was.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from sosd_ros import commands
from sosd_ros.device import checked_device
from sosd_ros.progress import progress_bar

from . import options
from .data import labelled_photographs
from .data.errors import DataError
from .data.files import begin, check_names, read_colour, write
from .measuring.protocol import Protocol
from .networks.teachers import Teachers, open_teachers, shows_a_room


def run(arguments: argparse.Namespace) -> None:
    source, out = arguments.photographs, arguments.out
    commands.check_out("--out", out, folder=True)
    if out.resolve() == source.resolve():
        raise ValueError(f"--out {out} is the folder of photographs itself; choose another one")
    device = str(checked_device(arguments.device))
    listing = source / f"{arguments.list}.txt"
    try:
        names = listing.read_text().split()
    except OSError as error:
        raise DataError(
            f"{listing} cannot be read; let --photographs name a folder that `python -m "
            "training.prepare photographs` wrote"
        ) from error
    check_names(listing, names)
    views = Protocol(flip=True, scales=arguments.scales).views()
    teachers = open_teachers(arguments.teachers, views, device, bfloat16=arguments.bfloat16)
    settings = {
        "classes": teachers.labels.names,
        "teachers": teachers.sha256,
        "scales": arguments.scales,
        "bfloat16": teachers.bfloat16,
    }
    begin(out / "meta.json", settings)
    train = out / "train.txt"
    before = train.read_text().split() if train.is_file() else []  # of another list
    kept = [
        name
        for name in progress_bar(names, "label", unit="img")
        if _label(teachers, source / "rgb" / f"{name}.jpg", out, name)
    ]
    write(train, "".join(f"{name}\n" for name in dict.fromkeys([*before, *kept])).encode())
    print(
        f"{out}: {len(kept)} photographs with labels; in {len(names) - len(kept)} more the "
        "teachers see too little of a room"
    )


def _label(teachers: Teachers, photograph: Path, out: Path, name: str) -> bool:
    """Write the files of a photograph, unless they are there; False if it shows no room."""
    if labelled_photographs.files(out, name).image.is_file():  # it comes last
        return True
    answer = teachers.answer(_read(photograph), labelled_photographs.SIZE)
    if not shows_a_room(answer, teachers.labels):
        return False
    labelled_photographs.write(out, name, photograph, answer)
    return True


def _read(photograph: Path) -> np.ndarray:
    image = read_colour(photograph)
    height, width = image.shape[:2]
    if abs(3 * width - 4 * height) > 0.02 * 4 * height:
        raise DataError(
            f"{photograph} is {height}x{width}, but photographs must be 4 wide and 3 high, as the "
            "camera's pictures are; write them by `python -m training.prepare photographs`"
        )
    return image


def command_line() -> argparse.ArgumentParser:
    parser = commands.parser(
        "training.label",
        "Write what teachers say of photographs, for data.photographs of a training. "
        "Given again after a stop, it goes on.",
        "a.safetensors b.safetensors --photographs photographs --out labelled",
    )
    parser.add_argument(
        "teachers", type=Path, nargs="+", help=".safetensors weights or .pt checkpoints"
    )
    parser.add_argument(
        "--photographs", type=Path, required=True, help="folder of training.prepare photographs"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--list", default="train", help="label those that LIST.txt names (%(default)s)"
    )
    parser.add_argument(
        "--scales",
        type=options.scales,
        default=(0.75, 1.0, 1.25),
        metavar="S,S,...",
        help="mean over sizes of the input, each with the mirror image (0.75,1,1.25)",
    )
    parser.add_argument(
        "--bfloat16", action="store_true", help="teachers compute in it: quicker on new processors"
    )
    commands.add_device_option(parser)
    return parser


if __name__ == "__main__":
    commands.main(command_line(), run)
