"""Make a weights file of a checkpoint: ``python -m training.export``."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from sosd_ros import commands, weights
from sosd_ros.device import checked_device

from . import options
from .measuring import bootstrap, in_manifest, paper, tables
from .measuring.protocol import COMPARISON
from .measuring.result import measure
from .measuring.setting import open_setting
from .networks.trained import Model, as_read
from .networks.trained import load as load_model


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
        metrics = _measure(as_read(manifest, state), arguments)
        manifest = dataclasses.replace(manifest, metrics=metrics)
    weights.write(out, manifest, state)
    print(f"wrote {out}, {out.stat().st_size / 1e6:.1f} MB, made of {trained.origin}")


def _measure(file: Model, arguments: argparse.Namespace) -> dict[str, object]:
    """Measure, print, and give the metrics for the manifest."""
    setting, note = open_setting(file, file.data, arguments.data), arguments.data_note
    samples, truth = setting.samples, setting.truth
    predictor = file.predictor(arguments.device, truth)
    result = measure(predictor, samples, truth, details=True)
    intervals = bootstrap.intervals(result.measures)
    print(tables.text(result, paper.row(file.data.name, file.manifest), intervals))
    data = f"{note}, {len(samples)} images" if note else f"{setting.of(file)}, {COMPARISON}"
    return in_manifest.metrics(result, intervals, predictor, setting, data)


if __name__ == "__main__":
    commands.main(command_line(), run)
