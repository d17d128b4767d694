"""Measure a network on its data set, beside the paper: ``python -m training.evaluate FILE``."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any, get_args

import numpy as np

from sosd_ros import atomic, commands
from sosd_ros.device import checked_device

from . import options
from .config import Data
from .data.sample import DataSet, Part
from .data.sequence import Sequence, still
from .data.zoomed import Zoomed
from .measuring import bootstrap, comparison, json_record, paper, steadiness, tables
from .measuring.bootstrap import Intervals
from .measuring.cues import DepthCue, flatten_cues
from .measuring.protocol import Protocol
from .measuring.result import Result, measure
from .measuring.setting import Setting, open_setting
from .metrics import ErrorsByDistance
from .networks import trained
from .networks.trained import Model


def command_line() -> argparse.ArgumentParser:
    parser = commands.parser(
        "training.evaluate",
        "Measure a network on the data set that it was trained on, beside the paper.",
        "a.safetensors --by-class",
    )
    options.add_measured_options(parser)
    parser.add_argument(
        "--on",
        choices=get_args(Data.model_fields["name"].annotation),
        help="another data set than that of the training; own: a folder of training.record, "
        "by --data",
    )
    options.add_loader_options(parser)
    parser.add_argument("--by-class", action="store_true", help="print the IoU of every class")
    parser.add_argument(
        "--by-distance",
        action="store_true",
        help="print how depth errs at each distance, true and answered",
    )
    parser.add_argument(
        "--reliability", action="store_true", help="print how often each confidence is right"
    )
    parser.add_argument(
        "--flat-cues",
        action="store_true",
        help="have the units' cues say the same at every position, to see what they are worth",
    )
    parser.add_argument(
        "--depth-cue",
        action="store_true",
        help="print how often the semantic-to-depth cue is cut off, and how much of it the depth "
        "feature does not already contain",
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="OTHER",
        help="print by how much it differs, image by image, from another weights file or "
        "checkpoint, or from what --json wrote of one",
    )
    parser.add_argument(
        "--json", type=Path, help="write all numbers into this file, those of each image as well"
    )
    _add_sequence_options(parser)
    _add_protocol_options(parser)
    return parser


def _add_sequence_options(parser: argparse.ArgumentParser) -> None:
    sequence = parser.add_argument_group("sequence", "In place of the data set.")
    sequence.add_argument(
        "--sequence",
        type=Path,
        metavar="DIR",
        help="print how much answers flicker along the images of a camera, and how much less when "
        "they are steadied as by the node's parameter steady",
    )
    sequence.add_argument(
        "--still",
        action="store_true",
        help="of its first image, as a camera that does not move sees it",
    )
    sequence.add_argument(
        "--images",
        type=commands.count,
        default=60,
        metavar="N",
        help="images at most (%(default)s)",
    )


def _add_protocol_options(parser: argparse.ArgumentParser) -> None:
    protocol = parser.add_argument_group("protocol", "The defaults are those of the comparison.")
    protocol.add_argument(
        "--crop", choices=("none", "eigen"), default="none", help="part of the image (%(default)s)"
    )
    protocol.add_argument("--cap", type=float, metavar="M", help="leave out truth beyond M metres")
    protocol.add_argument("--flip", action="store_true", help="mean with the mirror image")
    protocol.add_argument(
        "--scales",
        type=options.scales,
        default=(1.0,),
        metavar="S,S,...",
        help="mean over sizes of the input, such as 0.75,1,1.25",
    )
    protocol.add_argument(
        "--focal-length",
        type=float,
        default=1.0,
        metavar="K",
        help="see the images as by a camera with K times the focal length: above 1 their middle, "
        "below 1 with nothing around them",
    )
    protocol.add_argument(
        "--uncorrected", action="store_true", help="answer depth as if by the training's camera"
    )
    protocol.add_argument(
        "--fit",
        type=commands.count_from_0,
        default=0,
        metavar="N",
        help="bring images to the scale of the training, in at most N inputs each (0: do not)",
    )
    protocol.add_argument(
        "--every", type=commands.count, default=1, metavar="N", help="every N-th image alone"
    )
    protocol.add_argument(
        "--classes", type=int, choices=(13, 40), help="of NYU Depth v2; 13 groups the 40"
    )
    protocol.add_argument(
        "--raw-depth",
        action=argparse.BooleanOptionalAction,
        help="NYU Depth v2: the sensor's depth, with its holes, or the in-painted (as in training)",
    )


def run(arguments: argparse.Namespace) -> None:
    if arguments.json:
        commands.check_out("--json", arguments.json)
    device = str(checked_device(arguments.device))
    if arguments.sequence:
        _print_steadiness(arguments, device)
        return
    protocol = _protocol(arguments)
    measured = trained.load(arguments.file)
    data = _data(measured, arguments)
    cue = DepthCue(measured.network) if arguments.depth_cue else None
    if arguments.flat_cues:
        flatten_cues(measured.network)
    setting = open_setting(measured, data, arguments.data, arguments.split)
    protocol.check(setting.truth)
    setting = _part_of(setting, protocol.focal_length, arguments.every)
    other = _other(arguments, setting, protocol) if arguments.against else None

    print(f"file      {arguments.file}, {measured.origin}")
    print(f"network   {measured}" + ", flat cues" * arguments.flat_cues)
    print(f"data      {setting.of(measured)}")
    print(f"protocol  {protocol}\n", flush=True)

    def result_of(model: Model) -> Result:
        asked = model.predictor(device, setting.truth if protocol.corrects else None)
        focal = protocol.focal_length if protocol.corrects else 1.0
        return measure(
            dataclasses.replace(asked, focal=asked.focal * focal, fit=protocol.fit),
            setting.samples,
            setting.truth,
            batch_size=arguments.batch_size,
            workers=arguments.workers,
            protocol=protocol,
            details=True,
        )

    result = result_of(measured)
    intervals = bootstrap.intervals(result.measures)
    row = paper.row(data.name, measured.manifest)
    print(tables.text(result, row, intervals))
    print(f"\n{paper.SOURCE[data.name]}{paper.NOTES.get(data.name, '')}")
    _print_more(arguments, result, intervals, setting.truth)
    known = {"cut_off": cue.cut_off, "known": cue.known} if cue else None
    if known:
        print(
            "\nSemantic-to-depth cue\n  cut off at {cut_off:.0%} of positions\n  a linear function "
            "of the depth feature gives {known:.0%} of its variance".format(**known)
        )
    if arguments.json:
        facts = {
            "file": str(arguments.file),
            **_facts(measured, setting, protocol),
            "flat_cues": arguments.flat_cues,
            "depth_cue": known,
            "paper": {"method": row.method, **row.metrics},
        }
        names = setting.truth.labels.names
        atomic.write(arguments.json, json_record.text(facts, result, intervals, names))
    if other:
        theirs = other if isinstance(other, Result) else result_of(other)
        print(f"\nAgainst {arguments.against}, image by image; * is beyond chance")
        print(comparison.text(str(arguments.against), result, theirs))


def _print_steadiness(arguments: argparse.Namespace, device: str) -> None:
    """Of a sequence, in place of the data set."""
    measured = trained.load(arguments.file)
    sequence = Sequence(arguments.sequence, arguments.images)
    camera, frames = sequence.camera, iter(sequence)
    count, kind = len(sequence), "moving camera"
    if arguments.still:
        count, kind = arguments.images, "still camera"
        frames = still(next(frames), count, np.random.default_rng(0))
    size = f"{camera.height}x{camera.width}"
    print(f"file      {arguments.file}, {measured.origin}")
    print(f"network   {measured}")
    print(f"sequence  {arguments.sequence}, {kind}, {count} images at {size}\n", flush=True)
    print(steadiness.text(steadiness.measure(measured.predictor(device), frames, camera)))


def _protocol(arguments: argparse.Namespace) -> Protocol:
    return Protocol(
        arguments.crop,
        arguments.cap,
        arguments.flip,
        arguments.scales,
        arguments.focal_length,
        not arguments.uncorrected,
        arguments.fit,
    )


def _part_of(setting: Setting, focal_length: float, every: int) -> Setting:
    """Every n-th image, by another camera."""
    samples = setting.samples
    if every > 1:
        samples = Part(samples, range(0, len(samples), every))
    if focal_length != 1:
        samples = Zoomed(samples, focal_length)
    return dataclasses.replace(setting, samples=samples)


def _facts(measured: Model, setting: Setting, protocol: Protocol) -> dict[str, Any]:
    """What was measured on what, as JSON has it."""
    return {
        "origin": measured.origin,
        "setting": setting.of(measured),
        "split": setting.split,
        "images": len(setting.samples),
        "data": setting.data.model_dump(mode="json"),
        "protocol": dataclasses.asdict(protocol),
        "conditions": comparison.conditions(setting, protocol),
    }


def _print_more(
    arguments: argparse.Namespace, result: Result, intervals: Intervals, truth: DataSet
) -> None:
    """The tables that were asked for."""
    if arguments.by_class and result.iou:
        print(f"\nIoU by class\n{tables.by_class(result.iou, truth.labels.names)}")
    if arguments.by_distance:
        for name, of in (("by_distance", "true"), ("by_answer", "answered")):
            errors = result.measures.get(name)
            if isinstance(errors, ErrorsByDistance):
                table = tables.by_distance(errors, intervals[name]["bias"])
                print(f"\nDepth by {of} distance\n{table}")
    if arguments.reliability and "calibration" in result.measures:
        print(f"\nReliability\n{tables.reliability(result.measures['calibration'])}")


def _other(arguments: argparse.Namespace, setting: Setting, protocol: Protocol) -> Model | Result:
    """What it is compared with: a network to be measured, or the result in a file.

    Raises:
        ValueError: if it cannot be compared.
    """
    path: Path = arguments.against
    conditions = comparison.conditions(setting, protocol)
    if path.suffix == ".json":
        content = json_record.read(path)
        comparison.check(str(path), conditions, content["conditions"])
        result = json_record.result_in(content, setting.truth, path)
        comparison.check_images(str(path), setting.samples.names, result.names)
        return result
    other = trained.load(path)
    # The images and the protocol are the same; what it takes for the truth may not be.
    data = setting.data if arguments.on else _data(other, arguments)
    its = dataclasses.replace(setting, data=data)
    comparison.check(str(path), conditions, comparison.conditions(its, protocol))
    return other


def _data(model: Model, arguments: argparse.Namespace) -> Data:
    """The data set of the training or another one, with the truth that is asked for."""
    trained = model.data
    if arguments.on and arguments.on != trained.name:
        trained = Data(name=arguments.on, size=model.manifest.input_size)
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


if __name__ == "__main__":
    commands.main(command_line(), run)
