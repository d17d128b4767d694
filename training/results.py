"""Runs beside the paper's tables, or beside each other: ``python -m training.results RUN ...``."""

from __future__ import annotations

import argparse
from pathlib import Path

from sosd_ros import commands

from .measuring import finished_runs, seeds


def command_line() -> argparse.ArgumentParser:
    parser = commands.parser("training.results", __doc__, "runs/sosd_* --against runs/mtl_*")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folder of a run")
    parser.add_argument(
        "--against",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="print by how much the runs differ from these, seed by seed; all must have the "
        f"{seeds.RECORD} that `training.evaluate --json` writes",
    )
    return parser


def run(arguments: argparse.Namespace) -> None:
    if arguments.against:
        sides = [list(map(seeds.read, side)) for side in (arguments.runs, arguments.against)]
        print(seeds.text(*sides))
    else:
        print(finished_runs.table(map(finished_runs.read, arguments.runs)))


if __name__ == "__main__":
    commands.main(command_line(), run)
