"""Train a network: ``python -m training.train CONFIG --out DIR``."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path

from sosd_ros import atomic, commands
from sosd_ros.device import checked_device

from . import distributed, options
from .config import Config, dump, load
from .data.sets import with_folders
from .learning.log import Log
from .learning.loop import fit
from .learning.run import open_run
from .learning.signals import Interrupted, Signals
from .networks import checkpoint


def command_line() -> argparse.ArgumentParser:
    parser = commands.parser(
        "training.train",
        "Train a network as a configuration file says. On several GPUs or machines: "
        "torchrun --nproc_per_node=N -m training.train with the same arguments.",
        "config/training/nyuv2_esosd.yaml --out runs/a",
    )
    options.add_config_options(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and logs")
    options.add_data_option(parser)
    parser.add_argument("--resume", action="store_true", help="go on from OUT/last.pt")
    commands.add_device_option(parser)
    return parser


def run(arguments: argparse.Namespace) -> None:
    config = with_folders(load(arguments.config, arguments.set), arguments.data)
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
    out: Path = arguments.out
    commands.check_out("--out", out, folder=True)
    last = out / checkpoint.LAST
    if last.exists() and not arguments.resume:
        raise ValueError(f"{last} exists; go on with --resume, or choose another --out")
    if arguments.resume and not last.exists():
        raise ValueError(f"there is no {last} to go on from; leave --resume out to start there")
    resume = last if arguments.resume else None
    training = open_run(config, out, device, root=arguments.data, resume=resume)
    out.mkdir(parents=True, exist_ok=True)
    if distributed.rank() == 0:
        atomic.write(out / "config.yaml", dump(config))
    with closing(Log(out, training.iteration)) as log:
        fit(training, log, signals)
    _say(f"done: {last}; export it with `python -m training.export {last} --out FILE.safetensors`")


def _say(sentence: str) -> None:
    if distributed.rank() == 0:
        print(sentence)


if __name__ == "__main__":
    commands.main(command_line(), run)
