"""Build engines for this machine ahead of time, or a file that another runtime reads.

``python -m sosd_ros.build``
"""

from __future__ import annotations

import argparse
from pathlib import Path

from . import commands, weights
from .camera import USUAL_SIZE
from .engine import AUTO, BACKENDS, PRECISIONS, EngineError, Request, build
from .engine.formats import FORMATS, Order, export
from .share import sample_frames


def command_line() -> argparse.ArgumentParser:
    parser = commands.parser(
        "sosd_ros.build",
        "Build engines for this machine, compare them with eager float32, time them, "
        "and record the fastest, which the node takes from then on. Or, with --out, write the "
        "network as a file that another runtime reads, if that answers as eager float32 does.",
        "--device cuda --size 480x640",
    )
    commands.add_weights_option(parser)
    commands.add_device_option(parser)
    commands.add_size_option(
        parser,
        "of the camera's images; may be given several times (default: 480x640). With --out, "
        "of the network's inputs, multiples of 32 (default: those of the training)",
        action="append",
    )

    engines = parser.add_argument_group("engines for this machine")
    add_backend_option(engines, "build only this one (default: all that are installed)")
    engines.add_argument(
        "--precision", default=AUTO, choices=[AUTO, *PRECISIONS], help="only this one"
    )
    engines.add_argument("--cache", type=Path, help="where engines are kept (default: $SOSD_CACHE)")

    others = parser.add_argument_group("a file for another runtime")
    others.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help=f"the file to write; its suffix, one of {', '.join(FORMATS)}, says for which: ONNX, "
        "OpenVINO, TensorRT, or torch.export. A plan is made for the first GPU, whatever --device "
        "is, and the others for any device",
    )
    others.add_argument(
        "--dynamic-size",
        action="store_true",
        help="inputs may be of any multiples of 32; runtimes are slower then, and a .pt2 takes "
        "five minutes",
    )
    return parser


def add_backend_option(parser: argparse._ActionsContainer, help: str) -> None:
    """``--backend``: one of those there are, or ``auto``."""
    names = [AUTO, *(backend.name for backend in BACKENDS)]
    parser.add_argument("--backend", default=AUTO, choices=names, help=help)


def run(arguments: argparse.Namespace) -> None:
    if arguments.out is not None:
        _write_file(arguments)
        return
    if arguments.dynamic_size:
        raise ValueError("--dynamic-size is for --out; an engine is built for each size")
    engine = build(
        weights.read(arguments.weights),
        sample_frames(),
        arguments.device,
        Request(arguments.backend, arguments.precision, arguments.cache),
        arguments.size or [USUAL_SIZE],
        tell=_say,
    )
    _say(f"\n{engine.why}\n\nthe fastest that agrees: {engine.name}")


def _write_file(arguments: argparse.Namespace) -> None:
    if arguments.backend != AUTO or arguments.precision != AUTO or arguments.cache is not None:
        raise ValueError(
            "--backend, --precision and --cache are for engines; of a file that --out names, the "
            "suffix says what it is"
        )
    sizes = arguments.size or [None]
    if len(sizes) > 1:
        raise ValueError("--out is one file, of one --size; write one for each, or --dynamic-size")
    commands.check_out("--out", arguments.out)
    order = Order(arguments.out, sizes[0], arguments.dynamic_size)
    order.check()
    file = weights.read(arguments.weights)
    agreed = export(file, sample_frames(), order, tell=_say)
    height, width = order.size or file.manifest.input_size
    _say(f"checked against torch: {agreed}")
    _say(
        f"wrote {order.out}, inputs of {'any size, such as ' * order.dynamic_size}"
        f"{height}x{width}, sha256 {file.sha256}"
    )


def _say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    commands.main(command_line(), run, EngineError)


if __name__ == "__main__":
    main()
