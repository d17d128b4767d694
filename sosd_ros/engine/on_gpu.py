"""The work around the network on a GPU, in torch: the steps of ``on_cpu.py``.

One copy there and one back; between them nothing needs Python, if all is captured as a graph.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cache, partial

import numpy as np
import torch

from ..device import cudnn_with
from ..network import in_parts, input_size, prepare
from ..weights import Manifest
from .answers import TASK_OF, Answers, DevicePerception, Perception, Range
from .backend import Backend, EngineError
from .finishing import classify, metres, rows_on

_ALIGNMENT = 256  # bytes, of each part of a buffer
_DTYPES = {
    "depth": torch.float32,
    "semantic": torch.uint8,
    "confidence": torch.uint8,
    "uncertainty": torch.float32,
}


class Lane:
    """The stream of all programs of an engine, and the memory of their graphs, which they share.

    Programs follow one another and never run together, so what one graph computes may lie where
    another's does. All that must outlast a replay, inputs and answers, is allocated outside the
    graphs, and answers are copied back to the host before the next call.

    Args:
        device: without a stream and a pool if it is no GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, is_gpu = device, device.type == "cuda"
        self.stream = torch.cuda.Stream(device) if is_gpu else None
        self._pool = torch.cuda.graph_pool_handle() if is_gpu else None
        # Waiting for it gives the core away, which others need.
        self._done = torch.cuda.Event(blocking=True) if is_gpu else None
        # The pool ends with its last graph. So the newest stays, also if its program is evicted.
        self._newest: torch.cuda.CUDAGraph | None = None

    def begin(self) -> None:
        """Let what comes wait for what another stream has been given, such as filled buffers."""
        if self.stream is not None:
            self.stream.wait_stream(torch.cuda.current_stream(self.device))

    def wait(self) -> None:
        """Until all work is done."""
        if self._done is not None:
            self._done.record(self.stream)
            self._done.synchronize()

    def captured(self, run: Callable[[], None]) -> torch.cuda.CUDAGraph:
        """A graph of what ``run`` has a device do.

        Raises:
            EngineError: if it cannot be captured.
        """
        graph = torch.cuda.CUDAGraph()
        try:
            # Around the capture as well, which leaves its stream current if it fails.
            with torch.cuda.stream(self.stream):
                # Libraries choose their algorithms before, and cuDNN times those that it has.
                with cudnn_with("benchmark", True):
                    for _ in range(3):
                        run()
                self.wait()
                # Other threads may go on with CUDA meanwhile, as diagnostics do.
                with torch.cuda.graph(
                    graph, self._pool, self.stream, capture_error_mode="thread_local"
                ):
                    run()
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise EngineError(f"no CUDA graph, as capturing it failed with {reason}") from error
        self._newest = graph
        return graph


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
        lane: of the engine, on the device on which the backend runs.
        canvas: (height, width) of ``network.canvas_size``; of the usual input if empty.

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
        lane: Lane,
        canvas: tuple[int, int] | None = None,
    ) -> None:
        self._backend, self._shape, self._lane = backend, shape, lane
        device = lane.device
        self._answers = frozenset(answers)
        self._tasks = {TASK_OF[answer] for answer in answers}
        self._is_disparity = manifest.depth.kind == "disparity"
        self._input_size = input_size(shape[1:], manifest.input_size)
        self._canvas = canvas or self._input_size
        self._mean = torch.tensor(manifest.mean, device=device)
        self._std = torch.tensor(manifest.std, device=device)
        # Kept, since a graph cannot capture the copy that brings them to the device.
        self._rows = cache(partial(rows_on, device))

        count = shape[0] * shape[1] * shape[2]
        self._is_pinned = device.type == "cuda"
        inputs = [("numbers", 4 * (shape[0] + len(Range._fields))), ("images", 3 * count)]
        self._input_parts, size = _parts(inputs)
        self._staging = torch.zeros(size, dtype=torch.uint8, pin_memory=self._is_pinned)
        self._inputs = torch.zeros(size, dtype=torch.uint8, device=device)
        outputs = [(n, count * dtype.itemsize) for n, dtype in _DTYPES.items() if n in answers]
        self._output_parts, size = _parts(outputs)
        self._outputs = torch.zeros(size, dtype=torch.uint8, device=device)

        lane.begin()
        self._graph = lane.captured(self._run) if backend.uses_graph else None

    def __call__(
        self, images: np.ndarray, factors: Sequence[float], depth_range: Range
    ) -> Perception:
        """As ``CpuProgram`` does."""
        self._stage(factors, depth_range)
        np.copyto(self._images_in(self._staging).numpy(), images)
        shape = self._outputs.shape
        answers = torch.empty(shape, dtype=torch.uint8, pin_memory=self._is_pinned)
        with torch.cuda.stream(self._lane.stream):  # nothing without a stream
            self._inputs.copy_(self._staging, non_blocking=True)
            self._replay()
            answers.copy_(self._outputs, non_blocking=True)
        self._lane.wait()
        return Perception(*(None if a is None else a.numpy() for a in self._parted(answers)))

    def on_device(
        self, images: torch.Tensor, factors: Sequence[float], depth_range: Range
    ) -> DevicePerception:
        """The same for images on the device, as ``Engine.on_device`` says.

        Args:
            images: (N, H, W, 3) uint8 RGB.
        """
        self._stage(factors, depth_range)
        numbers = self._input_parts["numbers"]
        # Of the current stream's memory, and so before what waits for that stream.
        answers = torch.empty_like(self._outputs)
        self._lane.begin()
        with torch.cuda.stream(self._lane.stream):
            self._inputs[numbers].copy_(self._staging[numbers], non_blocking=True)
            self._images_in(self._inputs).copy_(images)
            self._replay()
            answers.copy_(self._outputs)
        # Also for the caller's sake: what a GPU is given without waiting for it queues.
        self._lane.wait()
        return DevicePerception(*self._parted(answers))

    def _stage(self, factors: Sequence[float], depth_range: Range) -> None:
        numbers = self._staging[self._input_parts["numbers"]].view(torch.float32)
        numbers.copy_(torch.tensor([*factors, *depth_range]))

    def _images_in(self, inputs: torch.Tensor) -> torch.Tensor:
        """The images' part of a buffer of inputs."""
        return inputs[self._input_parts["images"]].view(*self._shape, 3)

    def _replay(self) -> None:
        if self._graph is not None:
            self._graph.replay()
        else:
            self._run()

    def _parted(self, answers: torch.Tensor) -> Iterator[torch.Tensor | None]:
        """The answers in a buffer of them, in the order of ``Perception``."""
        for name, dtype in _DTYPES.items():
            part = self._output_parts.get(name)
            yield None if part is None else answers[part].view(dtype).view(*self._shape)

    def _run(self) -> None:
        """From the device's input buffer to its output buffer."""
        images = self._images_in(self._inputs)
        numbers = self._inputs[self._input_parts["numbers"]].view(torch.float32)
        factors, depth_range = numbers.split((self._shape[0], len(Range._fields)))
        answers = self.forward(self.prepare(images))
        self.finish(*answers, factors, depth_range)

    def prepare(self, images: torch.Tensor) -> torch.Tensor:
        """Resize and normalise into the canvas: the network's input."""
        return prepare(images, self._canvas, self._mean, self._std)

    def forward(self, inputs: torch.Tensor) -> Answers:
        """The network's depth, logits and spread, as ``Answers`` has them."""
        ask = partial(self._backend, tasks=self._tasks)
        return Answers(*in_parts(ask, inputs, self._input_size))

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
