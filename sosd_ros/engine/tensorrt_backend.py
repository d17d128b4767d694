"""TensorRT, where NVIDIA's package is installed."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch

from .answers import Answers
from .backend import Deployment, EngineError, Files
from .exchange import INPUT, write_onnx
from .onnx_backend import OnnxBackend
from .torch_backend import DTYPES

MAX_BATCH = 4  # of a plan; longer batches go through it in parts


class TensorRtBackend(OnnxBackend):
    """One plan an input size, in torch's memory and stream."""

    name = module = "tensorrt"
    precisions: ClassVar = {"cuda": ("fp16", "fp32")}
    suffix = ".plan"
    libraries = ("torch", "tensorrt")
    uses_graph = True

    @classmethod
    def build(cls, deployment: Deployment, size: tuple[int, int], path: Path) -> None:
        with tempfile.TemporaryDirectory() as folder, torch.cuda.device(deployment.device):
            onnx = Path(folder, "network.onnx")
            dtype = DTYPES[deployment.precision]
            write_onnx(deployment.weights, size, onnx, dtype=dtype)
            path.write_bytes(plan(onnx, size))

    def __init__(self, deployment: Deployment, files: Files) -> None:
        with torch.cuda.device(deployment.device):
            self._plans = {size: Plan(path.read_bytes()) for size, path in files.items()}

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        return list(self._plans)

    def __call__(self, inputs: torch.Tensor, tasks: Collection[str]) -> Answers:
        plan = self._plans[inputs.shape[2], inputs.shape[3]]
        parts = [plan(part) for part in inputs.split(MAX_BATCH)]
        tensors = [torch.cat(tensors) for tensors in zip(*parts, strict=True)]
        return Answers.named(plan.answers, tensors)


class Plan:
    """A plan at work: inputs (N, 3, h, w) on the GPU to ``answers`` in their order.

    Each length of batch has a context of its own, because what a CUDA graph has captured lasts no
    longer than its context keeps its shapes.

    Raises:
        EngineError: if the plan is of another GPU or version.
    """

    def __init__(self, plan: bytes) -> None:
        import tensorrt

        runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.WARNING))
        self._engine = runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise EngineError("TensorRT cannot read the plan; build it again on this machine")
        self._contexts: dict[int, Any] = {}
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        self.answers = [name for name in names if name != INPUT]

    def __call__(self, inputs: torch.Tensor) -> list[torch.Tensor]:
        context, inputs = self._context(inputs), inputs.contiguous()
        context.set_tensor_address(INPUT, inputs.data_ptr())
        answers = [inputs.new_empty(tuple(context.get_tensor_shape(n))) for n in self.answers]
        for name, tensor in zip(self.answers, answers, strict=True):
            context.set_tensor_address(name, tensor.data_ptr())
        if not context.execute_async_v3(torch.cuda.current_stream().cuda_stream):
            raise RuntimeError(f"TensorRT failed on inputs of {tuple(inputs.shape)}")
        return answers

    def _context(self, inputs: torch.Tensor) -> Any:
        """The context of a length of batch."""
        shape = tuple(inputs.shape)
        if len(inputs) not in self._contexts:
            context = self._engine.create_execution_context()
            if context is None or not context.set_input_shape(INPUT, shape):
                raise RuntimeError(f"TensorRT does not take inputs of {shape}")
            self._contexts[len(inputs)] = context
        return self._contexts[len(inputs)]


def plan(onnx: Path, size: tuple[int, int]) -> bytes:
    """Build TensorRT's plan of an ONNX file, for the GPU at hand; takes minutes.

    It computes in the types that the file has: all that TensorRT 11 knows, and an option of 10.
    """
    import tensorrt

    logger = tensorrt.Logger(tensorrt.Logger.WARNING)
    builder = tensorrt.Builder(logger)
    typed = getattr(tensorrt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if typed is None else 1 << int(typed))
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse(onnx.read_bytes()):
        reasons = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise EngineError(f"TensorRT cannot read {onnx}: {reasons}")
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    least, most = (1, 3, *size), (MAX_BATCH, 3, *size)
    profile.set_shape(INPUT, least, least, most)
    config.add_optimization_profile(profile)
    serialised = builder.build_serialized_network(network, config)
    if serialised is None:
        raise EngineError(f"TensorRT cannot build a plan of {onnx}; see its messages above")
    return bytes(serialised)
