"""Inductor's code for the network, compiled ahead of time."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import ClassVar

import torch

from ..weights import Weights
from .backend import Answers, Backend, built_file, built_files
from .exchange import Exported, answer_names, answers_of
from .perception import EngineError
from .torch_backend import DTYPES, rounded

_CPU = torch.device("cpu")


class CompileBackend(Backend):
    """One package of compiled code an input size; loading it compiles nothing."""

    name = "compile"
    precisions: ClassVar = {"cuda": ("fp16", "bf16", "fp32"), "cpu": ("bf16", "fp32")}
    is_built = True

    @classmethod
    def missing(cls) -> str:
        if not hasattr(torch._inductor, "aoti_compile_and_package"):
            return f"torch {torch.__version__} cannot compile ahead of time; 2.6 and newer can"
        return ""

    @classmethod
    def build(
        cls,
        weights: Weights,
        device: torch.device,
        precision: str,
        sizes: Sequence[tuple[int, int]],
        folder: Path,
    ) -> None:
        if shutil.which("g++") is None:
            raise EngineError("g++ is not installed; apt install g++")
        for size in sizes:
            package = built_file(folder, size, ".pt2")
            program = exported_program(weights, size, device, DTYPES[precision])
            torch._inductor.aoti_compile_and_package(
                program, package_path=str(package), inductor_configs={"freezing": True}
            )

    def __init__(
        self, weights: Weights, device: torch.device, precision: str, folder: Path | None = None
    ) -> None:
        assert folder is not None
        self._names = answer_names(weights.manifest)
        self._programs = {
            size: torch._inductor.aoti_load_package(str(path))
            for size, path in built_files(folder, ".pt2").items()
        }

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        return list(self._programs)

    def __call__(self, inputs: torch.Tensor, tasks: Collection[str]) -> Answers:
        program = self._programs[inputs.shape[2], inputs.shape[3]]
        return answers_of(self._names, program(inputs.contiguous()))


def exported_program(
    weights: Weights,
    size: tuple[int, int],
    device: torch.device = _CPU,
    dtype: torch.dtype = torch.float32,
    dynamic_size: bool = False,
) -> torch.export.ExportedProgram:
    """The network as a graph of torch's operations, for batches of any length.

    Args:
        weights: a verified weights file.
        size: (height, width) of the inputs.
        device: where the graph is to run.
        dtype: of convolutions; answers are float32.
        dynamic_size: whether inputs may be of any multiple of 32.
    """
    network = Exported(weights).eval().to(device).to(memory_format=torch.channels_last)
    if dtype != torch.float32:
        for convolution in rounded(network):
            convolution.to(dtype)
            # Casts by name: those that autocast makes are lost on the way to the compiler.
            convolution.register_forward_pre_hook(lambda _, inputs: (inputs[0].to(dtype),))
    example = torch.zeros(2, 3, *size, device=device)
    axes: dict[int, str] = {0: "batch"}
    if dynamic_size:
        axes |= {2: "height", 3: "width"}
    shapes = (dict.fromkeys(axes, torch.export.Dim.AUTO),)
    return torch.export.export(network, (example,), dynamic_shapes=shapes)
