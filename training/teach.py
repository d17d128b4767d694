"""Let teachers label pictures: ``python -m training.teach TEACHER --photographs DIR --out DIR``.

Teachers are networks of ours, averaged over sizes and mirror images, and models of transformers.
Given again after a stop, it goes on where it was. Of several folders of pictures each becomes one
in that of ``--out``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from sosd_ros import commands, many
from sosd_ros.device import checked_device
from sosd_ros.progress import progress_bar

from . import options
from .data import labelled_photographs
from .data.errors import DataError
from .data.files import begin, metres, read_colour, read_grey, read_names, write
from .measuring.protocol import Protocol
from .networks.borrowed import open_depth, open_labels
from .networks.teachers import Teachers, open_teachers, shows_a_room

SEEN = "seen.txt"  # what the teachers have looked at, of all lists


class Teaching(many.Work):
    """Labels folders of photographs, all by the same teachers."""

    @cached_property
    def teachers(self) -> Teachers:
        return _teachers(self.arguments, str(checked_device(self.arguments.device)))

    def is_there(self, source: Path, out: Path) -> bool:
        """Whether the teachers have seen all photographs, and what they kept is there."""
        commands.check_out("--out", out, folder=True)
        if out.resolve() == source.resolve():
            raise ValueError(f"--out {out} is the folder of photographs itself; choose another one")
        if not (out / SEEN).is_file():
            return False
        begin(out / "meta.json", self._settings())
        kept = (out / "train.txt").read_text().split()
        return set(self._names(source)) <= {*(out / SEEN).read_text().split()} and all(
            labelled_photographs.files(out, name).image.is_file() for name in kept
        )

    def make(self, source: Path, out: Path) -> tuple[int, int]:
        """How many photographs have labels, and how many there are."""
        names = self._names(source)
        begin(out / "meta.json", self._settings())
        kept = [
            name
            for name in progress_bar(names, source.name, unit="img")
            if _label(self.teachers, source, out, name)
        ]
        _add(out / "train.txt", kept)
        _add(out / SEEN, names)
        return len(kept), len(names)

    def report(self, out: Path, made: tuple[int, int], stdout: TextIO) -> None:
        kept, seen = made
        print(
            f"{out}: {kept} photographs with labels; in {seen - kept} more the teachers see too "
            "little of a room",
            file=stdout,
            flush=True,
        )

    def _names(self, source: Path) -> list[str]:
        return read_names(
            source / f"{self.arguments.list}.txt",
            "let --photographs name a folder that `python -m training.prepare photographs` wrote",
        )

    def _settings(self) -> dict[str, Any]:
        teachers = self.teachers
        return {
            "classes": teachers.labels.names,
            "teachers": teachers.sha256,
            "depth_models": [f"{model.name}, {model.meaning}" for model in teachers.depths],
            "label_models": [model.name for model in teachers.segmenters],
            "temperature": self.arguments.temperature,
            "scales": self.arguments.scales,
            "bfloat16": teachers.bfloat16,
        }


def run(arguments: argparse.Namespace) -> None:
    many.run(Teaching, arguments, arguments.photographs)


def _add(listing: Path, names: Sequence[str]) -> None:
    """To what stands in a list already, of another run."""
    before = listing.read_text().split() if listing.is_file() else []
    write(listing, "".join(f"{name}\n" for name in dict.fromkeys([*before, *names])).encode())


def _teachers(arguments: argparse.Namespace, device: str) -> Teachers:
    if bool(arguments.labels_model) != bool(arguments.classes):
        raise ValueError(
            "--labels-model and --classes need each other: which class of the model is which of "
            "ours"
        )
    if not (arguments.teachers or arguments.depth_model or arguments.labels_model):
        raise ValueError("there is no teacher; name weights, --depth-model or --labels-model")
    views = Protocol(flip=True, scales=arguments.scales).views()
    teachers = open_teachers(arguments.teachers, views, device, bfloat16=arguments.bfloat16)
    depths = [open_depth(name, device, arguments.depth_is) for name in arguments.depth_model]
    segmenters = [
        open_labels(name, classes, teachers.labels, device)
        for name, classes in zip(arguments.labels_model, arguments.classes, strict=True)
    ]
    return teachers._replace(
        depths=depths, segmenters=segmenters, temperature=arguments.temperature
    )


def _label(teachers: Teachers, source: Path, out: Path, name: str) -> bool:
    """Write the files of a photograph, unless they are there; False if it shows no room."""
    if labelled_photographs.files(out, name).image.is_file():  # it comes last
        return True
    photograph, depth = source / "rgb" / f"{name}.jpg", source / "depth" / f"{name}.png"
    measured = None
    if teachers.depths and depth.is_file():
        measured = metres(read_grey(depth, np.uint16))
    answer = teachers.answer(_read(photograph), labelled_photographs.SIZE, measured)
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
        "training.teach",
        "Write what teachers say of photographs, for data.photographs of a training. "
        "Given again after a stop, it goes on.",
        "a.safetensors b.safetensors --photographs photographs --out labelled",
    )
    parser.add_argument(
        "teachers", type=Path, nargs="*", help=".safetensors weights or .pt checkpoints"
    )
    parser.add_argument(
        "--photographs",
        type=Path,
        nargs="+",
        required=True,
        metavar="DIR",
        help="folder of training.prepare photographs or training.record; of several each becomes a "
        "folder in that of --out",
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
        "--depth-model",
        action="append",
        default=[],
        metavar="MODEL",
        help="a depth model of transformers, a folder or a name on its hub; may be repeated",
    )
    parser.add_argument(
        "--depth-is",
        choices=("metric", "inverse"),
        help="what its depth means, where its configuration does not say: metres, or their inverse "
        "up to a factor and an offset",
    )
    parser.add_argument(
        "--labels-model",
        action="append",
        default=[],
        metavar="MODEL",
        help="a segmentation model of transformers; may be repeated, with --classes each",
    )
    parser.add_argument(
        "--classes",
        type=Path,
        action="append",
        default=[],
        metavar="YAML",
        help="lines of the form 'their class: our class'",
    )
    parser.add_argument(
        "--temperature",
        type=commands.positive,
        default=1.0,
        help="of the probabilities: above 1 they become softer (%(default)g)",
    )
    parser.add_argument(
        "--bfloat16", action="store_true", help="teachers compute in it: quicker on new processors"
    )
    commands.add_device_option(parser)
    many.add_ray_option(parser)
    return parser


if __name__ == "__main__":
    commands.main(command_line(), run)
