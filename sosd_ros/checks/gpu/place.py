"""Where a part works and until when, and what it hands back."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import TimeoutError
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ... import atomic
from ...reasons import in_short
from ...testbed.own_process import in_own_process

ROOT = Path(__file__).parents[3]  # of the checkout, where tests and configurations are
LAST_WORDS = 10.0  # seconds for a command that is told to stop
T = TypeVar("T")
STOPPED = 128 + signal.SIGINT  # its status then


class CannotRunError(Exception):
    """A part cannot run here; the message says why."""


class OutOfTimeError(Exception):
    """The deadline has come in the midst of something."""


class Outcome(NamedTuple):
    """What came of a part.

    Attributes:
        figures: as JSON has them.
        markdown: the same for people: rows for docs/performance.md or docs/results.md.
        problems: what failed, a sentence each.
        finished: whether nothing remains for another call.
    """

    figures: dict[str, Any]
    markdown: str = ""
    problems: Sequence[str] = ()
    finished: bool = True


@dataclass(frozen=True)
class Place:
    """Where a part works, and until when.

    Attributes:
        out: the folder of the results; all that is large lies in ``work`` below it.
        device: ``cuda``, ``cuda:1``, ..., or ``cpu``.
        deadline: by ``time.monotonic``.
        weights: of the network that is measured.
        data: the folder of NYU Depth v2, or the parts that ``carry`` has packed it into.
        frames: that an engine has to survive.
    """

    out: Path
    device: str
    deadline: float
    weights: Path
    data: tuple[Path, ...] = ()
    frames: int = 20_000

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.monotonic()

    @property
    def work(self) -> Path:
        return self.out / "work"

    @property
    def cache(self) -> Path:
        """Of built engines, in the folder where the benchmark looks for them as well."""
        return self.work / "cache" / "shipped"

    def command(self, *arguments: str) -> int:
        """Run ``python -m``, its output into the part's log; its exit status.

        At the deadline it is interrupted, as by Ctrl-C, which the status tells.
        """
        process = subprocess.Popen([sys.executable, "-m", *arguments], cwd=ROOT)
        try:
            return process.wait(max(self.left, 0))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(LAST_WORDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return STOPPED

    def in_own_process(self, function: Callable[..., T], *arguments: Any) -> T:
        """The value of a module's function, from a new process, which a broken CUDA context ends.

        Raises:
            OutOfTimeError: at the deadline; the process is gone.
            Exception: of the function, or that the process has ended.
        """
        try:
            return in_own_process(function, *arguments, timeout=max(self.left, 0))
        except TimeoutError as error:
            raise OutOfTimeError from error


class Kept(dict[str, Any]):
    """Figures that outlast a stop: a file that is written whole whenever one is added."""

    def __init__(self, path: Path) -> None:
        super().__init__(json.loads(path.read_text()) if path.is_file() else {})
        self._path = path

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(self._path, json.dumps(self, indent=1))


def one_by_one(
    place: Place, name: str, items: Iterable[str], work: Callable[[str], dict[str, Any]]
) -> Outcome:
    """Work on items in order, and keep the figures of each; none is begun after the deadline.

    One that fails is a problem, and does not end the others; another call tries it again.
    """
    kept = Kept(place.work / f"{name}.json")
    problems: list[str] = []
    for item in items:
        if item in kept:
            continue
        if place.left <= 0:
            return Outcome(dict(kept), problems=problems, finished=False)
        print(f"{item} ...", flush=True)
        try:
            kept[item] = work(item)
        except OutOfTimeError:
            return Outcome(dict(kept), problems=problems, finished=False)
        except Exception as error:  # of whatever library it runs on
            traceback.print_exc()
            problems.append(f"{item}: {type(error).__name__}: {in_short(error)}")
    return Outcome(dict(kept), problems=problems)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
