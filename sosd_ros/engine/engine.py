"""Images in, metric depth and labels out, whatever runs the network."""

from __future__ import annotations

import gc
import math
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from ..camera import USUAL_SIZE, focal_correction
from ..device import check_unbroken
from ..network import canvas_size, input_size, tasks_of
from ..weights import Manifest
from .answers import USUAL_RANGE, DevicePerception, Perception, Range, answers_to
from .backend import Backend, EngineError, Tell
from .on_cpu import CpuProgram
from .on_gpu import GpuProgram, Lane

_OFFSETS = (0, -16, 16, -32, 32)  # pixels
_MOST_PROGRAMS = 32  # batches, by shape and what they are asked, whose buffers are kept


class Engine:
    """Answers batches of camera images.

    Args:
        backend: runs the network.
        manifest: of its weights.
        device: on which it runs.
        precision: at which it runs.
        tell: is told, in a sentence, what the user should know.

    Attributes:
        answers: that the network can be asked for.
        why: why it is this backend and not another, a line for each that there was.
        fallback: a backend for inputs of sizes that the first one does not accept.
        fit: how many inputs an image may take to be seen at the scale of the training; 0: it is
            seen whole, in one.
    """

    def __init__(
        self,
        backend: Backend,
        manifest: Manifest,
        device: torch.device,
        precision: str,
        tell: Tell,
    ) -> None:
        self.manifest, self.device, self.precision = manifest, device, precision
        self.tasks = tasks_of(manifest.variant)
        self.answers = answers_to(manifest)
        self.why = ""
        self.fallback: Backend | None = None
        self.fit = 0
        self._backend: Backend | None = backend
        self._tell = tell
        self._lane: Lane | None = None  # of programs on a GPU
        self._programs: OrderedDict[tuple, CpuProgram | GpuProgram] = OrderedDict()
        self._told: set[tuple[int, int]] = set()  # sizes of inputs that the fall-back answers

    @property
    def name(self) -> str:
        """Backend and precision, as ``openvino fp32``."""
        return f"{self.backend.name} {self.precision}"

    @property
    def backend(self) -> Backend:
        if self._backend is None:
            raise RuntimeError("the engine is closed")
        return self._backend

    def accepts(self, image_size: tuple[int, int]) -> bool:
        """Whether the backend itself answers images of this (height, width)."""
        return self.backend.accepts(input_size(image_size, self.manifest.input_size))

    def usual_size(self) -> tuple[int, int]:
        """A (height, width) of images: the usual, or else one that the backend was built for."""
        sizes = [USUAL_SIZE, *self.backend.sizes]
        # Rounded to multiples of 32, an input may itself be seen at another size than its image.
        offsets = [(rows, columns) for rows in _OFFSETS for columns in _OFFSETS]
        sizes += [(2 * h + y, 2 * w + x) for h, w in self.backend.sizes for y, x in offsets]
        return next(filter(self.accepts, sizes), sizes[0])

    def warm_up(self, most: int = 1) -> None:
        """Answer black images, so that the first real ones are not those that wait.

        Args:
            most: images that may come as one batch.
        """
        images = np.zeros((most, *self.usual_size(), 3), np.uint8)
        for count in range(most, 1, -1):  # some backends compile for each, and for each size
            self(images[:count], [math.nan] * count, self.answers)
            for size in self.backend.sizes:
                with torch.inference_mode():
                    self.backend(torch.zeros(count, 3, *size, device=self.device), self.tasks)
        for _ in range(3):
            for answers in (self.answers, *({task} for task in self.tasks)):
                self(images[:1], [math.nan], answers)

    @torch.inference_mode()
    def __call__(
        self,
        images: np.ndarray,
        focals: Sequence[float],
        answers: Collection[str],
        limits: Range = USUAL_RANGE,
        scales: Sequence[float] | None = None,
    ) -> Perception:
        """Answer a batch of images.

        Args:
            images: (N, H, W, 3) uint8 RGB.
            focals: sqrt(fx fy) of each image's camera, in pixels of the image; NaN where it is not
                known, and then depth is NaN.
            answers: of ``TASK_OF``; what only the others need is not computed.
            limits: of the depth that is answered as a number, for all images of the batch.
            scales: what each image's depth is multiplied by; 1 if empty.
        """
        asked = self._asked(images.shape, focals, answers, limits, scales)
        parts = [program(images[part], factors, limits) for part, program, factors in asked]
        answer = Perception(*_joined(parts, np.concatenate))
        return answer if "uncertainty" in answers else answer._replace(uncertainty=None)

    @torch.inference_mode()
    def on_device(
        self,
        images: torch.Tensor,
        focals: Sequence[float],
        answers: Collection[str],
        limits: Range = USUAL_RANGE,
        scales: Sequence[float] | None = None,
    ) -> DevicePerception:
        """The same for images on the engine's GPU, where the answers stay.

        Waits for what the current stream has been given, and returns when the answers are there.
        They are the caller's, as if the current stream had made them.
        """
        parts = []
        for part, program, factors in self._asked(images.shape, focals, answers, limits, scales):
            assert isinstance(program, GpuProgram)
            parts.append(program.on_device(images[part], factors, limits))
        answer = DevicePerception(*_joined(parts, torch.cat))
        return answer if "uncertainty" in answers else answer._replace(uncertainty=None)

    def _asked(
        self,
        shape: Sequence[int],
        focals: Sequence[float],
        answers: Collection[str],
        limits: Range,
        scales: Sequence[float] | None,
    ) -> Iterator[tuple[slice, CpuProgram | GpuProgram, list[float]]]:
        """What answers which of (N, H, W) images, and their ``factors``.

        All together, or each alone where the network sees them at different scales.
        """
        count, size = shape[0], (shape[1], shape[2])
        needed = set(answers)
        if "depth" in needed and limits.uncertainty < math.inf:
            needed.add("uncertainty")
        canvases = [self.canvas(size, focal) for focal in focals]
        step = count if len(set(canvases)) == 1 else 1
        for start in range(0, count, step):
            part, canvas = slice(start, start + step), canvases[start]
            factors = self.factors(size, focals[part], canvas)
            if scales is not None:
                factors = [f * scale for f, scale in zip(factors, scales[part], strict=True)]
            yield part, self.program((step, *size), needed, canvas), factors

    def canvas(self, size: tuple[int, int], focal: float) -> tuple[int, int]:
        """The (height, width) at which the network sees images of one, in one input or several."""
        seen = input_size(size, self.manifest.input_size)
        return canvas_size(seen, 1 / self._correction(size, focal, seen), self.fit)

    def program(
        self,
        shape: tuple[int, int, int],
        answers: Collection[str],
        canvas: tuple[int, int] | None = None,
    ) -> CpuProgram | GpuProgram:
        """What answers (N, H, W) images; kept until there are too many others."""
        usual = input_size(shape[1:], self.manifest.input_size)
        key = (shape, frozenset(answers) & self.answers, canvas or usual)
        if key not in self._programs:
            if len(self._programs) == _MOST_PROGRAMS:
                self._programs.popitem(last=False)
            seen = min(usual[0], key[2][0]), min(usual[1], key[2][1])
            arguments = self._backend_for(seen), self.manifest, *key[:2]
            if self.device.type == "cpu":
                self._programs[key] = CpuProgram(*arguments, canvas=key[2])
            else:
                self._lane = self._lane or Lane(self.device)
                self._programs[key] = GpuProgram(*arguments, self._lane, canvas=key[2])
        self._programs.move_to_end(key)
        return self._programs[key]

    def _backend_for(self, size: tuple[int, int]) -> Backend:
        """What runs inputs of a (height, width)."""
        if self.backend.accepts(size):
            return self.backend
        if self.fallback is None:
            raise EngineError(f"{self.name} does not accept inputs of {size[0]}x{size[1]}")
        if size not in self._told:
            self._told.add(size)
            self._tell(
                f"{self.name} was not built for inputs of {size[0]}x{size[1]}, which run slower, "
                f"by {self.fallback.name}; build it for images of that size with `--size`"
            )
        return self.fallback

    def factors(
        self,
        size: tuple[int, int],
        focals: Sequence[float],
        canvas: tuple[int, int] | None = None,
    ) -> list[float]:
        """Metres for an answer of 1, by image; for disparities, metres over that answer."""
        kind, seen = self.manifest.depth, canvas or input_size(size, self.manifest.input_size)
        unit = 1.0
        if kind.kind == "disparity":
            assert kind.focal_length is not None and kind.baseline is not None
            unit = kind.focal_length * kind.baseline
        return [unit * self._correction(size, focal, seen) for focal in focals]

    def _correction(self, size: tuple[int, int], focal: float, seen: tuple[int, int]) -> float:
        """The focal correction of an image of one size that is seen at another."""
        shrink = (seen[0] * seen[1] / (size[0] * size[1])) ** 0.5
        return focal_correction(focal * shrink, self.manifest.focal_length)

    def free(self) -> None:
        """Give back memory that is cached, after a failure for want of it.

        Raises:
            BrokenDeviceError: if only a new process can use the device again.
        """
        self._programs.clear()
        self._lane = None
        gc.collect()
        check_unbroken(self.device)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def close(self) -> None:
        """Give back everything; the engine cannot be called any more.

        Raises:
            BrokenDeviceError: as ``free`` does.
        """
        self._backend = self.fallback = None
        self.free()

    def memory(self) -> tuple[int, int] | None:
        """Used and total bytes of the device, by all its processes; ``None`` if not known."""
        if self.device.type != "cuda":
            return None
        try:
            free, total = torch.cuda.mem_get_info(self.device)
        except RuntimeError:  # the context is broken, which is told by who needs it
            return None
        return total - free, total


def _joined(parts: Sequence[Sequence[Any]], concatenate: Callable[[Any], Any]) -> Iterable[Any]:
    """The answers of a batch, of those of its parts."""
    if len(parts) == 1:
        return parts[0]
    columns = zip(*parts, strict=True)
    return (None if column[0] is None else concatenate(column) for column in columns)
