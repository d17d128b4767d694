"""Train a network: ``python -m training.train CONFIG --out DIR``."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path

import torch

from sosd_ros import atomic, commands
from sosd_ros.device import checked_device

from . import distributed, options
from .config import Config, dump, load
from .data.labelled_photographs import Photographs
from .data.sample import median_depth
from .data.sets import data_set, default_root
from .learning.log import Log
from .learning.loop import Run, best_metric, check_splits, fit, refuse_another_run
from .learning.signals import Interrupted, Signals
from .learning.step import Trainer, refuse_what_cannot_run
from .networks import checkpoint
from .networks.imagenet import create_network, normalisation
from .networks.trained import copy_into
from .networks.trained import load as load_model


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.train",
        description="Train a network as a configuration file says. On several GPUs or machines: "
        "torchrun --nproc_per_node=N -m training.train with the same arguments.",
        epilog="Example: python -m training.train config/training/nyuv2_esosd.yaml --out runs/a",
    )
    options.add_config_options(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and logs")
    options.add_data_option(parser)
    parser.add_argument("--resume", action="store_true", help="go on from OUT/last.pt")
    commands.add_device_option(parser)
    return parser


def run(arguments: argparse.Namespace) -> None:
    config = load(arguments.config, arguments.set)
    with Signals().heard() as signals, distributed.joined(arguments.device) as device:
        try:
            _train(config, arguments, str(checked_device(device)), signals)
        except Interrupted as stop:
            _say(
                f"{stop}; everything is in {arguments.out / checkpoint.LAST}: add --resume to go on"
            )
            # As a shell reports a process that the signal has ended.
            sys.exit(128 + stop.number)


def _train(config: Config, arguments: argparse.Namespace, device: str, signals: Signals) -> None:
    # What is wrong with the request comes first, then what is wrong with the data; what takes
    # time or downloads comes last.
    out: Path = arguments.out
    commands.check_out("--out", out, folder=True)
    last = out / checkpoint.LAST
    if last.exists() and not arguments.resume:
        raise ValueError(f"{last} exists; go on with --resume, or choose another --out")
    if arguments.resume and not last.exists():
        raise ValueError(f"there is no {last} to go on from; leave --resume out to start there")
    refuse_what_cannot_run(config, device)
    data = data_set(config.data)
    best_metric(config, data)
    state = checkpoint.load(last) if arguments.resume else None
    if state is not None:
        refuse_another_run(config, state)
    start = config.network.start if state is None else None
    started = None if start is None else load_model(start)

    root = arguments.data or default_root(config.data.name)
    training = data.open(root, config.data.split)
    validation = data.open(root, config.data.validation)
    check_splits(config, training, validation)
    labelled = config.data.photographs
    photographs = None if labelled is None else Photographs(labelled, data)

    torch.manual_seed(config.seed)
    network = create_network(
        config.network,
        len(data.labels.names),
        imagenet=config.network.imagenet and start is None and state is None,
    )
    if start is not None and started is not None:
        copy_into(network, started, start)
    elif state is None and config.network.depth_form == "log" and "depth" in network.tasks:
        network.begin_at(median_depth(training))
    trainer = Trainer(config, network, normalisation(config.network.backbone), device)
    training_run = Run(trainer, data, training, validation, out, photographs)
    if state is not None:
        training_run.load_state_dict(state)
    out.mkdir(parents=True, exist_ok=True)
    if distributed.rank() == 0:
        atomic.write(out / "config.yaml", dump(config))
    with closing(Log(out, training_run.iteration)) as log:
        fit(training_run, log, signals)
    _say(f"done: {last}; export it with `python -m training.export {last} --out FILE.safetensors`")


def _say(sentence: str) -> None:
    if distributed.rank() == 0:
        print(sentence)


if __name__ == "__main__":
    commands.main(_parser(), run)
