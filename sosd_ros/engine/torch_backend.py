"""The network in torch, operation by operation; on CUDA also as one graph."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import nullcontext
from typing import ClassVar

import torch

from ..device import cudnn_with
from .answers import Answers
from .backend import Backend, Deployment, Files
from .inference import inference_network

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchBackend(Backend):
    """Eager torch. In float32 this is what all others are measured by."""

    name = "torch"
    precisions: ClassVar = {"cuda": ("fp16", "bf16", "fp32"), "cpu": ("bf16", "fp32")}

    def __init__(self, deployment: Deployment, files: Files) -> None:
        self.dtype = DTYPES[deployment.precision]
        network = inference_network(deployment.weights, self.dtype).to(deployment.device)
        self.network = network.to(memory_format=torch.channels_last)

    def __call__(self, inputs: torch.Tensor, tasks: Collection[str]) -> Answers:
        size = self.network.answer_size(inputs)
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        with (
            torch.autocast(inputs.device.type, self.dtype, self.dtype != torch.float32),
            # Float32 is what it says: TF32, cuDNN's default, has the ten bits of float16.
            cudnn_with("allow_tf32", False) if inputs.is_cuda else nullcontext(),
        ):
            output = self.network(inputs, tasks=list(tasks), size=size)
        return Answers(output.depth, output.logits, output.spread)


class CudaGraphBackend(TorchBackend):
    """The same, captured once with all work around it, and replayed without Python."""

    name = "cuda_graph"
    precisions: ClassVar = {"cuda": ("fp16", "bf16", "fp32")}
    uses_graph = True
