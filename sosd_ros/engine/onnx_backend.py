"""ONNX Runtime, by its CPU or CUDA provider; and what all have in common that begin with ONNX."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from .answers import Answers
from .backend import Backend, Deployment, EngineError, Files
from .exchange import INPUT, write_onnx


class OnnxBackend(Backend):
    """Runs from one file an input size, which is ONNX, or made of it.

    Attributes:
        module: that has to be installed.
    """

    module: ClassVar[str]
    suffix = ".onnx"

    @classmethod
    def missing(cls) -> str:
        if importlib.util.find_spec(cls.module) is not None:
            return ""
        return f"{cls.module} is not installed; README says how, under Fast"

    @classmethod
    def build(cls, deployment: Deployment, size: tuple[int, int], path: Path) -> None:
        write_onnx(deployment.weights, size, path)


class OnnxRuntimeBackend(OnnxBackend):
    """By the providers of ONNX Runtime that a device has."""

    name = module = "onnxruntime"
    precisions: ClassVar = {"cuda": ("fp32",), "cpu": ("fp32",)}
    libraries = ("torch", "onnxruntime", "onnxruntime-gpu")

    def __init__(self, deployment: Deployment, files: Files) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = len(os.sched_getaffinity(0))
        options.log_severity_level = 3
        # Its threads would keep the cores busy for a while, which others need now.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        providers = [_provider(deployment.device)]
        self._sessions = {
            size: onnxruntime.InferenceSession(path, options, providers=providers)
            for size, path in files.items()
        }
        for session in self._sessions.values():
            _check_provider(session, *providers)

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        return list(self._sessions)

    def __call__(self, inputs: torch.Tensor, tasks: Collection[str]) -> Answers:
        session = self._sessions[(inputs.shape[2], inputs.shape[3])]
        outputs = session.get_outputs()
        names = [output.name for output in outputs]
        # Bound to memory of the device, nothing is copied but what the runtime itself moves.
        binding = session.io_binding()
        place = (inputs.device.type, inputs.device.index or 0)
        inputs = inputs.contiguous()
        binding.bind_input(INPUT, *place, np.float32, tuple(inputs.shape), inputs.data_ptr())
        if not inputs.is_cuda:
            for name in names:
                binding.bind_output(name, *place)
            session.run_with_iobinding(binding)
            answers = [torch.from_numpy(answer.numpy()) for answer in binding.get_outputs()]
            return Answers.named(names, answers)
        tensors = [inputs.new_empty((len(inputs), *output.shape[1:])) for output in outputs]
        for name, tensor in zip(names, tensors, strict=True):
            shape = tuple(tensor.shape)
            binding.bind_output(name, *place, np.float32, shape, tensor.data_ptr())
        torch.cuda.current_stream(inputs.device).synchronize()  # the session has one of its own
        session.run_with_iobinding(binding)
        return Answers.named(names, tensors)


def _provider(device: torch.device) -> tuple[str, dict[str, str]]:
    """ONNX Runtime's own; its TensorRT would build engines when the first image comes."""
    if device.type == "cpu":
        return "CPUExecutionProvider", {}
    return "CUDAExecutionProvider", {"device_id": str(device.index or 0)}


def _check_provider(session: Any, provider: tuple[str, dict[str, str]]) -> None:
    """ONNX Runtime takes its CPU without a word where a provider cannot be used.

    Raises:
        EngineError: if it has.
    """
    if provider[0] not in session.get_providers():
        raise EngineError(
            f"this onnxruntime has no {provider[0]} that works here; for a GPU, install "
            "onnxruntime-gpu for its CUDA in place of onnxruntime"
        )
