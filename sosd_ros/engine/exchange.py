"""The network in forms that other runtimes read."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..weights import Weights
from .answers import answer_names
from .inference import inference_network, rounded

INPUT = "images"  # (batch, 3, height, width) float32, normalised
_CPU = torch.device("cpu")


class Exported(nn.Module):
    """The network of a weights file as others see it: images in, a tuple of its answers out.

    Args:
        weights: a verified weights file.
        dtype, depthwise: as of ``inference_network``; images and answers are float32.
    """

    def __init__(
        self,
        weights: Weights,
        dtype: torch.dtype = torch.float32,
        depthwise: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.network = inference_network(weights, dtype, depthwise)
        if dtype == torch.float32:
            return
        for convolution in rounded(self.network):
            # Casts by name: those that autocast makes are lost on the way to the compiler.
            convolution.register_forward_pre_hook(lambda _, inputs: (inputs[0].to(dtype),))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(N, 3, h, w) float32 to what ``Answers`` has, in that order."""
        output = self.network(images, size=self.network.answer_size(images))
        return tuple(a for a in (output.depth, output.logits, output.spread) if a is not None)


def write_onnx(
    weights: Weights,
    size: tuple[int, int],
    path: Path,
    dynamic_size: bool = False,
    dtype: torch.dtype = torch.float32,
    depthwise: torch.dtype | None = None,
) -> None:
    """Write the network as ONNX, for batches of any length.

    Args:
        weights: a verified weights file.
        size: (height, width) of the inputs.
        path: the file to write.
        dynamic_size: whether inputs may be of any multiple of 32; runtimes are slower then.
        dtype: of convolutions, float32 or float16; images and answers are float32.
        depthwise: as of ``inference_network``.
    """
    path.write_bytes(_as_onnx(weights, size, dynamic_size, dtype, depthwise))


# Several backends and precisions are built from the same graph, which takes seconds to make.
@lru_cache(maxsize=4)
def _as_onnx(
    weights: Weights,
    size: tuple[int, int],
    dynamic_size: bool,
    dtype: torch.dtype,
    depthwise: torch.dtype | None,
) -> bytes:
    network = Exported(weights, dtype, depthwise).eval()
    example = torch.zeros(2, 3, *size)  # a batch of one would make torch think that it always is
    names = answer_names(weights.manifest)
    axes: dict[int, str] = {0: "batch"}
    options: dict[str, Any] = {
        "dynamo": True,
        "external_data": False,
        "dynamic_shapes": {INPUT: {axis: torch.export.Dim(name) for axis, name in axes.items()}},
    }
    if dynamic_size:
        # The newer exporter takes minutes to prove that multiples of 32 stay aligned.
        axes |= {2: "height", 3: "width"}
        answers = {name: {0: "batch"} for name in names}
        options = {"dynamo": False, "opset_version": 17, "dynamic_axes": {INPUT: axes} | answers}
    with _quietly(), tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.onnx")
        torch.onnx.export(
            network, (example,), path, input_names=[INPUT], output_names=names, **options
        )
        return path.read_bytes()


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without the exporter's own account of its steps."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


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
    network = Exported(weights, dtype).eval().to(device).to(memory_format=torch.channels_last)
    example = torch.zeros(2, 3, *size, device=device)
    axes: dict[int, str] = {0: "batch"}
    if dynamic_size:
        axes |= {2: "height", 3: "width"}
    shapes = (dict.fromkeys(axes, torch.export.Dim.AUTO),)
    return torch.export.export(network, (example,), dynamic_shapes=shapes)
