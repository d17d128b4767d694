"""The work around the network on a CPU, by compiled kernels: the steps of ``on_gpu.py``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

import numpy as np
import torch

from .. import kernels
from ..network import in_parts, input_size
from ..weights import Manifest
from .answers import TASK_OF, Perception, Range
from .backend import Backend


class CpuProgram:
    """Answers batches of one shape; its buffer for the network's input is used again and again.

    Args:
        backend: runs the network, on the CPU.
        manifest: of its weights.
        shape: (N, H, W) of the images.
        answers: of ``TASK_OF``.
        canvas: (height, width) of ``network.canvas_size``; of the usual input if empty.
    """

    def __init__(
        self,
        backend: Backend,
        manifest: Manifest,
        shape: tuple[int, int, int],
        answers: Collection[str],
        canvas: tuple[int, int] | None = None,
    ) -> None:
        self._backend, self._shape = backend, shape
        self._answers = frozenset(answers)
        self._tasks = {TASK_OF[answer] for answer in answers}
        self._is_disparity = manifest.depth.kind == "disparity"
        self._input_size = input_size(shape[1:], manifest.input_size)
        size = canvas or self._input_size
        self._shift = 255 * np.array(manifest.mean, np.float32)
        self._scale = 1 / (255 * np.array(manifest.std, np.float32))
        self._inputs = torch.empty(shape[0], 3, *size)
        self._resampling = tuple(
            kernels.resampling(source, target)
            for source, target in zip(shape[1:], size, strict=True)
        )
        self._unwanted = np.empty((0, shape[2]), np.uint8)
        self._no_spread = np.empty((0, shape[2]), np.float32)

    def __call__(
        self, images: np.ndarray, factors: Sequence[float], depth_range: Range
    ) -> Perception:
        """Answer images.

        Args:
            images: (N, H, W, 3) uint8 RGB.
            factors: metres for an answer of 1, by image; over the answer if it is a disparity.
            depth_range: that is answered as numbers.
        """
        answers = self.forward(self.prepare(images))
        return self.finish(*answers, factors, depth_range)

    def prepare(self, images: np.ndarray) -> torch.Tensor:
        """Resize and normalise into the canvas, of which there is one: the network's input."""
        for image, out in zip(images, self._inputs.numpy(), strict=True):
            rows = kernels.plain(image).reshape(image.shape[0], -1)
            arguments = (rows, *self._resampling, self._shift, self._scale, out)
            kernels.in_bands(out.shape[1], (kernels.prepare, *arguments))
        return self._inputs

    def forward(
        self, inputs: torch.Tensor
    ) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
        """The network's depth, logits and spread, as ``Answers`` has them."""
        ask = partial(self._backend, tasks=self._tasks)
        answers = in_parts(ask, inputs, self._input_size)
        depth, logits, spread = (None if a is None else a.contiguous().numpy() for a in answers)
        return depth, logits, spread

    def finish(
        self,
        depth: np.ndarray | None,
        logits: np.ndarray | None,
        spread: np.ndarray | None,
        factors: Sequence[float],
        depth_range: Range,
    ) -> Perception:
        """Bring the network's answers to the images' size."""
        metres = labels = confidence = uncertainty = None
        if depth is not None and self._answers & {"depth", "uncertainty"}:
            metres = np.empty(self._shape, np.float32)
            if spread is not None and "uncertainty" in self._answers:
                uncertainty = np.empty(self._shape, np.float32)
        if logits is not None and self._answers & {"semantic", "confidence"}:
            labels = np.empty(self._shape, np.uint8)
            if "confidence" in self._answers:
                confidence = np.empty(self._shape, np.uint8)
        for index, factor in enumerate(factors):
            calls = []
            if depth is not None and metres is not None:
                numbers = (np.float32(number) for number in (factor, *depth_range))
                doubts = (self._no_spread, self._no_spread)
                if spread is not None and uncertainty is not None:
                    doubts = (spread[index], uncertainty[index])
                to_image = self._to_image(depth)
                arguments = (*to_image, self._is_disparity, *numbers, metres[index], *doubts)
                calls.append((kernels.metres, depth[index], *arguments))
            if logits is not None and labels is not None:
                certainty = self._unwanted if confidence is None else confidence[index]
                to_image = self._to_image(logits)
                calls.append((kernels.classify, logits[index], *to_image, labels[index], certainty))
            kernels.in_bands(self._shape[1], *calls)
        return Perception(
            metres if "depth" in self._answers else None,
            labels if "semantic" in self._answers else None,
            confidence,
            uncertainty,
        )

    def _to_image(self, answer: np.ndarray) -> tuple:
        """How the rows and columns of an answer lie between those of the image."""
        height, width = self._shape[1:]
        return (
            kernels.neighbours(answer.shape[-2], height),
            kernels.neighbours(answer.shape[-1], width),
        )
