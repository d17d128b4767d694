"""Every installed backend at every precision: image to answer, and the network alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

from .. import weights
from ..camera import USUAL_SIZE
from ..device import checked_device
from ..engine import Engine
from ..engine.agreement import Agreements, agreement_of, answers
from ..engine.answers import USUAL_RANGE
from ..engine.on_cpu import CpuProgram
from ..engine.stock import Candidate, Stock
from ..network import SOSDNet, input_size
from ..ros.malloc import keep_freed_memory
from ..share import sample_frames
from ..testbed.times import Times
from ..weights import Manifest, Weights
from . import memory
from .timing import in_turn

ANSWERS = frozenset({"depth", "semantic"})
FOCAL = 518.0  # pixels, of the Kinect that NYU Depth v2 was taken with


@dataclass(frozen=True)
class EngineResult:
    """One engine at one shape of batch.

    Attributes:
        name: backend and precision.
        shape: (N, H, W) of the images.
        input_size: (height, width) at which the network sees them.
        total: image to answer: uint8 RGB to metric depth and labels at the image's size.
        prepare, forward, finish: its stages; ``forward`` is the bare network, to stride 8.
            ``None`` on a GPU, where they are one.
        agreement: with eager float32, on all sample frames.
    """

    name: str
    shape: tuple[int, int, int]
    input_size: tuple[int, int]
    total: Times
    prepare: Times | None
    forward: Times | None
    finish: Times | None
    agreement: Agreements

    @property
    def overhead(self) -> float | None:
        """Image to answer over the bare network."""
        return self.total.median / self.forward.median if self.forward else None

    @property
    def frames_per_second(self) -> float:
        return 1000 * self.shape[0] / self.total.median

    def share_of_peak(self, work: int, rates: Mapping[str, float]) -> float:
        """FLOP/s over what matrix products reach at its precision.

        Args:
            work: FLOP of an image.
            rates: FLOP/s of matrix products by precision.
        """
        alone = self.forward or self.total
        return self.shape[0] * work / (alone.median / 1000) / rates[self.name.split()[1]]


@dataclass(frozen=True)
class Bench:
    """What is measured: weights on a device, with a cache of built engines."""

    file: Weights
    device: torch.device
    folder: Path
    tell: Callable[[str], None]

    @property
    def stock(self) -> Stock:
        """The engines that there are."""
        return Stock(self.file, self.device, self.folder)

    def at(self, size: tuple[int, int]) -> Bench:
        """The same with a network that sees images of a size at that size."""
        manifest = dataclasses.replace(self.file.manifest, input_size=size)
        return dataclasses.replace(self, file=dataclasses.replace(self.file, manifest=manifest))


def untrained(manifest: Manifest, backbone: str, size: tuple[int, int]) -> Weights:
    """ESOSD-Net on another backbone with random weights, where only their number counts.

    Args:
        manifest: of weights that it stands in for.
        backbone: of timm, such as the paper's ``xception65``.
        size: (height, width) at which it sees images.
    """
    manifest = dataclasses.replace(
        manifest, variant="esosd", backbone=backbone, input_size=size, taps=(8, 32), spread=False
    )
    torch.manual_seed(0)
    classes = len(manifest.labels.names)
    network = SOSDNet("esosd", backbone, classes)
    return Weights(
        manifest, network.state_dict(), f"untrained {backbone}, {classes} classes, seed 0"
    )


def frames(size: tuple[int, int]) -> np.ndarray:
    """The sample frames, resized to (12, height, width, 3) uint8 RGB."""
    resized = partial(cv2.resize, dsize=size[::-1], interpolation=cv2.INTER_AREA)
    return np.stack([resized(image) for image in sample_frames()])


def installed(bench: Bench, sizes: Iterable[tuple[int, int]]) -> list[Candidate]:
    """The candidates that run here, built for inputs of ``sizes`` where they must be."""
    usable, stock = [], bench.stock
    for candidate in stock.candidates():
        kind = candidate.backend
        if missing := kind.missing():
            bench.tell(f"{candidate}: left out, {missing}")
            continue
        if kind.suffix:
            bench.tell(f"{candidate}: building what is not built yet ...")
            try:
                stock.build(candidate, sizes)
            except Exception as error:
                bench.tell(f"{candidate}: left out, {type(error).__name__}: {error}")
                continue
        usable.append(candidate)
    return usable


def opened(bench: Bench, candidate: Candidate) -> Engine:
    """An engine of a candidate that has been built."""
    return bench.stock.open(candidate, bench.tell)


@torch.inference_mode()
def compare(
    bench: Bench, chosen: Iterable[Candidate], shape: tuple[int, int, int], rounds: int
) -> list[EngineResult]:
    """Engines for one shape of batch, all timed in turn."""
    samples = frames(shape[1:])
    images = np.repeat(samples[:1], shape[0], axis=0)
    focals = [FOCAL] * shape[0]
    size = input_size(shape[1:], bench.file.manifest.input_size)
    expected = answers(opened(bench, bench.stock.eager), samples)
    engines: dict[str, Engine] = {}
    subjects: dict[str, Callable[[], object]] = {}
    for candidate in chosen:
        engine, name = opened(bench, candidate), str(candidate)
        if not engine.backend.accepts(size):
            continue
        engines[name] = engine
        subjects[name] = partial(engine, images, focals, ANSWERS)
        program = engine.program(shape, ANSWERS)
        if isinstance(program, CpuProgram):
            inputs, factors = program.prepare(images), engine.factors(shape[1:], focals)
            heads = program.forward(inputs)
            subjects[f"{name} prepare"] = partial(program.prepare, images)
            subjects[f"{name} forward"] = partial(program.forward, inputs)
            subjects[f"{name} finish"] = partial(program.finish, *heads, factors, USUAL_RANGE)
    times = in_turn(subjects, rounds)
    return [
        EngineResult(
            name,
            shape,
            size,
            times[name],
            times.get(f"{name} prepare"),
            times.get(f"{name} forward"),
            times.get(f"{name} finish"),
            agreement_of(answers(engine, samples), expected),
        )
        for name, engine in engines.items()
    ]


class Memory(NamedTuple):
    """MiB of a process, resident and on its device."""

    resident: float
    device: float


def memory_of(
    path: Path, device: str, folder: Path, name: str, answers: Collection[str], at: Sequence[int]
) -> list[Memory]:
    """Memory of this process when an engine has answered so many frames, for each of ``at``."""
    keep_freed_memory()  # as the node does
    place = checked_device(device)
    before = _on_device(place)
    stock = Stock(weights.read(path), place, folder)
    [candidate] = (c for c in stock.candidates() if str(c) == name)
    engine = stock.open(candidate, tell=lambda sentence: None)
    images, found = frames(USUAL_SIZE)[:1], []
    for number in range(1, max(at) + 1):
        engine(images, [FOCAL], answers)
        if number in at:
            taken = _on_device(place) - before
            found.append(Memory(memory.status("VmRSS"), taken / 2**20))
    return found


def _on_device(device: torch.device) -> int:
    """Bytes of a GPU that are in use, by whatever library, and by other processes as well."""
    if device.type != "cuda":
        return 0
    free, total = torch.cuda.mem_get_info(device)
    return total - free
