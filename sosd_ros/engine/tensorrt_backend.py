"""TensorRT, where NVIDIA's package is installed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import ClassVar

import torch

from ..weights import Weights
from .backend import Answers, built_file, built_files
from .exchange import INPUT, answers_of
from .onnx_backend import OnnxBackend
from .perception import EngineError

MAX_BATCH = 4


class TensorRtBackend(OnnxBackend):
    """One plan an input size, for batches of up to ``MAX_BATCH``, in torch's memory and stream."""

    name = module = "tensorrt"
    precisions: ClassVar = {"cuda": ("fp16", "fp32")}
    libraries = ("torch", "tensorrt")
    uses_graph = True

    @classmethod
    def build(
        cls,
        weights: Weights,
        device: torch.device,
        precision: str,
        sizes: Sequence[tuple[int, int]],
        folder: Path,
    ) -> None:
        super().build(weights, device, precision, sizes, folder)
        with torch.cuda.device(device):
            for size in sizes:
                onnx = built_file(folder, size, ".onnx")
                built_file(folder, size, ".plan").write_bytes(plan(onnx, size, precision))

    def __init__(
        self, weights: Weights, device: torch.device, precision: str, folder: Path | None = None
    ) -> None:
        assert folder is not None
        with torch.cuda.device(device):
            self._plans = {
                size: Plan(path.read_bytes()) for size, path in built_files(folder, ".plan").items()
            }

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        return list(self._plans)

    def __call__(self, inputs: torch.Tensor, tasks: Collection[str]) -> Answers:
        answers = self._plans[inputs.shape[2], inputs.shape[3]](inputs)
        return answers_of(list(answers), list(answers.values()))


class Plan:
    """A plan at work: inputs (N, 3, h, w) on the GPU to answers by name, in torch's stream.

    Raises:
        EngineError: if the plan is of another GPU or version.
    """

    def __init__(self, plan: bytes) -> None:
        import tensorrt

        runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.WARNING))
        self._engine = runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise EngineError("TensorRT cannot read the plan; build it again on this machine")
        self._context = self._engine.create_execution_context()
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        self._answers = [name for name in names if name != INPUT]

    def __call__(self, inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        context, inputs = self._context, inputs.contiguous()
        context.set_input_shape(INPUT, tuple(inputs.shape))
        context.set_tensor_address(INPUT, inputs.data_ptr())
        answers = {}
        for name in self._answers:
            answers[name] = inputs.new_empty(tuple(context.get_tensor_shape(name)))
            context.set_tensor_address(name, answers[name].data_ptr())
        context.execute_async_v3(torch.cuda.current_stream().cuda_stream)
        return answers


def plan(onnx: Path, size: tuple[int, int], precision: str) -> bytes:
    """Build TensorRT's plan of an ONNX file, for the GPU at hand; takes minutes."""
    import tensorrt

    logger = tensorrt.Logger(tensorrt.Logger.WARNING)
    builder = tensorrt.Builder(logger)
    network = builder.create_network(0)
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse(onnx.read_bytes()):
        reasons = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise EngineError(f"TensorRT cannot read {onnx}: {reasons}")
    config = builder.create_builder_config()
    if precision == "fp16":
        config.set_flag(tensorrt.BuilderFlag.FP16)
    profile = builder.create_optimization_profile()
    least, most = (1, 3, *size), (MAX_BATCH, 3, *size)
    profile.set_shape(INPUT, least, least, most)
    config.add_optimization_profile(profile)
    serialised = builder.build_serialized_network(network, config)
    if serialised is None:
        raise EngineError(f"TensorRT cannot build a plan of {onnx}; see its messages above")
    return bytes(serialised)
