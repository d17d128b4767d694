"""Make a weights file of a checkpoint, or another form of either: ``python -m training.export``."""

from __future__ import annotations

import argparse
import dataclasses
import math
import tempfile
from pathlib import Path
from typing import Any

from sosd_ros import commands, weights
from sosd_ros.device import checked_device
from sosd_ros.network import input_size

from . import formats, options, quantise
from .data.sample import Part
from .data.sets import data_set, default_root
from .measuring import bootstrap, paper, tables
from .measuring.bootstrap import Intervals
from .measuring.protocol import Protocol
from .measuring.result import Result, measure
from .measuring.setting import open_setting
from .networks.imagenet import Normalisation
from .networks.predictor import Predictor
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
}


def details(result: Result, intervals: Intervals) -> dict[str, object]:
    """What people see, for the manifest: a number, or one for each threshold of
    ``metrics.edges``; and ``intervals``, the two ends of each number, the paper's included. None
    for what is not defined.
    """
    found = {k: v for k, v in _DETAILS.items() if v[0] in result.measures}
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.export",
        description="Make a weights file of a training checkpoint, measure it, and write the "
        "measured numbers into its manifest. Or, with --format, make what other runtimes read, of "
        "a checkpoint or a weights file, and check that it answers alike.",
    )
    parser.add_argument(
        "checkpoint", type=Path, help="a last.pt of python -m training.train, or a weights file"
    )
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    options.add_data_option(parser)
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

    others = parser.add_argument_group("other forms")
    others.add_argument(
        "--format",
        choices=("weights", *formats.SUFFIXES),
        default="weights",
        help="what to write (%(default)s, the node's own .safetensors)",
    )
    others.add_argument(
        "--size",
        type=commands.size,
        metavar="HEIGHTxWIDTH",
        help="of the network's input, multiples of 32 (those of the training)",
    )
    others.add_argument(
        "--dynamic-size",
        action="store_true",
        help="any multiples of 32; runtimes are slower then, and torch-export takes five minutes",
    )
    others.add_argument(
        "--int8",
        action="store_true",
        help="openvino: quantise on images of the training, and measure what that costs on those "
        "that it was measured on",
    )
    others.add_argument(
        "--limit", type=commands.count, metavar="N", help="--int8: measure on N images only"
    )
    return parser


def run(arguments: argparse.Namespace) -> None:
    _refuse_what_means_nothing(arguments)
    out: Path = arguments.out
    commands.check_out("--out", out)
    if arguments.format != "weights":
        _write_other(arguments)
        return
    if out.suffix != ".safetensors":
        raise ValueError(f"--out is {out}, expected a name that ends in .safetensors")
    checked_device(arguments.device)
    trained = load_model(arguments.checkpoint)
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


def _refuse_what_means_nothing(arguments: argparse.Namespace) -> None:
    if arguments.int8 and (arguments.format != "openvino" or arguments.dynamic_size):
        raise ValueError("--int8 is for --format openvino and a fixed size")
    calibrated = arguments.temperature != 1 or arguments.spread_factor != 1
    if calibrated and arguments.format != "weights":
        raise ValueError(
            "--temperature and --spread-factor are for a weights file; write that, and export it"
        )
    if arguments.limit and not arguments.int8:
        raise ValueError("--limit is for --int8")
    if arguments.format == "weights" and (arguments.size or arguments.dynamic_size):
        raise ValueError(
            "--size and --dynamic-size are for another --format; a weights file fits any size"
        )


def _write_other(arguments: argparse.Namespace) -> None:
    """Write what another runtime reads."""
    out = arguments.out
    formats.check_request(arguments.format, arguments.size, out, arguments.dynamic_size)
    if arguments.int8:
        quantise.require_nncf()
    trained = load_model(arguments.checkpoint)
    manifest = trained.manifest
    size = arguments.size or manifest.input_size
    sha256 = trained.origin.removeprefix("sha256 ")  # of a checkpoint, which state it is
    file = weights.Weights(manifest, trained.network.state_dict(), sha256)
    if arguments.int8:
        _write_int8(trained, file, size, arguments)
    else:
        agreed = formats.export(file, arguments.format, size, out, arguments.dynamic_size)
        print(f"checked against torch: {agreed}")
    print(f"wrote {out}, inputs of {'any size, such as ' * arguments.dynamic_size}", end="")
    print(f"{size[0]}x{size[1]}, {trained.origin}")


def _write_int8(
    trained: Model, file: weights.Weights, size: tuple[int, int], arguments: argparse.Namespace
) -> None:
    """Quantise, measure what it costs, say so, and write."""
    formats.check_request("openvino", size, arguments.out)
    truth, root = data_set(trained.data), arguments.data or default_root(trained.data.name)
    samples = truth.open(root, trained.data.validation)
    seen = input_size(samples[0].labels.shape, size)
    if seen != size:
        raise ValueError(
            f"--size is {size[0]}x{size[1]}, but what it costs is measured on images that the "
            f"network sees at {seen[0]}x{seen[1]}; use that"
        )
    quantised = quantise.quantised(file, size, truth.open(root, trained.data.split))
    if arguments.limit is not None:
        samples = Part(samples, range(min(arguments.limit, len(samples))))
    metrics = []
    for what, network in (
        ("float32", formats.openvino_model(file, size)),
        ("int8", quantised),
    ):
        print(f"measuring {what} on {len(samples)} images ...", flush=True)
        predictor = Predictor(
            quantise.OpenVinoNetwork(network, file.manifest),
            truth,
            size,
            Normalisation(file.manifest.mean, file.manifest.std),
        )
        metrics.append(measure(predictor, samples, truth).pooled())
    lost = quantise.losses(*metrics)
    for name, loss in lost.items():
        print(f"{name:5} {loss.before:.4f} in float32, {loss.after:.4f} in int8: {loss.worse:+.2%}")
    if any(loss.worse > quantise.MOST_LOSS for loss in lost.values()):
        print(f"it loses more than {quantise.MOST_LOSS:.0%}: an option, and not the better file")
    quantise.write(file, quantised, arguments.out, lost)


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
    commands.main(_parser(), run)
