"""The work around the network: ours beside the plain way, in time and in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from std_msgs.msg import Header
from torch.nn import functional

from .. import kernels
from ..camera import Intrinsics
from ..network import input_size, prepare
from ..ros import messages
from ..testbed.times import Times
from ..weights import Weights, build_network
from . import memory
from .engines import frame
from .timing import in_turn


@dataclass(frozen=True)
class Surroundings:
    """Class scores to labels and confidence, and the cloud, at one size of image.

    Attributes:
        plain: upsampling of all scores, softmax and its greatest, in torch.
        fused: the kernel; ``labels`` without confidence.
        plain_memory, fused_memory: MiB at most.
        cloud: depth, colour and labels into a PointCloud2.
    """

    plain: Times
    fused: Times
    labels: Times
    plain_memory: float
    fused_memory: float
    cloud: Times


@torch.inference_mode()
def scores_of(file: Weights, size: tuple[int, int]) -> np.ndarray:
    """(C, h, w) float32 class scores at the network's stride, of a sample frame."""
    manifest = file.manifest
    height, width = input_size(size, manifest.input_size)
    images = torch.from_numpy(frame(size)[None])
    inputs = prepare(images, (height, width), manifest.mean, manifest.std)
    network = build_network(file)
    logits = network(inputs, size=network.answer_size(inputs)).logits
    return logits[0].contiguous().numpy()


class Classify:
    """The plain and the fused way from scores (C, h, w) to labels and confidence (H, W)."""

    def __init__(self, scores: np.ndarray, size: tuple[int, int]) -> None:
        self.scores, self.size = scores, size
        self.rows = kernels.neighbours(scores.shape[1], size[0])
        self.columns = kernels.neighbours(scores.shape[2], size[1])
        self.nothing = np.empty((0, size[1]), np.uint8)

    def plain(self) -> tuple[torch.Tensor, torch.Tensor]:
        full = functional.interpolate(
            torch.from_numpy(self.scores)[None], size=self.size, mode="bilinear"
        )
        probability, labels = full.softmax(1).max(1)
        return labels.to(torch.uint8)[0], (255 * probability).round().to(torch.uint8)[0]

    def fused(self) -> tuple[np.ndarray, np.ndarray]:
        return self._run(np.empty(self.size, np.uint8))

    def labels(self) -> np.ndarray:
        return self._run(self.nothing)[0]

    def _run(self, confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        labels = np.empty(self.size, np.uint8)
        arguments = (self.scores, self.rows, self.columns, labels, confidence)
        kernels.in_bands(self.size[0], (kernels.classify, *arguments))
        return labels, confidence


@torch.inference_mode()
def measure(file: Weights, size: tuple[int, int], rounds: int) -> Surroundings:
    """Time and memory at (height, width) images."""
    height, width = size
    scores = scores_of(file, size)
    ways = Classify(scores, size)
    rng = np.random.default_rng(0)
    depth = rng.uniform(0.5, 9, size).astype(np.float32)
    rays = Intrinsics(518, 518, width / 2, height / 2, width, height).rays()
    arrays = (Header(), depth, rays, frame(size), ways.labels())
    cloud = messages.cloud_message(*arrays)
    times = in_turn(
        {
            "plain": ways.plain,
            "fused": ways.fused,
            "labels": ways.labels,
            "cloud": lambda: messages.cloud_message(*arrays, into=cloud),
        },
        rounds,
    )
    return Surroundings(
        times["plain"],
        times["fused"],
        times["labels"],
        memory.elsewhere(_peak, scores, size, "plain"),
        memory.elsewhere(_peak, scores, size, "fused"),
        times["cloud"],
    )


@torch.inference_mode()
def _peak(scores: np.ndarray, size: tuple[int, int], way: str) -> float:
    small = Classify(np.ascontiguousarray(scores[:, :2, :2]), (8, 8))
    getattr(small, way)()  # loads and compiles what it needs
    return memory.peak_of(getattr(Classify(scores, size), way))
