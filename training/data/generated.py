"""Frames made up from nothing, for ``training.throughput`` where there is no data set."""

from __future__ import annotations

import cv2
import numpy as np

from sosd_ros.labels import UNLABELLED

from .sample import DataSet, Sample

_FRAMES = 8


class Generated:
    """Samples as a data set's files would give them: PNG, in memory, decoded when asked for.

    Args:
        data: whose classes the labels have.
        size: (height, width).
        count: how many samples; a few frames are repeated.
    """

    def __init__(self, data: DataSet, size: tuple[int, int], count: int) -> None:
        random = np.random.default_rng(0)
        classes = len(data.labels.names)
        self.names = [f"generated {number}" for number in range(count)]
        self._frames = [_encoded(random, size, classes) for _ in range(min(count, _FRAMES))]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        image, depth, labels = map(_decoded, self._frames[index % len(self._frames)])
        known = np.where(depth > 0, depth, np.nan).astype(np.float32)
        return Sample(image, known / np.float32(1000), labels)


def _encoded(random: np.random.Generator, size: tuple[int, int], classes: int) -> list[np.ndarray]:
    """Image, 16-bit depth and labels as PNG: smooth, with noise in the image and holes in the rest.

    So they compress about as well as real ones, and take as long to decode.
    """
    height, width = size
    coarse = random.uniform(30, 220, (6, 8, 3))
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    image = np.clip(image + random.normal(0, 3, image.shape), 0, 255).astype(np.uint8)
    depth = cv2.resize(random.uniform(1000, 9000, (6, 8)), (width, height)).astype(np.uint16)
    coarse = random.integers(0, classes, (6, 8)).astype(np.uint8)
    labels = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST)
    hole = (slice(height // 4), slice(width // 4))
    depth[hole], labels[hole] = 0, UNLABELLED
    return [cv2.imencode(".png", part)[1] for part in (image, depth, labels)]


def _decoded(png: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.imdecode(png, cv2.IMREAD_UNCHANGED))
