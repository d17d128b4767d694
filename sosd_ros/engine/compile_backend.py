"""The network as a graph of torch's operations: as it is, and compiled ahead of time."""

from __future__ import annotations

import contextlib
import inspect
import shutil
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch

from .answers import Answers, answer_names
from .backend import Backend, Deployment, EngineError, Files
from .exchange import exported_program
from .torch_backend import DTYPES

Program = Callable[[torch.Tensor], Sequence[torch.Tensor]]


class ProgramBackend(Backend):
    """Runs the graph that ``torch.export`` writes, for other runtimes; no faster than eager torch.

    Attributes:
        load: what runs a file.
    """

    name = "torch.export"
    precisions: ClassVar = {"cpu": ("fp32",)}
    suffix = ".pt2"

    def __init__(self, deployment: Deployment, files: Files) -> None:
        self._names = answer_names(deployment.weights.manifest)
        device = deployment.device
        self._programs = {size: self.load(path, device) for size, path in files.items()}

    @staticmethod
    def load(path: Path, device: torch.device) -> Program:
        return torch.export.load(path).module()

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        return list(self._programs)

    def __call__(self, inputs: torch.Tensor, tasks: Collection[str]) -> Answers:
        program = self._programs[inputs.shape[2], inputs.shape[3]]
        return Answers.named(self._names, program(inputs.contiguous()))


def _can_do_without_threads() -> bool:
    """Whether this torch can load code without its synchronisation, which no graph can capture."""
    load = getattr(torch._inductor, "aoti_load_package", None)
    return load is not None and "run_single_threaded" in inspect.signature(load).parameters


class CompileBackend(ProgramBackend):
    """Inductor's code for it, one package an input size; loading it compiles nothing.

    Inductor takes longer to import than torch itself, and is so when it is needed.
    """

    name = "compile"
    precisions: ClassVar = {"cuda": ("fp16", "bf16", "fp32"), "cpu": ("bf16", "fp32")}

    def __init__(self, deployment: Deployment, files: Files) -> None:
        super().__init__(deployment, files)
        self.uses_graph = _can_do_without_threads()

    @classmethod
    def missing(cls) -> str:
        if tuple(map(int, torch.__version__.split(".")[:2])) < (2, 6):
            return f"torch {torch.__version__} cannot compile ahead of time; 2.6 and newer can"
        return ""

    @classmethod
    def build(cls, deployment: Deployment, size: tuple[int, int], path: Path) -> None:
        if shutil.which("g++") is None:
            raise EngineError("g++ is not installed; apt install g++")
        dtype, device = DTYPES[deployment.precision], deployment.device
        if device.type == "cuda":
            _check_toolkit()
        with torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext():
            program = exported_program(deployment.weights, size, device, dtype)
            torch._inductor.aoti_compile_and_package(
                program, package_path=str(path), inductor_configs={"freezing": True}
            )

    @staticmethod
    def load(path: Path, device: torch.device) -> Program:
        options: dict[str, Any] = {}
        if device.index:  # without it, what the package holds would lie on the first GPU
            options["device_index"] = device.index
        if device.type == "cuda" and _can_do_without_threads():
            options["run_single_threaded"] = True
        return torch._inductor.aoti_load_package(str(path), **options)


def _check_toolkit() -> None:
    """Inductor's wrapper of its kernels is compiled with CUDA's headers.

    Raises:
        EngineError: if they are not found.
    """
    from torch.utils import cpp_extension  # warns where there is no GPU

    if cpp_extension.CUDA_HOME is None:
        raise EngineError(
            "CUDA's toolkit is not found; install it, or name its folder in CUDA_HOME"
        )
