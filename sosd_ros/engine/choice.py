"""Which backend runs the network: checked against eager float32, and timed if there is a choice."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..camera import USUAL_SIZE
from ..device import check_unbroken, checked_device
from ..network import input_size
from ..reasons import first_line
from ..weights import Weights
from . import agreement, cache
from .agreement import Agreements, agreement_of, answers, fitting
from .answers import Perception
from .backend import EngineError, Tell
from .engine import Engine
from .stock import ANY, AUTO, BACKENDS, Candidate, Request, Stock

_TIMED_CALLS = 7
_FIRST_CALLS = 2  # before those, which may be slower


@dataclass
class Trial:
    """What has come of a candidate so far.

    Attributes:
        engine: where it has agreed so far.
        frames: (N, H, W, 3) uint8 RGB, of sizes that it accepts.
        agreed: how far.
        times: seconds of its calls for one image.
        refusal: why there is no engine.
    """

    candidate: Candidate
    engine: Engine | None = None
    frames: np.ndarray = field(default_factory=lambda: np.empty(0))
    agreed: Agreements | None = None
    times: list[float] = field(default_factory=list)
    refusal: str = ""

    @property
    def seconds(self) -> float:
        """The median time for an image."""
        return float(np.median(self.times[_FIRST_CALLS:]))

    @property
    def account(self) -> str:
        return self.refusal or f"{1000 * self.seconds:.1f} ms an image, {self.agreed}"


def load(
    file: Weights,
    frames: np.ndarray,
    device: str = "cuda",
    request: Request = ANY,
    tell: Tell = print,
    clock: Callable[[], float] = time.perf_counter,
) -> Engine:
    """An engine whose answers agree with those of eager float32.

    Where the request leaves a choice, it is the one that ``build`` has recorded, or else the
    fastest in a short trial. Nothing is built here: what needs it is passed over.

    What decides is the agreement on all ``frames``. So that a robot starts quickly, one is enough
    for what ``build`` has recorded, and for what is slower than another that agrees.

    Args:
        file: a verified weights file.
        frames: (..., H, W, 3) uint8 RGB, one or more ordinary images, to compare answers by; the
            first is timed.
        device: ``cuda``, ``cuda:1``, ..., or ``cpu``.
        request: which backend at which precision, and where built ones are.
        tell: is told, in sentences, what the user should know.
        clock: seconds, for the trial.

    Raises:
        BrokenDeviceError: if a trial has left it so that only a new process can use it.
        DeviceError: if the device is not there: a robot that was built around a GPU never falls
            back to a slow CPU unnoticed.
        EngineError: if nothing that was asked for is installed, built and in agreement.
        WeightsError: if tensors and manifest do not fit together.
    """
    stock = Stock(file, checked_device(device), request.folder)
    choices = stock.candidates(request)
    judge = _Judge(stock, frames, stock.open(stock.eager, tell), tell, clock)
    if choices == [stock.eager]:
        judge.reference.why = "torch fp32: what all others are compared with"
        return judge.reference
    recorded = _recorded(stock) if request.is_open else None
    trials = judge.first_looks([recorded] if recorded in choices else [])
    if not any(trial.engine for trial in trials):
        others = judge.first_looks([choice for choice in choices if choice != recorded])
        for trial in _by_speed(others):
            judge.look_at_all(trial)
            if trial.engine:
                break
        trials += others
    return judge.fastest(trials)


def build(
    file: Weights,
    frames: np.ndarray,
    device: str = "cuda",
    request: Request = ANY,
    sizes: Sequence[tuple[int, int]] = (USUAL_SIZE,),
    tell: Tell = print,
    clock: Callable[[], float] = time.perf_counter,
) -> Engine:
    """Build what can be built for a device, and record which engine is the fastest.

    Args:
        file, frames, device, request, tell, clock: as for ``load``.
        sizes: (height, width) of the images that the engines are for.

    Returns:
        The engine that ``load`` will give from now on.

    Raises:
        DeviceError, EngineError: as ``load`` does.
    """
    stock = Stock(file, checked_device(device), request.folder)
    inputs = stock.inputs(sizes)
    choices = stock.candidates(request)
    todo = [choice for choice in choices if choice.backend.suffix]
    for number, choice in enumerate(todo, 1):
        if missing := choice.backend.missing():
            tell(f"[{number}/{len(todo)}] {choice}: skipped, {missing}")
            continue
        shapes = ", ".join(f"{height}x{width}" for height, width in inputs)
        tell(f"[{number}/{len(todo)}] {choice}: building for inputs of {shapes} ...")
        started = clock()
        try:
            stock.build(choice, inputs)
        except Exception as error:  # of a compiler or an exporter; the others may do
            tell(f"    failed with {type(error).__name__}: {first_line(error)}")
        else:
            tell(f"    built in {clock() - started:.0f} s")
    judge = _Judge(stock, frames, stock.open(stock.eager, tell), tell, clock)
    trials = judge.first_looks(choices)
    for trial in _by_speed(trials):
        judge.look_at_all(trial)
    chosen = judge.fastest(trials)
    if request.is_open:
        _record(stock, chosen)
    return chosen


@dataclass(frozen=True)
class _Judge:
    """Tries candidates; the arguments are those of ``load``, and what all are compared with."""

    stock: Stock
    frames: np.ndarray
    reference: Engine
    tell: Tell
    clock: Callable[[], float]
    _expected: dict[tuple[int, ...], list[Perception]] = field(default_factory=dict)

    def first_looks(self, candidates: Sequence[Candidate]) -> list[Trial]:
        """Compare candidates with the reference on one frame, and time those that agree.

        In turn, call by call: a device that is cold, or busy for a while, is so for all of them.
        """
        trials = [Trial(candidate) for candidate in candidates]
        for trial in trials:
            self._attempt(trial, self._open)
        for _ in range(_FIRST_CALLS + _TIMED_CALLS):
            for trial in trials:
                if trial.engine:
                    self._attempt(trial, self._time)
        return trials

    def look_at_all(self, trial: Trial) -> None:
        """Compare what has agreed on one frame on all of them."""
        self._attempt(trial, self._compare)

    def fastest(self, trials: Sequence[Trial]) -> Engine:
        """The fastest engine of those that agree, with the account of all; others are closed."""
        by_account: dict[str, list[str]] = {}
        for trial in trials:
            by_account.setdefault(trial.account, []).append(str(trial.candidate))
        accounts = [f"{', '.join(names)}: {account}" for account, names in by_account.items()]
        engines = [trial.engine for trial in _by_speed(trials) if trial.engine is not None]
        if not engines:
            raise EngineError(
                f"no engine can be used ({'; '.join(accounts)}); "
                "build one with `python -m sosd_ros.build`, or set backend: torch, precision: fp32"
            )
        best, *losers = engines
        best.why = "\n".join(accounts)
        for loser in {self.reference, *losers} - {best}:
            loser.close()
        return best

    def _attempt(self, trial: Trial, step: Callable[[Trial], None]) -> None:
        """Go on with a trial, which ends if it fails."""
        try:
            step(trial)
        except Exception as error:  # of whatever library it runs on
            check_unbroken(self.stock.device)  # or all the others would seem to fail as well
            is_known = isinstance(error, EngineError)
            trial.refusal = (
                str(error) if is_known else f"{type(error).__name__}: {first_line(error)}"
            )
            trial.engine = None

    def _open(self, trial: Trial) -> None:
        if missing := trial.candidate.backend.missing():
            raise EngineError(missing)
        engine = self._opened(trial.candidate)
        frames = fitting(self.frames.reshape(-1, *self.frames.shape[-3:]), engine)
        if not engine.accepts(frames.shape[1:3]):
            size = input_size(frames.shape[1:3], engine.manifest.input_size)
            raise EngineError(f"not built for inputs of {size[0]}x{size[1]}")
        trial.agreed = self._agreement(engine, frames[:1])
        _require(trial.agreed.worst_suffices, str(trial.agreed))
        trial.engine, trial.frames = engine, frames
        if engine is not self.reference:
            engine.fallback = self.reference.backend

    def _time(self, trial: Trial) -> None:
        assert trial.engine is not None
        started = self.clock()
        trial.engine(trial.frames[:1], [trial.engine.manifest.focal_length], {"depth", "semantic"})
        trial.times.append(self.clock() - started)

    def _compare(self, trial: Trial) -> None:
        assert trial.engine is not None
        trial.agreed = self._agreement(trial.engine, trial.frames)
        _require(trial.agreed.suffices, trial.account)

    def _agreement(self, engine: Engine, frames: np.ndarray) -> Agreements:
        ours, theirs = self._answers(engine, frames), self._answers(self.reference, frames)
        return agreement_of(ours, theirs)

    def _answers(self, engine: Engine, frames: np.ndarray) -> list[Perception]:
        """Those of the reference, which all others are compared with, are kept."""
        if engine is not self.reference:
            return answers(engine, frames)
        if frames.shape not in self._expected:
            self._expected[frames.shape] = answers(engine, frames)
        return self._expected[frames.shape]

    def _opened(self, candidate: Candidate) -> Engine:
        if candidate == self.stock.eager:
            return self.reference
        return self.stock.open(candidate, self.tell)


def _require(suffices: bool, account: str) -> None:
    if not suffices:
        raise EngineError(f"refused: {account}; {agreement.REQUIRED}")


def _by_speed(trials: Sequence[Trial]) -> list[Trial]:
    """Those that agree, the fastest first."""
    return sorted((trial for trial in trials if trial.engine), key=lambda trial: trial.seconds)


def _key(stock: Stock) -> dict[str, Any]:
    """What the choice is kept by."""
    libraries = sorted({library for backend in BACKENDS for library in backend.libraries})
    # By other limits another engine might have been chosen.
    limits = [
        agreement.LEAST_MEAN_LABELS,
        agreement.LEAST_WORST_LABELS,
        agreement.MOST_DEPTH_DIFFERENCE,
    ]
    if stock.file.manifest.spread:
        limits.append(agreement.MOST_UNCERTAINTY_DIFFERENCE)
    return cache.key(
        stock.device, libraries, stock.file.sha256, backend=AUTO, precision=AUTO, limits=limits
    )


def _record(stock: Stock, chosen: Engine) -> None:
    record = {"backend": chosen.backend.name, "precision": chosen.precision}
    try:
        with cache.alone(stock.folder):
            cache.store(stock.folder, _key(stock), partial(_write, json.dumps(record)))
    except OSError as error:
        raise EngineError(
            f"the choice cannot be recorded in {stock.folder} ({error}); name another folder with "
            "--cache, and as the node's parameter engine_cache"
        ) from error


def _recorded(stock: Stock) -> Candidate | None:
    found = cache.find(stock.folder, _key(stock))
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        if found is not None:
            record = json.loads((found / "choice.json").read_text())
            kinds = {backend.name: backend for backend in BACKENDS}
            return Candidate(kinds[record["backend"]], record["precision"])
    return None


def _write(text: str, folder: Path) -> None:
    (folder / "choice.json").write_text(text)
