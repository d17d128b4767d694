"""What there is to choose from: backends at their precisions, and what is built of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..network import input_size
from ..weights import Weights
from . import cache
from .backend import Backend, Deployment, EngineError, Files, Tell
from .compile_backend import CompileBackend
from .engine import Engine
from .onnx_backend import OnnxRuntimeBackend
from .openvino_backend import OpenVinoBackend
from .tensorrt_backend import TensorRtBackend
from .torch_backend import DTYPES, CudaGraphBackend, TorchBackend

BACKENDS: tuple[type[Backend], ...] = (
    TensorRtBackend,
    CudaGraphBackend,
    OpenVinoBackend,
    OnnxRuntimeBackend,
    CompileBackend,
    TorchBackend,
)
PRECISIONS = tuple(DTYPES)
AUTO = "auto"
_NOT_BUILT = (
    "not built for this machine, these weights and versions; `python -m sosd_ros.build` does it"
)


class Candidate(NamedTuple):
    """A backend at one of its precisions."""

    backend: type[Backend]
    precision: str

    def __str__(self) -> str:
        return f"{self.backend.name} {self.precision}"


@dataclass(frozen=True)
class Request:
    """Which engine is wanted.

    Attributes:
        backend: the name of one of ``BACKENDS``, or ``auto``.
        precision: one of ``PRECISIONS``, or ``auto``.
        folder: the cache of built engines; the user's own if ``None``.
    """

    backend: str = AUTO
    precision: str = AUTO
    folder: Path | None = None

    @property
    def is_open(self) -> bool:
        """Whether it leaves backend and precision to be chosen."""
        return self.backend == self.precision == AUTO


ANY = Request()


class Stock:
    """The engines of a weights file on a device: those there may be, and those that are built.

    Args:
        file: a verified weights file.
        device: where they run.
        folder: the cache of built engines; the user's own if ``None``.
    """

    def __init__(self, file: Weights, device: torch.device, folder: Path | None = None) -> None:
        self.file, self.device = file, device
        self.folder = cache.default_cache() if folder is None else folder

    def candidates(self, request: Request = ANY) -> list[Candidate]:
        """What fits a request, fastest first as a rule.

        Raises:
            EngineError: if there is nothing of that name on such a device.
        """
        on_device = [
            Candidate(kind, offered)
            for kind in BACKENDS
            for offered in kind.precisions.get(self.device.type, ())
        ]
        fitting = [
            c
            for c in on_device
            if request.backend in (AUTO, c.backend.name)
            and request.precision in (AUTO, c.precision)
        ]
        if not fitting:
            raise EngineError(
                f"backend {request.backend!r} at precision {request.precision!r} does not exist on "
                f"{self.device.type}; choose auto, or one of {', '.join(map(str, on_device))}"
            )
        return fitting

    @property
    def eager(self) -> Candidate:
        """What all others are compared with."""
        return self.candidates(Request("torch", "fp32"))[0]

    def inputs(self, image_sizes: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        """The (height, width) at which the network sees images of these, each of them once."""
        trained = self.file.manifest.input_size
        return sorted({input_size(size, trained) for size in image_sizes})

    def files(self, candidate: Candidate) -> Files:
        """What is built of a candidate, by (height, width) of the inputs."""
        folder = cache.find(self.folder, self.key(candidate))
        return cache.built_files(folder, candidate.backend.suffix) if folder else {}

    def build(self, candidate: Candidate, sizes: Iterable[tuple[int, int]]) -> None:
        """Build a candidate for inputs of ``sizes``; what there is already is kept.

        Raises:
            Exception: of a compiler, an exporter or the file system.
        """
        kind, key = candidate.backend, self.key(candidate)
        deployment = Deployment(self.file, self.device, candidate.precision)
        with cache.alone(self.folder):
            missing = sorted(set(sizes) - self.files(candidate).keys())

            def fill(folder: Path) -> None:
                if there := cache.find(self.folder, key):
                    shutil.copytree(there, folder, dirs_exist_ok=True)
                for size in missing:
                    kind.build(deployment, size, cache.built_file(folder, size, kind.suffix))

            if missing:
                cache.store(self.folder, key, fill)

    def open(self, candidate: Candidate, tell: Tell) -> Engine:
        """A candidate's engine, unchecked.

        Raises:
            EngineError: if it has to be built and is not.
            Exception: of the library that runs it.
        """
        kind, precision = candidate
        files = self.files(candidate) if kind.suffix else {}
        if kind.suffix and not files:
            raise EngineError(_NOT_BUILT)
        backend = kind(Deployment(self.file, self.device, precision), files)
        return Engine(backend, self.file.manifest, self.device, precision, tell)

    def key(self, candidate: Candidate) -> dict[str, Any]:
        """What a candidate's built files are kept by."""
        return cache.key(
            self.device,
            candidate.backend.libraries,
            self.file.sha256,
            backend=candidate.backend.name,
            precision=candidate.precision,
        )


def is_built(
    file: Weights,
    device: torch.device,
    request: Request,
    image_sizes: Iterable[tuple[int, int]],
) -> bool:
    """Whether ``load`` finds all that images of these (height, width) need of one backend.

    Raises:
        EngineError: if it is not installed, or there is nothing of that name on such a device.
    """
    stock = Stock(file, device, request.folder)
    (candidate,) = stock.candidates(request)
    if missing := candidate.backend.missing():
        raise EngineError(missing)
    return set(stock.inputs(image_sizes)) <= stock.files(candidate).keys()
