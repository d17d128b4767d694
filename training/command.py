"""What the commands share: options, and errors as a sentence."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from huggingface_hub.utils.tqdm import disable_progress_bars


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """The configuration file, and ``--set`` to override what stands in it."""
    parser.add_argument("config", type=Path, help="a file of config/training")
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
        "--data", type=Path, help="folder of the data set (or SOSD_NYUV2, SOSD_CITYSCAPES)"
    )


def add_split_option(parser: argparse.ArgumentParser) -> None:
    """``--split``; if it is not given, ``Data.validation`` of the training says which."""
    parser.add_argument(
        "--split",
        help="part of the data set: val, train, or NYU Depth v2's fit and held_back, the two parts "
        "of train (the one that training was measured on)",
    )


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """``--device``: the GPU where there is one."""
    parser.add_argument(
        "--device",
        default="cuda" if torch.cuda.is_available() else "cpu",
        help="cpu, cuda or cuda:N (%(default)s)",
    )


def add_loader_options(parser: argparse.ArgumentParser) -> None:
    """How a set of samples is read."""
    parser.add_argument("--batch-size", type=positive, default=4, help="(%(default)s)")
    parser.add_argument(
        "--workers", type=not_negative, default=1, help="decoding processes (%(default)s)"
    )


def positive(text: str) -> int:
    """An option's value that counts something."""
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"is {text!r}, expected a whole number from 1")
    return int(text)


def not_negative(text: str) -> int:
    """An option's value that counts something of which there may be none."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"is {text!r}, expected a whole number from 0")
    return int(text)


def scales(text: str) -> tuple[float, ...]:
    """An option's value that lists sizes of a network's input, relative to its own."""
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not like 0.75,1,1.25") from error


def check_out(option: str, path: Path, *, folder: bool = False) -> None:
    """Refuse a place that nothing can be written to, before anything that takes time.

    Args:
        option: that names the place.
        path: of a file, in a folder that is there; or of a ``folder``, which may yet be made.

    Raises:
        ValueError: naming the option, the path and what to do.
    """
    if path.exists() and path.is_dir() != folder:
        found, wanted = ("file", "folder") if folder else ("folder", "file")
        raise ValueError(f"{option} is {path}, which is a {found}; name a {wanted}")
    if not folder and not path.parent.is_dir():
        raise ValueError(f"{option} is {path}, but the folder does not exist; make it first")
    above = path.absolute() if folder else path.absolute().parent
    present = next(place for place in (above, *above.parents) if place.exists())
    try:
        tempfile.TemporaryFile(dir=present).close()
    except OSError as error:
        raise ValueError(
            f"{option} is {path}, but nothing can be written to {present}: {error.strerror}; "
            "choose another place"
        ) from error


def main(parser: argparse.ArgumentParser, run: Callable[[argparse.Namespace], None]) -> None:
    """Run a command; what the user can mend ends in a sentence and exit status 1."""
    if not sys.stderr.isatty():
        disable_progress_bars()  # of timm's downloads, which would fill a log
    try:
        run(parser.parse_args())
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)  # as a shell reports it
