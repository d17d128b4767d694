"""Whether the input keeps up with the network: ``python -m training.throughput CONFIG``."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import cv2

from sosd_ros import atomic, commands
from sosd_ros.device import checked_device

from . import options
from .config import Config, load
from .data.generated import Generated
from .data.sample import DataSet, Part, Samples
from .data.sets import data_set, default_root
from .learning import rates


def _open(config: Config, data: DataSet, root: Path | None, wanted: int) -> tuple[Samples, str]:
    """At most ``wanted`` samples, and what they are."""
    folder = (root or default_root(config.data.name)).resolve()
    if root is None and not folder.is_dir():
        # Cityscapes is brought to the size of training when it is read.
        camera = (data.camera.height, data.camera.width)
        size = config.data.size if config.data.name == "cityscapes" else camera
        return Generated(data, size, wanted), f"generated frames: there is no folder {folder}"
    samples = data.open(folder, "train")
    return Part(samples, range(min(wanted, len(samples)))), f"{data.title} in {folder}"


def _parser() -> argparse.ArgumentParser:
    parser = commands.parser(
        "training.throughput",
        "Measure decoding, augmentation and batches in images/s beside what the "
        "network of a configuration consumes in training, on this machine. Without the data set, "
        "frames are generated.",
        example="config/training/nyuv2_esosd.yaml",
    )
    options.add_config_options(parser)
    options.add_data_option(parser)
    parser.add_argument(
        "--batches",
        type=commands.count,
        default=4,
        help="mini-batches in a repetition (%(default)s)",
    )
    parser.add_argument("--repetitions", type=commands.count, default=5, help="(%(default)s)")
    parser.add_argument(
        "--no-network", action="store_true", help="leave the network's training steps out"
    )
    commands.add_device_option(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser


def run(arguments: argparse.Namespace) -> None:
    if arguments.json:
        commands.check_out("--json", arguments.json)
    config = load(arguments.config, arguments.set)
    device = str(checked_device(arguments.device))
    data = data_set(config.data)
    wanted = arguments.batches * config.batch_size
    samples, source = _open(config, data, arguments.data, wanted)
    if len(samples) < config.batch_size:
        raise ValueError(
            f"{source}: {len(samples)} samples are fewer than batch_size {config.batch_size}; "
            "lower it with --set batch_size=N"
        )

    cv2.setNumThreads(0)  # one core, as in a worker
    stages = rates.input_stages(config, data, samples)
    if not arguments.no_network:
        stages.append(rates.network_stage(config, data, samples, device))
    measured = rates.measure(stages, arguments.repetitions)

    setting = {
        "config": str(arguments.config),
        "samples": source,
        "sample_size": "x".join(map(str, samples[0].depth.shape)),
        "network_size": "x".join(map(str, config.data.size)),
        "batch_size": config.batch_size,
        "precision": config.precision,
        "device": device,
        "cores": len(os.sched_getaffinity(0)),
        "repetitions": f"{arguments.repetitions} of {len(samples)} images",
    }
    print("\n".join(f"{name.replace('_', ' '):14} {value}" for name, value in setting.items()))
    print(f"\n{rates.table(measured)}")
    print("\nDecoding and augmentation use one core, a loader's worker one.")
    times = rates.loader_to_network(measured, config.data.workers)
    if times is not None:
        print(rates.verdict(times, config.data.workers))
    if arguments.json:
        figures = {name: rate._asdict() for name, rate in measured.items()}
        compared = {} if times is None else {"loader_to_network": times}
        content = {**setting, **compared, "images_per_s": figures}
        atomic.write(arguments.json, json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    commands.main(_parser(), run)
