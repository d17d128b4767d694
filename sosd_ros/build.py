"""Build engines for this machine ahead of time: ``python -m sosd_ros.build``."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import commands, weights
from .engine import AUTO, BACKENDS, EngineError, build
from .share import sample_frames


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sosd_ros.build",
        description="Build engines for this machine, compare them with eager float32, time them, "
        "and record the fastest, which the node takes from then on.",
    )
    commands.add_weights_option(parser)
    commands.add_device_option(parser)
    parser.add_argument(
        "--backend",
        default=AUTO,
        choices=[AUTO, *(backend.name for backend in BACKENDS)],
        help="build only this one (default: all that are installed)",
    )
    parser.add_argument(
        "--precision", default=AUTO, choices=[AUTO, "fp32", "bf16", "fp16"], help="only this one"
    )
    parser.add_argument(
        "--size",
        type=commands.size,
        action="append",
        metavar="HEIGHTxWIDTH",
        help="of the camera's images; may be given several times (default: 480x640)",
    )
    parser.add_argument("--cache", type=Path, help="where engines are kept (default: $SOSD_CACHE)")
    return parser


def run(arguments: argparse.Namespace) -> None:
    engine = build(
        weights.read(arguments.weights),
        sample_frames(),
        arguments.device,
        arguments.backend,
        arguments.precision,
        arguments.size or [(480, 640)],
        arguments.cache,
        tell=lambda text: print(text, flush=True),
    )
    print(f"\n{engine.why}\n\nthe fastest that agrees: {engine.name}")


def main() -> None:
    commands.main(_parser(), run, EngineError)


if __name__ == "__main__":
    main()
