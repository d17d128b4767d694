"""The same work for each of many recordings: here one after the other, or on a Ray cluster.

Each recording becomes a folder; one that is there already is left as it is. On a cluster Ray
decides which machine works on what, and starts again what was lost with a machine. A folder is
written there under another name and renamed when it is whole, so that it is there once, whoever
else began it.
"""

from __future__ import annotations

import argparse
import logging
import os
import pickle
import socket
import sys
import tempfile
import traceback
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, redirect_stdout
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from . import commands
from .progress import progress_bar
from .reasons import in_short

RETRIES = 3  # of a recording whose machine or process was lost


class Work(ABC):
    """What a command does for one recording.

    It is made once here, and once in each process of a cluster. What takes long to load is loaded
    when it is first needed, and kept.

    Args:
        arguments: of the command line.

    Attributes:
        loaded: closes at the end what was loaded.
        fixable: errors whose message is a sentence.
    """

    fixable: tuple[type[Exception], ...] = (ValueError, OSError)

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments, self.loaded = arguments, ExitStack()

    @property
    def cards(self) -> int:
        """How many GPUs it takes for itself."""
        return int(self.arguments.device != "cpu")

    @abstractmethod
    def is_there(self, source: Path, out: Path) -> bool:
        """Whether ``out`` is whole already; an error if it is made of or by something else."""

    @abstractmethod
    def make(self, source: Path, out: Path) -> Any:
        """Write ``out``, or go on with it; what :meth:`report` needs, which is pickled."""

    @abstractmethod
    def report(self, out: Path, made: Any, stdout: TextIO) -> None:
        """Print what was made; an error for what is there but not as it should be."""


class Ended(NamedTuple):
    """A recording that is done with.

    Attributes:
        made: by :meth:`Work.make`; ``None`` if it was there already, or failed.
        failure: a sentence; empty if it has not failed.
    """

    source: Path
    made: Any = None
    failure: str = ""


def add_ray_option(parser: argparse.ArgumentParser) -> None:
    """``--ray``: where the work is done."""
    parser.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="spread the work over the Ray cluster there, such as 10.0.0.1:6379, or auto on one of "
        "its machines",
    )


def run(work: type[Work], arguments: argparse.Namespace, sources: Sequence[Path]) -> None:
    """Do the work for all of them, into ``arguments.out``.

    Raises:
        ValueError: naming those that failed, once all others are done; or ``--ray``.
        Exception: of a single one that is done here, as it is.
    """
    places = _places(sources, arguments.out)
    here = work(arguments)
    with here.loaded:
        if len(places) == 1 and arguments.ray is None:
            (out,) = places.values()
            _tell(here, out, _made(here, sources[0], out), sys.stdout)
            return
        # Answers go to stdout, and nothing else: Ray prints what happens to machines when it does.
        stdout = sys.stdout
        with redirect_stdout(sys.stderr), closing(_ended(here, places)) as ended:
            failures = _report(here, places, ended, stdout)
    if failures:
        count = f"{len(failures)} of {len(places)}"
        raise ValueError("\n  ".join([f"{count} failed, all others are there", *failures]))


def _places(sources: Sequence[Path], out: Path) -> dict[Path, Path]:
    """The folder that each becomes: of a single one ``out``, of several one in it by its name."""
    if len(sources) == 1:
        return {sources[0]: out}
    names: dict[str, Path] = {}
    for source in sources:
        name = source.resolve().name.removesuffix(".mcap").removesuffix(".db3")
        if name in names:
            raise ValueError(
                f"{names[name]} and {source} would both become {out / name}; name one of them for "
                "itself, with another folder to write"
            )
        names[name] = source
    return {source: out / name for name, source in names.items()}


def _report(
    work: Work, places: Mapping[Path, Path], ended: Iterator[Ended], stdout: TextIO
) -> list[str]:
    """Tell how each ended, as they do; those that failed, with their reasons."""
    failures = []
    with progress_bar(ended, "recordings", total=len(places), unit="recording") as bar:
        for source, made, failure in bar:
            try:
                if not failure:
                    _tell(work, places[source], made, stdout)
            except work.fixable as error:
                failure = str(error)
            if failure:
                failures.append(f"{source}: {failure}")
                bar.write(failures[-1], sys.stderr)
    return failures


def _tell(work: Work, out: Path, made: Any, stdout: TextIO) -> None:
    if made is None:
        commands.say(f"{out} is there already, made of this recording; nothing to do")
    else:
        work.report(out, made, stdout)


def _ended(work: Work, places: Mapping[Path, Path]) -> Generator[Ended, None, None]:
    """All of them, in the order in which they end."""
    if work.arguments.ray is not None:
        yield from _on_ray(work, places)
        return
    for source, out in places.items():
        yield _tried(work, source, out)


def _tried(work: Work, source: Path, out: Path, beside: Path | None = None) -> Ended:
    """Do it; one that cannot be done must not end the others."""
    commands.say(f"{source} begins")
    try:
        return Ended(source, _made(work, source, out, beside))
    except Exception as error:
        if not isinstance(error, work.fixable):
            traceback.print_exc()
        return Ended(source, failure=str(error) or type(error).__name__)


def _made(work: Work, source: Path, out: Path, beside: Path | None = None) -> Any:
    """What was made; ``None`` if there was nothing to do.

    Args:
        beside: a folder on the disk of ``out``, for what is not whole. Without it ``out`` is
            written where it shall be, and nobody else may do that at the same time.
    """
    if work.is_there(source, out):
        return None
    if beside is None:
        return work.make(source, out)
    if out.is_dir() and any(out.iterdir()):
        raise ValueError(f"{out} was begun without --ray; go on without it, or delete that folder")
    folder = Path(tempfile.mkdtemp(dir=beside), out.name)
    made = work.make(source, folder)
    try:
        os.replace(folder, out)
    except OSError:
        if not work.is_there(source, out):  # by a process that was taken for lost
            raise
    return made


# On a Ray cluster. A task is a recording; its worker keeps what it has loaded for the next one.


class _Recipe(NamedTuple):
    """How a worker makes the ``Work`` of a command."""

    module: str
    name: str
    arguments: bytes
    folder: str  # that relative paths begin at


def _on_ray(work: Work, places: Mapping[Path, Path]) -> Generator[Ended, None, None]:
    ray = _connected(work.arguments)
    above = work.arguments.out if len(places) > 1 else work.arguments.out.absolute().parent
    above.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=above, prefix=".unfinished-", ignore_cleanup_errors=True
    ) as beside:
        # By default Ray ends a process that had a card after one task, and what it has loaded.
        options = {"num_cpus": 1, "num_gpus": work.cards, "max_retries": RETRIES, "max_calls": 0}
        task, recipe = ray.remote(**options)(_on_worker), _recipe(work)
        waiting = {
            task.options(name=source.name).remote(recipe, source, out, Path(beside)): source
            for source, out in places.items()
        }
        try:
            while waiting:
                (first,), _ = ray.wait([*waiting])
                source = waiting.pop(first)
                try:
                    yield ray.get(first)
                except ray.exceptions.RayError as error:
                    yield Ended(source, failure=in_short(getattr(error, "cause", error)))
        finally:
            ray.shutdown()  # before the folder goes that others may still write to


def _connected(arguments: argparse.Namespace) -> Any:
    """The package ray, once it has joined the cluster."""
    if arguments.device not in ("cpu", "cuda"):
        raise ValueError(
            f"--device is {arguments.device}, but with --ray it is cpu or cuda; Ray says which card"
        )
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # what two recordings say alike is said twice
    try:
        import ray
    except ImportError as error:
        raise ValueError(
            "--ray needs the package ray, which is not installed; the extra 'ray' has it"
        ) from error
    try:
        if ":" in arguments.ray:  # Ray itself would try for minutes
            host, port = arguments.ray.rsplit(":", 1)
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(address=arguments.ray, logging_level=logging.WARNING)
    except Exception as error:  # of gRPC, of sockets, or of another version there
        raise ValueError(
            f"--ray is {arguments.ray}, but no cluster can be joined there: {error}"
        ) from error
    return ray


def _recipe(work: Work) -> _Recipe:
    """By the real name of a module that is run as a command."""
    spec = sys.modules[type(work).__module__].__spec__
    assert spec is not None
    name = type(work).__qualname__
    return _Recipe(spec.name, name, pickle.dumps(work.arguments), os.getcwd())


def _on_worker(recipe: _Recipe, source: Path, out: Path, beside: Path) -> Ended:
    return _tried(_kept(recipe), source, out, beside)


@lru_cache(maxsize=1)
def _kept(recipe: _Recipe) -> Work:
    os.chdir(recipe.folder)
    work: Work = getattr(import_module(recipe.module), recipe.name)(pickle.loads(recipe.arguments))
    return work
