"""OpenVINO, on Intel's and AMD's CPUs."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch

from .answers import Answers
from .backend import Deployment, Files
from .exchange import write_onnx
from .onnx_backend import OnnxBackend

_PRECISIONS = {"fp32": "f32", "bf16": "bf16"}


def compiler_options(precision: str) -> dict[str, Any]:
    """How OpenVINO compiles for one image at a time, at a precision of ``OpenVinoBackend``."""
    return {
        "INFERENCE_PRECISION_HINT": _PRECISIONS[precision],
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,  # other threads need these cores in between
        "INFERENCE_NUM_THREADS": len(os.sched_getaffinity(0)),
    }


class OpenVinoBackend(OnnxBackend):
    """Compiles a model when it is loaded, and for each length of batch.

    Models of its own form, ``.xml``, may stand in the place of ONNX files.
    """

    name = module = "openvino"
    precisions: ClassVar = {"cpu": ("bf16", "fp32")}
    libraries = ("torch", "openvino")

    @classmethod
    def build(cls, deployment: Deployment, size: tuple[int, int], path: Path) -> None:
        # OpenVINO itself would round to the nearest.
        depthwise = torch.bfloat16 if deployment.precision == "bf16" else None
        write_onnx(deployment.weights, size, path, depthwise=depthwise)

    def __init__(self, deployment: Deployment, files: Files) -> None:
        import openvino

        self._core, self._tensor = openvino.Core(), openvino.Tensor
        self._options = compiler_options(deployment.precision)
        self._files = files
        shapes = [(1, 3, height, width) for height, width in self._files]
        self._requests = {shape: self._request(shape) for shape in shapes}

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        return list(self._files)

    def __call__(self, inputs: torch.Tensor, tasks: Collection[str]) -> Answers:
        batch, channels, height, width = inputs.shape
        shape = (batch, channels, height, width)
        if shape not in self._requests:
            self._requests[shape] = self._request(shape)
        request, names = self._requests[shape]
        inputs = inputs.contiguous()
        request.set_input_tensor(self._tensor(inputs.numpy(), shared_memory=True))
        results = request.infer(share_outputs=True)
        return Answers.named(names, [torch.from_numpy(results[i]) for i in range(len(names))])

    def _request(self, shape: tuple[int, int, int, int]) -> tuple[Any, list[str]]:
        """What answers inputs of one shape, and its answers: fixed shapes are a fifth faster."""
        model = self._core.read_model(self._files[shape[2], shape[3]])
        model.reshape(list(shape))
        compiled = self._core.compile_model(model, "CPU", self._options)
        return compiled.create_infer_request(), [out.get_any_name() for out in compiled.outputs]
