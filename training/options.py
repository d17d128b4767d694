"""Options that several commands of the training have."""

from __future__ import annotations

import argparse
from pathlib import Path

from sosd_ros import commands


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """The configuration file, and ``--set`` to override what stands in it."""
    parser.add_argument("config", type=Path, help="a file of config/training")
    add_set_option(parser)


def add_set_option(parser: argparse.ArgumentParser) -> None:
    """``--set``: as ``config.load`` takes it."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a setting, such as optimiser.learning_rate=3e-4; may be repeated",
    )


def add_data_option(parser: argparse.ArgumentParser) -> None:
    """``--data``; if it is not given, ``data.sets.default_root`` says where the data lies."""
    parser.add_argument(
        "--data",
        type=Path,
        help="folder of the data set (or SOSD_NYUV2, SOSD_CITYSCAPES, SOSD_CAMVID)",
    )


def add_source_options(parser: argparse.ArgumentParser, out: str) -> None:
    """A network to write in another form, where to, and the images that it is measured on."""
    parser.add_argument(
        "checkpoint", type=Path, help="a last.pt of python -m training.train, or a weights file"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar=f"FILE{out}", help="the file to write"
    )
    add_data_option(parser)


def add_measured_options(parser: argparse.ArgumentParser) -> None:
    """The file of a network, the images that it is asked about, and the device that answers.

    If ``--split`` is not given, ``Data.validation`` of the training says which.
    """
    parser.add_argument("file", type=Path, help="a .safetensors weights file or a .pt checkpoint")
    add_data_option(parser)
    parser.add_argument(
        "--split",
        help="part of the data set: val, train, or NYU Depth v2's fit and held_back, the two parts "
        "of train (the one that training was measured on)",
    )
    commands.add_device_option(parser)


def add_loader_options(parser: argparse.ArgumentParser) -> None:
    """How a set of samples is read."""
    parser.add_argument("--batch-size", type=commands.count, default=4, help="(%(default)s)")
    parser.add_argument(
        "--workers", type=commands.count_from_0, default=1, help="decoding processes (%(default)s)"
    )


def scales(text: str) -> tuple[float, ...]:
    """An option's value that lists sizes of a network's input, relative to its own."""
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not like 0.75,1,1.25") from error
