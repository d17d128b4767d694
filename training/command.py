"""What the commands share: options, and errors as a sentence."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import torch


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


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """``--device``: the GPU where there is one."""
    parser.add_argument(
        "--device",
        default="cuda" if torch.cuda.is_available() else "cpu",
        help="cpu, cuda or cuda:N (%(default)s)",
    )


def positive(text: str) -> int:
    """An option's value that counts something."""
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"is {text!r}, expected a whole number from 1")
    return int(text)


def main(parser: argparse.ArgumentParser, run: Callable[[argparse.Namespace], None]) -> None:
    """Run a command; what the user can mend ends in a sentence and exit status 1."""
    try:
        run(parser.parse_args())
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)  # as a shell reports it
