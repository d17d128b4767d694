"""Finished runs beside the paper's tables, as Markdown."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from ..config import Config, load
from ..metrics import DEPTH_METRICS, SEMANTIC_METRICS
from ..networks.trained import training_manifest
from .paper import PAPER, SOURCE, method
from .tables import markdown, number

# The columns of a table, by data set: those of the paper's tables.
_COLUMNS = {
    "nyuv2": (*SEMANTIC_METRICS, *DEPTH_METRICS["metres"]),
    "cityscapes": ("mIoU", "px"),
    "camvid": SEMANTIC_METRICS,
}


class FinishedRun(NamedTuple):
    """What came of a training: its configuration, and the metrics after its last epoch."""

    name: str
    config: Config
    metrics: dict[str, float]


def read(folder: Path) -> FinishedRun:
    """The run in a folder of ``training.train``.

    Raises:
        ValueError: if it has not been finished.
    """
    config = load(folder / "config.yaml")
    with (folder / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or int(rows[-1]["epoch"]) < config.epochs:
        done = rows[-1]["epoch"] if rows else 0
        raise ValueError(
            f"run {folder} has done {done} of {config.epochs} epochs; go on with --resume"
        )
    columns = _COLUMNS[config.data.name]
    metrics = {name: float(rows[-1][name]) for name in columns if rows[-1].get(name)}
    return FinishedRun(folder.resolve().name, config, metrics)


def table(runs: Iterable[FinishedRun]) -> str:
    """One row for all runs that differ by their seed alone, in the order in which they come.

    Numbers are of the last epoch, so no checkpoint was selected on them: the mean over the seeds,
    and how far the seeds lie from it at most. The paper's row follows the last of its method.

    Raises:
        ValueError: if there is no run, or they are of several data sets.
    """
    groups: dict[str, list[FinishedRun]] = defaultdict(list)
    for run in runs:
        groups[run.config.model_copy(update={"seed": 0}).model_dump_json()].append(run)
    sets = {group[0].config.data.name for group in groups.values()}
    if len(sets) != 1:
        raise ValueError(f"runs of {', '.join(sorted(sets)) or 'nothing'}, expected one data set")
    [data] = sets
    columns = _COLUMNS[data]
    rows: list[list[str]] = []
    names = [_method(group[0].config) for group in groups.values()]
    for place, (name, group) in enumerate(zip(names, groups.values(), strict=True), start=1):
        runs_of_row = ", ".join(run.name for run in group)
        cells = [_spread([r.metrics.get(metric) for r in group], metric) for metric in columns]
        rows.append([name, runs_of_row, f"{_epochs_per_task(group[0].config):g}", *cells])
        if name in PAPER[data] and name not in names[place:]:
            numbers = [number(PAPER[data][name].get(metric), metric) for metric in columns]
            rows.append([f"*the paper's {name}*", "", "", *numbers])
    table = markdown(["", "runs", "epochs a task", *columns], rows)
    return f"{table}\n\nThe paper's: {SOURCE[data]}."


def _method(config: Config) -> str:
    """What a row is called: as in the paper's tables, if they have a row for it."""
    name, strategy = method(config.data.name, training_manifest(config)), config.strategy.name
    of_table_4 = strategy == name and config.network.variant == "mtl"
    if not (of_table_4 or strategy == {"esosd": "em"}.get(name, "joint")):
        name = f"{config.network.variant}, {strategy}"
    # Not what the paper measured, whose row does not belong under it.
    return f"{name}, on {config.data.validation}" if config.data.validation != "val" else name


def _epochs_per_task(config: Config) -> float:
    """How often each task has seen the images: Algorithm 1 shows every batch to one of them."""
    return config.epochs / 2 if config.strategy.name == "em" else config.epochs


def _spread(values: Sequence[float | None], metric: str) -> str:
    numbers = [value for value in values if value is not None]
    if not numbers:
        return ""
    centre = mean(numbers)
    if len(numbers) == 1:
        return number(centre, metric)
    farthest = max(abs(n - centre) for n in numbers)
    return f"{number(centre, metric)} ± {number(farthest, metric)}"
