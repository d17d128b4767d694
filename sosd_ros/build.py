"""Build engines for this machine ahead of time: ``python -m sosd_ros.build``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import options, weights
from .engine import AUTO, BACKENDS, EngineError, build
from .share import DEFAULT_WEIGHTS, sample_frames, share


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sosd_ros.build",
        description="Build engines for this machine, compare them with eager float32, time them, "
        "and record the fastest, which the node takes from then on.",
    )
    parser.add_argument("--weights", type=Path, help="a weights file instead of the shipped one")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu (default: cuda)")
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
        type=options.size,
        action="append",
        metavar="HEIGHTxWIDTH",
        help="of the camera's images; may be given several times (default: 480x640)",
    )
    parser.add_argument("--cache", type=Path, help="where engines are kept (default: $SOSD_CACHE)")
    return parser


def main() -> None:
    arguments = _parser().parse_args()
    path = arguments.weights or share("weights", DEFAULT_WEIGHTS)
    try:
        engine = build(
            weights.read(path),
            sample_frames(),
            arguments.device,
            arguments.backend,
            arguments.precision,
            arguments.size or [(480, 640)],
            arguments.cache,
            tell=lambda text: print(text, flush=True),
        )
    except (EngineError, weights.WeightsError) as error:
        sys.exit(f"error: {error}")
    print(f"\n{engine.why}\n\nthe fastest that agrees: {engine.name}")


if __name__ == "__main__":
    main()
