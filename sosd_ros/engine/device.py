"""The work around the network on a GPU: one copy there, one back, nothing else from Python."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
import torch

from ..network import input_size, prepare, upsample
from ..weights import Manifest
from .backend import Backend, Tell
from .host import Range
from .perception import TASK_OF, Perception
from .upsampling import classify

_ALIGNMENT = 256  # bytes, of each part of a buffer
_DTYPES = {
    "depth": torch.float32,
    "semantic": torch.uint8,
    "confidence": torch.uint8,
    "uncertainty": torch.float32,
}


class DeviceProgram:
    """Answers batches of one shape.

    Images and numbers go to the device as one buffer, and all answers come back as another; both
    lie in pinned memory, so that the copies are asynchronous. Works on the CPU as well, if slower
    than ``HostProgram``.

    Args:
        backend: runs the network; where it says so, all work is captured as one CUDA graph.
        manifest: of its weights.
        shape: (N, H, W) of the images.
        answers: of ``TASK_OF``.
        device: on which the backend runs.
        tell: is told why there is no graph, if it cannot be captured.
    """

    def __init__(
        self,
        backend: Backend,
        manifest: Manifest,
        shape: tuple[int, int, int],
        answers: Collection[str],
        device: torch.device,
        tell: Tell,
    ) -> None:
        self._backend, self._manifest, self._shape = backend, manifest, shape
        self._names = [name for name in _DTYPES if name in answers]
        self._tasks = {TASK_OF[name] for name in self._names}
        self._mean = torch.tensor(manifest.mean, device=device)
        self._std = torch.tensor(manifest.std, device=device)
        self._network_size = input_size(shape[1:], manifest.input_size)
        count = shape[0] * shape[1] * shape[2]

        pinned = device.type == "cuda"
        inputs = [("numbers", 4 * (shape[0] + len(Range._fields))), ("images", 3 * count)]
        self._input_parts, size = _parts(inputs)
        self._staging = torch.zeros(size, dtype=torch.uint8, pin_memory=pinned)
        self._inputs = torch.zeros(size, dtype=torch.uint8, device=device)
        outputs = [(name, count * _DTYPES[name].itemsize) for name in self._names]
        self._output_parts, size = _parts(outputs)
        self._outputs = torch.zeros(size, dtype=torch.uint8, device=device)

        self._stream = torch.cuda.Stream(device) if pinned else None
        self._graph: torch.cuda.CUDAGraph | None = None
        if self._stream is not None:  # the buffers are filled on another one
            self._stream.wait_stream(torch.cuda.current_stream(device))
        if backend.uses_graph and pinned:
            self._capture(tell)

    def __call__(
        self, images: np.ndarray, factors: Sequence[float], depth_range: Range
    ) -> Perception:
        """As ``HostProgram`` does."""
        numbers = self._staging[self._input_parts["numbers"]].view(torch.float32)
        numbers.copy_(torch.tensor([*factors, *depth_range]))
        staged = self._staging[self._input_parts["images"]].view(*self._shape, 3)
        np.copyto(staged.numpy(), images)
        with torch.cuda.stream(self._stream):  # nothing without a stream
            self._inputs.copy_(self._staging, non_blocking=True)
            if self._graph is not None:
                self._graph.replay()
            else:
                self._run()
            pinned = self._stream is not None
            answers = torch.empty(self._outputs.shape, dtype=torch.uint8, pin_memory=pinned)
            answers.copy_(self._outputs, non_blocking=True)
        if self._stream is not None:
            self._stream.synchronize()
        arrays = {
            name: answers[self._output_parts[name]].view(_DTYPES[name]).view(*self._shape)
            for name in self._names
        }
        return Perception(*(arrays[name].numpy() if name in arrays else None for name in _DTYPES))

    def _run(self) -> None:
        """From the device's input buffer to its output buffer."""
        pixels = self._inputs[self._input_parts["images"]].view(*self._shape, 3)
        numbers = self._inputs[self._input_parts["numbers"]].view(torch.float32)
        inputs = prepare(pixels, self._network_size, self._mean, self._std)
        depth, logits, spread = self._backend(inputs, self._tasks)
        if depth is not None and {"depth", "uncertainty"} & set(self._names):
            full = upsample(depth[:, None], self._shape[1:])[:, 0]
            metres = to_metres(full, numbers[:-1], self._manifest.depth.kind == "disparity")
            if spread is not None and "uncertainty" in self._names:
                full = upsample(spread[:, None], self._shape[1:])[:, 0]
                metres, uncertainty = to_uncertainty(full, metres, numbers[-1])
                self._write("uncertainty", uncertainty)
            if "depth" in self._names:
                self._write("depth", metres)
        if logits is not None and {"semantic", "confidence"} & set(self._names):
            wanted = "confidence" in self._names
            labels, probability = classify(logits, self._shape[1:], wanted)
            if "semantic" in self._names:
                self._write("semantic", labels)
            if probability is not None:
                self._write("confidence", (255 * probability).round())

    def _capture(self, tell: Tell) -> None:
        """Capture ``_run``; without a graph it is called each time."""
        assert self._stream is not None
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.stream(self._stream):
                for _ in range(3):  # libraries choose their algorithms before
                    self._run()
            self._stream.synchronize()
            with torch.cuda.graph(graph, stream=self._stream):
                self._run()
        except Exception as error:
            tell(f"no CUDA graph, as capturing it failed with {type(error).__name__}: {error}")
            return
        self._graph = graph

    def _write(self, name: str, values: torch.Tensor) -> None:
        part = self._outputs[self._output_parts[name]]
        part.view(_DTYPES[name]).view(*self._shape).copy_(values)


def to_metres(answer: torch.Tensor, numbers: torch.Tensor, is_disparity: bool) -> torch.Tensor:
    """Metric depth of the network's full-size answer.

    Args:
        answer: (N, H, W) float32.
        numbers: (N + 2,) float32: metres for an answer of 1 by image, and the range.
        is_disparity: whether metres are these over the answer, and not times it.
    """
    factors, least, most = numbers[:-2, None, None], numbers[-2], numbers[-1]
    metres = factors / answer.clamp(min=0) if is_disparity else factors * answer
    metres = torch.where(metres > most, torch.inf, metres)
    return torch.where(metres >= least, metres, torch.nan)


def to_uncertainty(
    spread: torch.Tensor, metres: torch.Tensor, most: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Metric depth without what is too uncertain, and one standard deviation of it in metres.

    To first order, a change of log depth is the same share of depth; sqrt(2) times its scale is
    the standard deviation of a Laplace distribution.

    Args:
        spread: (N, H, W) float32, the scale of a Laplace distribution over log depth.
        metres: (N, H, W) float32.
        most: share of the depth; where one standard deviation is more, both answers are NaN.
    """
    share = math.sqrt(2) * spread
    metres = torch.where(share > most, torch.nan, metres)
    return metres, torch.where(metres < torch.inf, share * metres, torch.nan)


def _parts(sizes: Sequence[tuple[str, int]]) -> tuple[dict[str, slice], int]:
    """Where the parts of a buffer lie, and the buffer's length, in bytes."""
    parts, position = {}, 0
    for name, size in sizes:
        parts[name] = slice(position, position + size)
        position += -(-size // _ALIGNMENT) * _ALIGNMENT
    return parts, position
