"""The work around the network on a GPU, in torch: the steps of ``on_cpu.py``.

One copy there and one back; between them nothing needs Python, if all is captured as a graph.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache, partial

import numpy as np
import torch

from ..network import input_size, prepare
from ..weights import Manifest
from .answers import TASK_OF, Answers, Perception, Range
from .backend import Backend, EngineError
from .finishing import classify, metres, rows_on

_ALIGNMENT = 256  # bytes, of each part of a buffer
_DTYPES = {
    "depth": torch.float32,
    "semantic": torch.uint8,
    "confidence": torch.uint8,
    "uncertainty": torch.float32,
}


class GpuProgram:
    """Answers batches of one shape.

    Images and numbers go to the device as one buffer, and all answers come back as another; both
    lie in pinned memory, so that the copies are asynchronous. Works on the CPU as well, if slower
    than ``CpuProgram``.

    Args:
        backend: runs the network; where it says so, all work is captured as one CUDA graph.
        manifest: of its weights.
        shape: (N, H, W) of the images.
        answers: of ``TASK_OF``.
        device: on which the backend runs.

    Raises:
        EngineError: if the backend asks for a graph, and it cannot be captured. What ran instead
            would be another engine, under this one's name.
    """

    def __init__(
        self,
        backend: Backend,
        manifest: Manifest,
        shape: tuple[int, int, int],
        answers: Collection[str],
        device: torch.device,
    ) -> None:
        self._backend, self._shape = backend, shape
        self._answers = frozenset(answers)
        self._tasks = {TASK_OF[answer] for answer in answers}
        self._is_disparity = manifest.depth.kind == "disparity"
        self._input_size = input_size(shape[1:], manifest.input_size)
        self._mean = torch.tensor(manifest.mean, device=device)
        self._std = torch.tensor(manifest.std, device=device)
        # Kept, since a graph cannot capture the copy that brings them to the device.
        self._rows = cache(partial(rows_on, device))

        count = shape[0] * shape[1] * shape[2]
        pinned = device.type == "cuda"
        inputs = [("numbers", 4 * (shape[0] + len(Range._fields))), ("images", 3 * count)]
        self._input_parts, size = _parts(inputs)
        self._staging = torch.zeros(size, dtype=torch.uint8, pin_memory=pinned)
        self._inputs = torch.zeros(size, dtype=torch.uint8, device=device)
        outputs = [(n, count * dtype.itemsize) for n, dtype in _DTYPES.items() if n in answers]
        self._output_parts, size = _parts(outputs)
        self._outputs = torch.zeros(size, dtype=torch.uint8, device=device)

        self._stream = torch.cuda.Stream(device) if pinned else None
        self._graph: torch.cuda.CUDAGraph | None = None
        if self._stream is not None:  # the buffers are filled on another one
            self._stream.wait_stream(torch.cuda.current_stream(device))
        if backend.uses_graph:
            self._graph = self._captured()

    def __call__(
        self, images: np.ndarray, factors: Sequence[float], depth_range: Range
    ) -> Perception:
        """As ``CpuProgram`` does."""
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
        self._synchronize()
        arrays = {
            name: answers[self._output_parts[name]].view(_DTYPES[name]).view(*self._shape)
            for name in self._output_parts
        }
        return Perception(*(arrays[name].numpy() if name in arrays else None for name in _DTYPES))

    def _run(self) -> None:
        """From the device's input buffer to its output buffer."""
        images = self._inputs[self._input_parts["images"]].view(*self._shape, 3)
        numbers = self._inputs[self._input_parts["numbers"]].view(torch.float32)
        factors, depth_range = numbers.split((self._shape[0], len(Range._fields)))
        answers = self.forward(self.prepare(images))
        self.finish(*answers, factors, depth_range)

    def prepare(self, images: torch.Tensor) -> torch.Tensor:
        """Resize and normalise into the network's input."""
        return prepare(images, self._input_size, self._mean, self._std)

    def forward(self, inputs: torch.Tensor) -> Answers:
        """The network's depth, logits and spread, as ``Answers`` has them."""
        return self._backend(inputs, self._tasks)

    def finish(
        self,
        depth: torch.Tensor | None,
        logits: torch.Tensor | None,
        spread: torch.Tensor | None,
        factors: torch.Tensor,
        depth_range: torch.Tensor,
    ) -> None:
        """Bring the network's answers to the images' size, into the output buffer."""
        size = self._shape[1:]
        if depth is not None and self._answers & {"depth", "uncertainty"}:
            spread = spread if "uncertainty" in self._answers else None
            depth, uncertainty = metres(
                depth, spread, size, self._is_disparity, factors, depth_range
            )
            self._write("depth", depth)
            self._write("uncertainty", uncertainty)
        if logits is not None and self._answers & {"semantic", "confidence"}:
            rows = self._rows(logits.shape[2], size[0])
            labels, probability = classify(logits, rows, size[1], "confidence" in self._answers)
            self._write("semantic", labels)
            if probability is not None:
                self._write("confidence", (255 * probability).round())

    def _captured(self) -> torch.cuda.CUDAGraph:
        """A graph of ``_run``."""
        graph = torch.cuda.CUDAGraph()
        try:
            # Around the capture as well, which leaves its stream current if it fails.
            with torch.cuda.stream(self._stream):
                for _ in range(3):  # libraries choose their algorithms before
                    self._run()
                self._synchronize()
                # Other threads may go on with CUDA meanwhile, as diagnostics do.
                with torch.cuda.graph(
                    graph, stream=self._stream, capture_error_mode="thread_local"
                ):
                    self._run()
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise EngineError(f"no CUDA graph, as capturing it failed with {reason}") from error
        return graph

    def _synchronize(self) -> None:
        if self._stream is not None:
            self._stream.synchronize()

    def _write(self, name: str, values: torch.Tensor | None) -> None:
        """Into the output buffer, if it was asked for."""
        if values is not None and name in self._output_parts:
            part = self._outputs[self._output_parts[name]]
            part.view(_DTYPES[name]).view(*self._shape).copy_(values)


def _parts(sizes: Sequence[tuple[str, int]]) -> tuple[dict[str, slice], int]:
    """Where the parts of a buffer lie, and the buffer's length, in bytes."""
    parts, position = {}, 0
    for name, size in sizes:
        parts[name] = slice(position, position + size)
        position += -(-size // _ALIGNMENT) * _ALIGNMENT
    return parts, position
