"""Runs beside the paper's tables, as Markdown: ``python -m training.results RUN ...``."""

from __future__ import annotations

import argparse
from pathlib import Path

from sosd_ros import commands

from .measuring.finished_runs import read, table


def command_line() -> argparse.ArgumentParser:
    parser = commands.parser("training.results", __doc__)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folder of a run")
    return parser


def run(arguments: argparse.Namespace) -> None:
    print(table(read(folder) for folder in arguments.runs))


if __name__ == "__main__":
    commands.main(command_line(), run)
