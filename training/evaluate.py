"""Measure a network on its data set, beside the paper: ``python -m training.evaluate FILE``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import atomic, command, model, tables
from .config import Data
from .cues import DepthCue, flatten_cues
from .data.sets import data_set, default_root
from .device import checked_device
from .evaluation import Protocol, Result, check_classes, measure, setting


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate",
        description="Measure a network on the data set that it was trained on, beside the paper.",
    )
    parser.add_argument("file", type=Path, help="a .safetensors weights file or a .pt checkpoint")
    command.add_data_option(parser)
    parser.add_argument("--split", default="val", help="part of the data set (%(default)s)")
    command.add_device_option(parser)
    command.add_loader_options(parser)
    parser.add_argument("--by-class", action="store_true", help="print the IoU of every class")
    parser.add_argument(
        "--by-distance", action="store_true", help="print how depth errs at each distance"
    )
    parser.add_argument(
        "--flat-cues",
        action="store_true",
        help="have the units' cues say the same at every position, to see what they are worth",
    )
    parser.add_argument(
        "--depth-cue",
        action="store_true",
        help="print how often the semantic-to-depth cue is cut off, and how much of it is news",
    )
    parser.add_argument("--json", type=Path, help="write all numbers into this file")

    protocol = parser.add_argument_group("protocol", "The defaults are those of the comparison.")
    protocol.add_argument(
        "--crop", choices=("none", "eigen"), default="none", help="part of the image (%(default)s)"
    )
    protocol.add_argument("--cap", type=float, metavar="M", help="leave out truth beyond M metres")
    protocol.add_argument("--flip", action="store_true", help="mean with the mirror image")
    protocol.add_argument(
        "--scales",
        type=command.scales,
        default=(1.0,),
        metavar="S,S,...",
        help="mean over sizes of the input, such as 0.75,1,1.25",
    )
    protocol.add_argument(
        "--classes", type=int, choices=(13, 40), help="of NYU Depth v2; 13 groups the 40"
    )
    protocol.add_argument(
        "--raw-depth",
        action=argparse.BooleanOptionalAction,
        help="NYU Depth v2: the sensor's depth, with its holes, or the in-painted (as in training)",
    )
    return parser


def run(arguments: argparse.Namespace) -> None:
    if arguments.json:
        command.check_out("--json", arguments.json)
    device = checked_device(arguments.device)
    protocol = Protocol(arguments.crop, arguments.cap, arguments.flip, arguments.scales)
    measured = model.load(arguments.file)
    data = _data(measured.data, arguments)
    truth = data_set(data)
    manifest = measured.manifest
    protocol.check(truth)
    if "semantic" in measured.network.tasks:
        check_classes(len(manifest.labels.names), truth)
    method = tables.method(data.name, manifest)
    cue = DepthCue(measured.network) if arguments.depth_cue else None
    if arguments.flat_cues:
        flatten_cues(measured.network)
    samples = truth.open(arguments.data or default_root(data.name), arguments.split)
    conditions = setting(measured, data, samples, arguments.split)

    height, width = manifest.input_size
    print(f"file      {arguments.file}, {measured.origin}")
    print(
        f"network   {manifest.variant} on {manifest.backbone}, input near {height}x{width}"
        + ", flat cues" * arguments.flat_cues
    )
    print(f"data      {conditions}")
    print(f"protocol  {protocol}\n", flush=True)
    result = measure(
        measured,
        samples,
        truth,
        device=device,
        batch_size=arguments.batch_size,
        workers=arguments.workers,
        protocol=protocol,
    )
    print(tables.text(result, data.name, method))
    print(f"\n{tables.SOURCE[data.name]}")
    if arguments.by_class and result.iou:
        print(f"\nIoU by class\n{tables.by_class(result, truth.labels.names)}")
    if arguments.by_distance and result.by_distance:
        print(f"\nDepth by distance\n{tables.by_distance(result)}")
    if cue:
        print(
            f"\nSemantic-to-depth cue\n  cut off at {cue.cut_off:.0%} of positions\n  a linear "
            f"function of the depth feature gives {cue.known:.0%} of its variance"
        )
    if arguments.json:
        content = {
            "file": str(arguments.file),
            "origin": measured.origin,
            "setting": conditions,
            "split": arguments.split,
            "images": len(samples),
            "data": data.model_dump(mode="json"),
            "protocol": dataclasses.asdict(protocol),
            "flat_cues": arguments.flat_cues,
            "depth_cue": _finite({"cut_off": cue.cut_off, "known": cue.known}) if cue else None,
            **_numbers(result, truth.labels.names),
            "paper": {"method": method, **tables.PAPER[data.name][method]},
        }
        atomic.write(arguments.json, json.dumps(content, indent=2) + "\n")


def _data(trained: Data, arguments: argparse.Namespace) -> Data:
    """The data set of the training, with the truth that the command line asks for."""
    if trained.name != "nyuv2" and (arguments.classes or arguments.raw_depth):
        raise ValueError(
            f"--classes and --raw-depth are for nyuv2, but {arguments.file} was trained on "
            f"{trained.name}; leave them out"
        )
    return trained.model_copy(
        update={
            "classes": arguments.classes or trained.classes,
            "raw_depth": trained.raw_depth if arguments.raw_depth is None else arguments.raw_depth,
        }
    )


def _numbers(result: Result, classes: Sequence[str]) -> dict[str, Any]:
    """The result for JSON."""
    return {
        "semantic": _finite(result.semantic),
        "depth": _finite(result.depth),
        "depth_per_image": _finite(result.depth_per_image),
        "by_distance": [_finite(row) for row in result.by_distance],
        "iou": _finite(dict(zip(classes, result.iou, strict=False))),
        "confusion": result.confusion.tolist(),
    }


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    """For JSON, which has no NaN: what is not there is null."""
    return {name: v if math.isfinite(v) else None for name, v in values.items()}


if __name__ == "__main__":
    command.main(_parser(), run)
