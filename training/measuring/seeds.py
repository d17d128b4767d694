"""Two settings, each trained with several seeds: what differs by more than the seeds do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import stats

from ..config import Config, load
from ..data.sets import data_set
from . import bootstrap, comparison, json_record, tables
from .result import Result

RECORD = "val.json"  # in the folder of a run: what `training.evaluate --json` wrote of it


class SeedRun(NamedTuple):
    """A run of one seed, measured image by image."""

    folder: Path
    config: Config
    conditions: dict[str, object]
    result: Result


def read(folder: Path) -> SeedRun:
    """The run in a folder of ``training.train``, and what was measured of it.

    Raises:
        ValueError: if it has not been measured.
    """
    config, path = load(folder / "config.yaml"), folder / RECORD
    if not path.exists():
        raise ValueError(
            f"run {folder} has no {RECORD}; write it with "
            f"`python -m training.evaluate {folder / 'last.pt'} --json {path}`"
        )
    content = json_record.read(path)
    result = json_record.result_in(content, data_set(config.data), path)
    return SeedRun(folder, config, content["conditions"], result)


def text(ours: Sequence[SeedRun], theirs: Sequence[SeedRun]) -> str:
    """Each number of both, as the mean over the seeds, and their difference, as Markdown.

    The first interval is that of Student's t over the differences of the seeds: whether trainings
    differ. The second is the bootstrap over images of the mean difference: whether other images
    would say the same of these trainings.

    Raises:
        ValueError: if a side is not of one setting, if the seeds or images are not the same, or if
            there are fewer than two.
    """
    pairs = _paired(ours, theirs)
    found = bootstrap.paired([(one.result.measures, other.result.measures) for one, other in pairs])
    head = ["", "here", "there", "difference", "95 %, seeds", "95 %, images"]
    rows = []
    for line in tables.lines({name: pairs[0][0].result.measures[name] for name in found}):
        values = np.array([[line.of(run.result.measures) for run in pair] for pair in pairs])
        here, there = values.mean(0)
        cells = [line.title, f"{here:.3f}", f"{there:.3f}", f"{here - there:+.4f}"]
        by_seed = students_t(values[:, 0] - values[:, 1])
        rows.append([*cells, _interval(*by_seed), _interval(*line.ends(found))])
    seeds = ", ".join(str(one.config.seed) for one, _ in pairs)
    note = f"Seeds {seeds}; {len(ours[0].result.names)} images. Bold is beyond chance."
    return f"{tables.markdown(head, rows)}\n\n{note}"


def students_t(differences: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the mean of differences that are normally distributed."""
    reach = stats.t.ppf(0.975, len(differences) - 1) * stats.sem(differences)
    return differences.mean() - reach, differences.mean() + reach


def _paired(ours: Sequence[SeedRun], theirs: Sequence[SeedRun]) -> list[tuple[SeedRun, SeedRun]]:
    """The runs of each seed that both have."""
    by_seed = []
    for side in (ours, theirs):
        settings = {run.config.model_copy(update={"seed": 0}).model_dump_json() for run in side}
        if len(settings) != 1:
            names = ", ".join(str(run.folder) for run in side)
            raise ValueError(f"{names} differ in more than their seed; give runs of one setting")
        by_seed.append({run.config.seed: run for run in side})
    seeds = sorted(by_seed[0].keys() & by_seed[1].keys())
    if len(seeds) < 2:
        raise ValueError(
            f"{len(seeds)} seeds are on both sides ({sorted(by_seed[0])} and "
            f"{sorted(by_seed[1])}), and a spread needs two; train more"
        )
    first = by_seed[0][seeds[0]]
    for found in by_seed:
        for seed in seeds:
            run = found[seed]
            comparison.check(str(run.folder), first.conditions, run.conditions)
            comparison.check_images(str(run.folder), first.result.names, run.result.names)
    return [(by_seed[0][seed], by_seed[1][seed]) for seed in seeds]


def _interval(low: float, high: float) -> str:
    found = f"{low:+.4f} to {high:+.4f}"
    return f"**{found}**" if low > 0 or high < 0 else found
