"""Make a weights file of a checkpoint: ``python -m training.export``."""

from __future__ import annotations

import argparse
import dataclasses
import math
import tempfile
from pathlib import Path
from typing import Any

from sosd_ros import commands, weights
from sosd_ros.device import checked_device

from . import options
from .data.sample import Part
from .measuring import bootstrap, paper, tables
from .measuring.bootstrap import Intervals
from .measuring.protocol import Protocol
from .measuring.result import Result, measure
from .measuring.setting import open_setting
from .networks.trained import Model
from .networks.trained import load as load_model

FIRST = 8  # images that are measured apart, so that the file can be checked in moments


def numbers(result: Result) -> dict[str, float]:
    """Metrics for the manifest, to the digits that mean something."""
    return {name: round(value, 4) for name, value in result.pooled().items()}


# What is told beside the paper's metrics: its name in the manifest, its measure and metric.
_DETAILS = {
    "trimap_mIoU": ("trimap", "mIoU"),
    "ECE": ("calibration", "ECE"),
    "aligned_rel": ("scale", "aligned_rel"),
    "off_scale": ("scale", "off_scale"),
    "edges_F1": ("edges", "F1"),
    "AUSE_rel": ("spread", "AUSE_rel"),
    "AUSE_rms": ("spread", "AUSE_rms"),
    "coverage": ("spread", "coverage"),
}


def details(result: Result, intervals: Intervals) -> dict[str, object]:
    """What people see, for the manifest: a number, or one for each threshold of
    ``metrics.edges`` or share of ``metrics.spread``; and ``intervals``, the two ends of each
    number, the paper's included. None for what is not defined.
    """
    measured = {name for name, measure in result.measures.items() if measure.rows}
    found = {k: v for k, v in _DETAILS.items() if v[0] in measured}
    paper = {
        name: (measure, name)
        for measure, names in (("semantic", result.semantic), ("depth", result.depth))
        for name in names
    }
    return {
        **{k: _rounded(result.measures[of].pooled()[name]) for k, (of, name) in found.items()},
        "intervals": {
            k: _rounded(intervals[of][name].T.tolist()) for k, (of, name) in (paper | found).items()
        },
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return None if math.isnan(value) else round(value, 4)


def command_line() -> argparse.ArgumentParser:
    parser = commands.parser(
        "training.export",
        "Make a weights file of a training checkpoint, measure it, and write the "
        "measured numbers into its manifest.",
        "runs/a/last.pt --out a.safetensors",
    )
    options.add_source_options(parser, ".safetensors")
    parser.add_argument(
        "--data-note",
        help="what the numbers were measured on, for the manifest, where the data is not the "
        "official set",
    )
    parser.add_argument(
        "--temperature",
        type=commands.positive,
        default=1.0,
        help="divide the class scores by this, as python -m training.calibrate says",
    )
    parser.add_argument(
        "--spread-factor",
        type=commands.positive,
        default=1.0,
        help="multiply the depth's spread by this, likewise",
    )
    commands.add_device_option(parser)
    parser.add_argument("--no-metrics", action="store_true", help="write the file unmeasured")
    return parser


def run(arguments: argparse.Namespace) -> None:
    out: Path = arguments.out
    commands.check_out("--out", out)
    if out.suffix != ".safetensors":
        raise ValueError(
            f"--out is {out}, expected a name that ends in .safetensors; what other runtimes read "
            "is made of that file, by `python -m sosd_ros.build --weights FILE.safetensors --out`"
        )
    checked_device(arguments.device)
    trained = load_model(arguments.checkpoint)
    units = trained.manifest.training.get("network", {}).get("units", "paper")
    if units in ("logarithmic", "told"):
        raise ValueError(
            f"{arguments.checkpoint} was trained with network.units={units}, which no robot runs; "
            "measure the checkpoint with python -m training.evaluate, or train the paper's units"
        )
    trained.network.calibrate(arguments.temperature, arguments.spread_factor)
    state = trained.network.state_dict()
    manifest = dataclasses.replace(
        trained.manifest,
        temperature=trained.manifest.temperature * arguments.temperature,
        spread_factor=trained.manifest.spread_factor * arguments.spread_factor,
    )
    if not arguments.no_metrics:
        # What is measured is the file as the robot reads it, half precision and all.
        with tempfile.TemporaryDirectory() as folder:
            unmeasured = Path(folder) / "unmeasured.safetensors"
            weights.write(unmeasured, manifest, state)
            metrics = _measure(load_model(unmeasured), arguments)
        manifest = dataclasses.replace(manifest, metrics=metrics)
    weights.write(out, manifest, state)
    print(f"wrote {out}, {out.stat().st_size / 1e6:.1f} MB, {trained.origin}")


def _measure(file: Model, arguments: argparse.Namespace) -> dict[str, object]:
    """Measure, print, and give the metrics for the manifest."""
    setting, note = open_setting(file, file.data, arguments.data), arguments.data_note
    samples, truth = setting.samples, setting.truth
    predictor = file.predictor(arguments.device)
    result = measure(predictor, samples, truth, details=True)
    intervals = bootstrap.intervals(result.measures)
    print(tables.text(result, paper.row(file.data.name, file.manifest), intervals))
    first = Part(samples, range(min(FIRST, len(samples))))
    conditions = f"{setting.of(file)}, {Protocol()}"
    return {
        "data": f"{note}, {len(samples)} images" if note else conditions,
        "images": len(samples),
        "depth": "pooled over pixels",
        **numbers(result),
        **details(result, intervals),
        "first": {"images": len(first), **numbers(measure(predictor, first, truth))},
    }


if __name__ == "__main__":
    commands.main(command_line(), run)
