"""``python -m sosd_ros.doctor``: what keeps the perception node from working here, and the cure.

Looks at Python and its packages, the device, the weights and engines, the middleware, and the
cameras and nodes that can be heard. Run it as the user who runs the node, in the same shell. The
status is 1 if something is broken.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from .. import commands
from ..reasons import first_line
from ..share import DEFAULT_WEIGHTS, share
from . import python
from .finding import Finding, lines, summary

LISTEN = 5.0  # seconds; drivers need two to be found, and slow cameras one more


def command_line() -> argparse.ArgumentParser:
    parser = commands.parser("sosd_ros.doctor", __doc__, "--device cuda")
    parser.add_argument("--weights", type=Path, help="a weights file instead of the shipped one")
    parser.add_argument("--device", help="cuda, cuda:N or cpu; default: the GPU if there is one")
    parser.add_argument("--cache", type=Path, help="folder of built engines, as in engine_cache")
    parser.add_argument(
        "--seconds",
        type=commands.positive,
        default=LISTEN,
        help="how long to listen for cameras and nodes (%(default)g)",
    )
    parser.add_argument("--json", action="store_true", help="print a list for a program to read")
    return parser


def run(arguments: argparse.Namespace) -> None:
    found = []
    for finding in examine(arguments):
        found.append(finding)
        if not arguments.json:
            print("\n".join(lines([finding])), flush=True)
    print(json.dumps([asdict(f) for f in found], indent=2) if arguments.json else summary(found))
    if any(finding.level == "broken" for finding in found):
        sys.exit(1)


def examine(arguments: argparse.Namespace) -> Iterator[Finding]:
    """All findings. Each part imports what it needs, which may be what is broken."""
    yield from python.findings(os.environ)
    for name, part in (("engines", _engines), ("middleware", _middleware), ("graph", _graph)):
        try:
            yield from part(arguments)
        except ImportError as error:
            yield Finding(name, "look", f"not examined: {first_line(error)}", "mend that first")
        except Exception as error:
            what = f"not examined: {type(error).__name__}, {first_line(error)}"
            yield Finding(name, "broken", what, "mend what is broken above, and run this again")


def _engines(arguments: argparse.Namespace) -> Iterator[Finding]:
    import torch

    from . import engines

    device = arguments.device or ("cuda" if torch.cuda.is_available() else "cpu")
    weights = arguments.weights or share("weights", DEFAULT_WEIGHTS)
    yield from engines.findings(device, weights, arguments.cache)


def _middleware(arguments: argparse.Namespace) -> Iterator[Finding]:
    from rclpy.utilities import get_rmw_implementation_identifier

    from ..testbed.process import profile_variable
    from . import middleware

    implementation = get_rmw_implementation_identifier()
    config = share("config", "fastdds.xml").parent
    yield from middleware.findings(os.environ, implementation, profile_variable(), config)


def _graph(arguments: argparse.Namespace) -> Iterator[Finding]:
    from ..testbed.process import carry_large_messages
    from . import cameras

    carry_large_messages()
    yield from cameras.findings(cameras.listen(arguments.seconds), arguments.seconds)


def main() -> None:
    commands.main(command_line(), run)


if __name__ == "__main__":
    main()
