"""Which backend runs the network: checked against eager float32, and timed if there is a choice."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ..device import checked_device
from ..network import input_size
from ..weights import Weights
from . import cache
from .backend import Backend, Tell, built_files
from .compile_backend import CompileBackend
from .engine import Engine
from .onnx_backend import OnnxRuntimeBackend
from .openvino_backend import OpenVinoBackend
from .perception import EngineError, Perception
from .tensorrt_backend import TensorRtBackend
from .torch_backend import CudaGraphBackend, TorchBackend

BACKENDS: tuple[type[Backend], ...] = (
    TensorRtBackend,
    CudaGraphBackend,
    OpenVinoBackend,
    OnnxRuntimeBackend,
    CompileBackend,
    TorchBackend,
)
AUTO = "auto"
LEAST_EQUAL_LABELS = 0.99
MOST_DEPTH_DIFFERENCE = 0.01
# It is an estimate of an error: that it is off by a twentieth, nobody can tell.
MOST_UNCERTAINTY_DIFFERENCE = 0.05
REQUIRED = (
    f"at least {LEAST_EQUAL_LABELS:.0%} and under {MOST_DEPTH_DIFFERENCE:.0%}, of uncertainty "
    f"under {MOST_UNCERTAINTY_DIFFERENCE:.0%}"
)
# Of several images. Bfloat16 moves labels where two classes are nearly equally likely, mostly at
# the edges of things, and images differ in how many such pixels they have: of the sample frames
# 0.4 to 1.9 %, 1.1 % on average. The limits lie above that, and far below what faults do. No image
# may be far worse, as the mean would hide one that an engine fails on; depth is to be right in all.
LEAST_MEAN_LABELS = 0.985
LEAST_WORST_LABELS = 0.975
_REQUIRED_OF_ALL = (
    f"expected {LEAST_MEAN_LABELS:.1%} of labels on average and {LEAST_WORST_LABELS:.1%} "
    f"at worst, and depth within {MOST_DEPTH_DIFFERENCE:.0%} (median) in each image, its "
    f"uncertainty within {MOST_UNCERTAINTY_DIFFERENCE:.0%}"
)
_TRIAL_CALLS = 7
_NOT_BUILT = (
    "not built for this machine, these weights and versions; `python -m sosd_ros.build` does it"
)


class Candidate(NamedTuple):
    """A backend at one of its precisions."""

    backend: type[Backend]
    precision: str

    def __str__(self) -> str:
        return f"{self.backend.name} {self.precision}"


class Agreement(NamedTuple):
    """How far two engines' answers for one image, or one batch, agree.

    Attributes:
        labels: share of pixels with the same label; 1 where there are no labels.
        depth: median of the depth's relative difference; 0 where there is no depth.
        uncertainty: the same of its uncertainty.
    """

    labels: float
    depth: float
    uncertainty: float = 0.0

    @property
    def suffices(self) -> bool:
        return self.labels >= LEAST_EQUAL_LABELS and self.distances_suffice

    @property
    def distances_suffice(self) -> bool:
        """Whether depth and its uncertainty agree."""
        return self.depth < MOST_DEPTH_DIFFERENCE and self.uncertainty < MOST_UNCERTAINTY_DIFFERENCE

    def __str__(self) -> str:
        distances = f"depth differs by {self.depth:.2%}"
        if self.uncertainty:
            distances += f", its uncertainty by {self.uncertainty:.2%}"
        return f"{self.labels:.2%} of labels agree, {distances}"


class Agreements(NamedTuple):
    """How far two engines' answers for several images agree.

    Attributes:
        mean: over the images.
        worst: the least share of labels and the greatest difference of depth of any image.
        images: how many.
    """

    mean: Agreement
    worst: Agreement
    images: int

    @classmethod
    def of(cls, each: Sequence[Agreement]) -> Agreements:
        """All images' in one; there is at least one image."""
        labels, *distances = np.array(each).T
        mean = Agreement(float(labels.mean()), *(float(d.mean()) for d in distances))
        worst = Agreement(float(labels.min()), *(float(d.max()) for d in distances))
        return cls(mean, worst, len(each))

    @property
    def suffices(self) -> bool:
        return self.mean.labels >= LEAST_MEAN_LABELS and self.worst_suffices

    @property
    def worst_suffices(self) -> bool:
        """Whether no image is too far off; of few images, the mean says little."""
        return self.worst.labels >= LEAST_WORST_LABELS and self.worst.distances_suffice

    def __str__(self) -> str:
        if self.images == 1:
            return str(self.mean)
        return (
            f"{self.mean}; at worst of {self.images} images {self.worst.labels:.2%} and "
            f"{self.worst.depth:.2%}"
            + (f" and {self.worst.uncertainty:.2%}" if self.worst.uncertainty else "")
        )


class Trial(NamedTuple):
    """What came of a candidate: an engine that agrees, or the reason why there is none."""

    candidate: Candidate
    engine: Engine | None
    seconds: float
    account: str


def load(
    file: Weights,
    frames: np.ndarray,
    device: str = "cuda",
    depth_range: tuple[float, float] = (0.1, 10.0),
    backend: str = AUTO,
    precision: str = AUTO,
    folder: Path | None = None,
    tell: Tell = print,
    clock: Callable[[], float] = time.perf_counter,
) -> Engine:
    """An engine whose answers agree with those of eager float32.

    Where backend and precision leave a choice, it is the one that ``build`` has recorded, or else
    the fastest in a short trial. Nothing is built here: what needs it is passed over.

    What decides is the agreement on all ``frames``. So that a robot starts quickly, one is enough
    for what ``build`` has recorded, and for what is slower than another that agrees.

    Args:
        file: a verified weights file.
        frames: (..., H, W, 3) uint8 RGB, one or more ordinary images, to compare answers by; the
            first is timed.
        device: ``cuda``, ``cuda:1``, ..., or ``cpu``.
        depth_range: (least, most) metres.
        backend: the name of one of ``BACKENDS``, or ``auto``.
        precision: ``fp32``, ``bf16``, ``fp16``, or ``auto``.
        folder: the cache of built engines; the user's own if ``None``.
        tell: is told, in sentences, what the user should know.
        clock: seconds, for the trial.

    Raises:
        DeviceError: if the device is not there: a robot that was built around a GPU never falls
            back to a slow CPU unnoticed.
        EngineError: if nothing that was asked for is installed, built and in agreement.
        WeightsError: if tensors and manifest do not fit together.
    """
    place = checked_device(device)
    folder = cache.default_cache() if folder is None else folder
    choices = candidates(place, backend, precision)
    judge = _Judge(file, place, folder, frames, _eager(file, place, depth_range, tell), tell, clock)
    if [str(choice) for choice in choices] == ["torch fp32"]:
        judge.reference.why = "torch fp32: what all others are compared with"
        return judge.reference
    recorded = _recorded(file, place, folder) if backend == precision == AUTO else None
    trials = [judge.trial(recorded, again=True)] if recorded in choices else []
    if not any(trial.engine for trial in trials):
        to_beat = math.inf
        for choice in choices:
            if choice != recorded:
                trials.append(judge.trial(choice, to_beat=to_beat))
                to_beat = min([to_beat, *(trial.seconds for trial in trials[-1:] if trial.engine)])
    return _fastest(trials)


def build(
    file: Weights,
    frames: np.ndarray,
    device: str,
    backend: str = AUTO,
    precision: str = AUTO,
    sizes: Sequence[tuple[int, int]] = ((480, 640),),
    folder: Path | None = None,
    tell: Tell = print,
    clock: Callable[[], float] = time.perf_counter,
) -> Engine:
    """Build what can be built for a device, and record which engine is the fastest.

    Args:
        file, frames, device, backend, precision, folder, tell, clock: as for ``load``.
        sizes: (height, width) of the images that the engines are for.

    Returns:
        The engine that ``load`` will give from now on.

    Raises:
        DeviceError, EngineError: as ``load`` does.
    """
    place = checked_device(device)
    folder = cache.default_cache() if folder is None else folder
    inputs = sorted({input_size(size, file.manifest.input_size) for size in sizes})
    todo = [c for c in candidates(place, backend, precision) if c.backend.is_built]
    for number, choice in enumerate(todo, 1):
        if missing := choice.backend.missing():
            tell(f"[{number}/{len(todo)}] {choice}: skipped, {missing}")
            continue
        shapes = ", ".join(f"{height}x{width}" for height, width in inputs)
        tell(f"[{number}/{len(todo)}] {choice}: building for inputs of {shapes} ...")
        started = clock()
        try:
            ensure_built(choice, file, place, inputs, folder)
        except Exception as error:  # of a compiler or an exporter; the others may do
            tell(f"    failed with {type(error).__name__}: {_first_line(error)}")
        else:
            tell(f"    built in {clock() - started:.0f} s")
    judge = _Judge(file, place, folder, frames, _eager(file, place, (0.1, 10.0), tell), tell, clock)
    chosen = _fastest([judge.trial(c) for c in candidates(place, backend, precision)])
    if backend == precision == AUTO:
        record = {"backend": chosen.backend.name, "precision": chosen.precision}
        try:
            with cache.alone(folder):
                cache.store(folder, _choice_key(file, place), partial(_write, json.dumps(record)))
        except OSError as error:
            raise EngineError(
                f"the choice cannot be recorded in {folder} ({error}); name another folder with "
                "--cache, and as the node's parameter engine_cache"
            ) from error
    return chosen


def ensure_built(
    candidate: Candidate,
    file: Weights,
    device: torch.device,
    sizes: Iterable[tuple[int, int]],
    folder: Path,
) -> None:
    """Build a candidate for inputs of ``sizes``; what there is already is kept.

    Raises:
        Exception: of a compiler, an exporter or the file system.
    """
    kind, key = candidate.backend, key_of(candidate, file, device)
    with cache.alone(folder):
        there = cache.find(folder, key)
        missing = sorted(set(sizes) - (built_files(there).keys() if there else set()))

        def fill(partial_folder: Path) -> None:
            if there is not None:
                shutil.copytree(there, partial_folder, dirs_exist_ok=True)
            kind.build(file, device, candidate.precision, missing, partial_folder)

        if missing:
            cache.store(folder, key, fill)


def is_built(
    file: Weights,
    device: torch.device,
    backend: str,
    precision: str,
    image_sizes: Iterable[tuple[int, int]],
    folder: Path,
) -> bool:
    """Whether ``load`` finds all that images of these (height, width) need of one backend.

    Raises:
        EngineError: if it is not installed, or there is nothing of that name on such a device.
    """
    (candidate,) = candidates(device, backend, precision)
    if missing := candidate.backend.missing():
        raise EngineError(missing)
    there = cache.find(folder, key_of(candidate, file, device))
    needed = {input_size(size, file.manifest.input_size) for size in image_sizes}
    return there is not None and needed <= built_files(there).keys()


def candidates(device: torch.device, backend: str, precision: str) -> list[Candidate]:
    """What fits a request, fastest first as a rule.

    Raises:
        EngineError: if there is nothing of that name on such a device.
    """
    on_device = [
        Candidate(kind, offered)
        for kind in BACKENDS
        for offered in kind.precisions.get(device.type, ())
    ]
    fitting = [
        c
        for c in on_device
        if backend in (AUTO, c.backend.name) and precision in (AUTO, c.precision)
    ]
    if not fitting:
        raise EngineError(
            f"backend {backend!r} at precision {precision!r} does not exist on {device.type}; "
            f"choose auto, or one of {', '.join(map(str, on_device))}"
        )
    return fitting


def open_candidate(
    candidate: Candidate,
    file: Weights,
    device: torch.device,
    folder: Path,
    depth_range: tuple[float, float],
    tell: Tell,
) -> Engine:
    """A candidate's engine, unchecked.

    Raises:
        EngineError: if it is not in the cache ``folder`` and has to be.
        Exception: of the library that runs it.
    """
    kind, precision = candidate
    built = cache.find(folder, key_of(candidate, file, device)) if kind.is_built else None
    if kind.is_built and built is None:
        raise EngineError(_NOT_BUILT)
    backend = kind(file, device, precision, built)
    return Engine(backend, file.manifest, device, precision, depth_range, tell)


def answers(engine: Engine, frames: np.ndarray) -> list[Perception]:
    """What an engine answers each of (N, H, W, 3) uint8 RGB images."""
    return [
        engine(frame[None], [engine.manifest.focal_length], {"depth", "semantic", "uncertainty"})
        for frame in frames
    ]


def agreement(ours: Sequence[Perception], theirs: Sequence[Perception]) -> Agreements:
    """How far two engines' answers for the same images agree."""
    return Agreements.of([_agreement(*pair) for pair in zip(ours, theirs, strict=True)])


def _agreement(ours: Perception, theirs: Perception) -> Agreement:
    labels = 1.0
    if ours.labels is not None and theirs.labels is not None:
        labels = float((ours.labels == theirs.labels).mean())
    depth = _difference(ours.depth, theirs.depth)
    return Agreement(labels, depth, _difference(ours.uncertainty, theirs.uncertainty))


def _difference(ours: np.ndarray | None, theirs: np.ndarray | None) -> float:
    """Median of the relative difference of metres; 0 where there are none."""
    if ours is None or theirs is None:
        return 0.0
    both = np.isfinite(ours) & np.isfinite(theirs)
    difference = np.abs(ours[both] / theirs[both] - 1)
    outside = np.full(int((np.isfinite(ours) != np.isfinite(theirs)).sum()), np.inf)
    if not np.isfinite(theirs).any() and not outside.size:
        return 0.0  # both see nothing within the range
    return float(np.median(np.append(difference, outside))) if both.any() else math.inf


@dataclass(frozen=True)
class _Judge:
    """Tries candidates; the arguments are those of ``load``, and what all are compared with."""

    file: Weights
    device: torch.device
    folder: Path
    frames: np.ndarray
    reference: Engine
    tell: Tell
    clock: Callable[[], float]
    _expected: dict[tuple[int, ...], list[Perception]] = field(default_factory=dict)

    def trial(self, candidate: Candidate, again: bool = False, to_beat: float = math.inf) -> Trial:
        """Load a candidate, compare it with the reference and time it.

        Args:
            again: it has agreed on all frames before, and only what has gone wrong since is sought.
            to_beat: seconds of another that agrees; what takes longer need not be looked at whole.
        """
        if missing := candidate.backend.missing():
            return Trial(candidate, None, 0.0, missing)
        try:
            engine = self._opened(candidate)
            frames = _fitting(self.frames.reshape(-1, *self.frames.shape[-3:]), engine)
            if not engine.accepts(frames.shape[1:3]):
                size = input_size(frames.shape[1:3], self.file.manifest.input_size)
                raise EngineError(f"not built for inputs of {size[0]}x{size[1]}")
            agreed = self._agreement(engine, frames[:1])
            seconds = _seconds(engine, frames[0], self.clock)
            is_whole = not again and seconds < to_beat and agreed.worst_suffices
            if is_whole:
                agreed = self._agreement(engine, frames)
        except EngineError as error:
            return Trial(candidate, None, 0.0, str(error))
        except Exception as error:  # of whatever library it runs on
            return Trial(candidate, None, 0.0, f"{type(error).__name__}: {_first_line(error)}")
        account = f"{1000 * seconds:.1f} ms an image, {agreed}"
        if agreed.suffices if is_whole else agreed.worst_suffices:
            if engine is not self.reference:
                engine.fallback = self.reference.backend
            return Trial(candidate, engine, seconds, account)
        return Trial(candidate, None, seconds, f"refused: {account}; {_REQUIRED_OF_ALL}")

    def _agreement(self, engine: Engine, frames: np.ndarray) -> Agreements:
        return agreement(self._answers(engine, frames), self._answers(self.reference, frames))

    def _answers(self, engine: Engine, frames: np.ndarray) -> list[Perception]:
        """Those of the reference, which all others are compared with, are kept."""
        if engine is not self.reference:
            return answers(engine, frames)
        if frames.shape not in self._expected:
            self._expected[frames.shape] = answers(engine, frames)
        return self._expected[frames.shape]

    def _opened(self, candidate: Candidate) -> Engine:
        if str(candidate) == "torch fp32":
            return self.reference
        depth_range = self.reference.depth_range
        return open_candidate(
            candidate, self.file, self.device, self.folder, depth_range, self.tell
        )


def _fitting(frames: np.ndarray, engine: Engine) -> np.ndarray:
    """The frames, or some of pixels of them that have a size that the engine was built for."""
    if engine.accepts(frames.shape[1:3]):
        return frames
    height, width = engine.usual_size()
    rows = np.arange(height) * frames.shape[1] // height
    columns = np.arange(width) * frames.shape[2] // width
    return np.ascontiguousarray(frames[:, rows[:, None], columns])


def _fastest(trials: Sequence[Trial]) -> Engine:
    """The fastest engine of those that agree, with the account of all."""
    agreeing = [trial for trial in trials if trial.engine is not None]
    by_account: dict[str, list[str]] = {}
    for trial in trials:
        by_account.setdefault(trial.account, []).append(str(trial.candidate))
    accounts = [f"{', '.join(names)}: {account}" for account, names in by_account.items()]
    if not agreeing:
        raise EngineError(
            f"no engine can be used ({'; '.join(accounts)}); "
            "build one with `python -m sosd_ros.build`, or set backend: torch, precision: fp32"
        )
    best = min(agreeing, key=lambda trial: trial.seconds)
    assert best.engine is not None
    best.engine.why = "\n".join(accounts)
    return best.engine


def _seconds(engine: Engine, frame: np.ndarray, clock: Callable[[], float]) -> float:
    """The median time for an image."""
    times = []
    for _ in range(_TRIAL_CALLS + 2):
        started = clock()
        engine(frame[None], [engine.manifest.focal_length], {"depth", "semantic"})
        times.append(clock() - started)
    return float(np.median(times[2:]))


def _eager(
    file: Weights, device: torch.device, depth_range: tuple[float, float], tell: Tell
) -> Engine:
    """What all others are measured by."""
    backend = TorchBackend(file, device, "fp32")
    return Engine(backend, file.manifest, device, "fp32", depth_range, tell)


def key_of(candidate: Candidate, file: Weights, device: torch.device) -> dict[str, Any]:
    """What a candidate's built files are kept by."""
    return cache.key(
        device,
        candidate.backend.libraries,
        file.sha256,
        backend=candidate.backend.name,
        precision=candidate.precision,
    )


def _choice_key(file: Weights, device: torch.device) -> dict[str, Any]:
    libraries = sorted({library for backend in BACKENDS for library in backend.libraries})
    # By other limits another engine might have been chosen.
    limits = [LEAST_MEAN_LABELS, LEAST_WORST_LABELS, MOST_DEPTH_DIFFERENCE]
    if file.manifest.spread:
        limits.append(MOST_UNCERTAINTY_DIFFERENCE)
    return cache.key(device, libraries, file.sha256, backend=AUTO, precision=AUTO, limits=limits)


def _recorded(file: Weights, device: torch.device, folder: Path) -> Candidate | None:
    found = cache.find(folder, _choice_key(file, device))
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        if found is not None:
            record = json.loads((found / "choice.json").read_text())
            kinds = {backend.name: backend for backend in BACKENDS}
            return Candidate(kinds[record["backend"]], record["precision"])
    return None


def _write(text: str, folder: Path) -> None:
    (folder / "choice.json").write_text(text)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), "no reason given")
