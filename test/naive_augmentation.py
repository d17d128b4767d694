"""The augmentation again, as plainly as it can be said: pixel by pixel in float64 NumPy."""

from __future__ import annotations

from math import ceil

import numpy as np
from numpy.typing import ArrayLike

from training.data.sample import DataSet, Sample
from training.data.transforms import JITTER, PADDING, frame


def augment(
    sample: Sample, size: tuple[int, int], data: DataSet, random: np.random.Generator
) -> Sample:
    """The paper's part of :func:`training.data.transforms.augment`, and the same to rounding."""
    factor, top, left = 1.0, 0.0, 0.0
    if random.random() < data.chance:
        factor, top, left = random.choice(data.scales), random.random(), random.random()
    height, width = sample.depth.shape
    rows, columns, y, x = frame(height, width, factor, top, left)

    area = size[0] <= rows and size[1] <= columns
    image = np.zeros((*size, 3))
    for row, down in zip(*_smooth(rows, size[0], area), strict=True):
        for column, across in zip(*_smooth(columns, size[1], area), strict=True):
            weight = (down[:, None] * across)[..., None]
            image += weight * _pixels(sample.image, y + row, x + column, PADDING[0])
    nearest = y + _nearest(rows, size[0]), x + _nearest(columns, size[1])
    depth = _pixels(sample.depth, *nearest, PADDING[1])
    depth = depth * factor if data.depth.kind == "disparity" else depth / factor
    labels = _pixels(sample.labels, *nearest, PADDING[2])

    if random.random() < data.chance:
        image = _jitter(image, *random.uniform(*JITTER, size=3))
    if random.random() < 0.5:
        image, depth, labels = image[:, ::-1], depth[:, ::-1], labels[:, ::-1]
    image = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return Sample(image, depth.astype(np.float32), labels.astype(np.uint8))


def _smooth(source: int, target: int, area: bool) -> tuple[np.ndarray, np.ndarray]:
    """The source pixels that make each target pixel, and their weights: two (taps, target).

    Linear interpolation between two, or with ``area`` the mean of all that the target covers.
    """
    step = source / target
    if area:
        start = np.arange(target) * step
        index = np.floor(start) + np.arange(ceil(step) + 1)[:, None]
        overlap = np.minimum(index + 1, start + step) - np.maximum(index, start)
        weight = np.maximum(overlap, 0) / step
    else:
        centre = (np.arange(target) + 0.5) * step - 0.5
        index = np.floor(centre) + np.arange(2)[:, None]
        weight = 1 - np.abs(index - centre)
    return np.clip(index, 0, source - 1).astype(int), weight


def _nearest(source: int, target: int) -> np.ndarray:
    """The source pixel in which the centre of each target pixel lies: (target,)."""
    return np.floor((np.arange(target) + 0.5) * source / target).astype(int)


def _pixels(part: np.ndarray, y: np.ndarray, x: np.ndarray, padding: ArrayLike) -> np.ndarray:
    """Float64 pixels at rows ``y`` and columns ``x``, which may lie outside."""
    height, width = part.shape[:2]
    y, x = np.meshgrid(y, x, indexing="ij")
    pixels = part[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)].astype(np.float64)
    pixels[(y < 0) | (y >= height) | (x < 0) | (x >= width)] = padding
    return pixels


def _jitter(image: np.ndarray, brightness: float, contrast: float, saturation: float) -> np.ndarray:
    image = image * brightness
    mean = _grey(image).mean()
    image = mean + contrast * (image - mean)
    grey = _grey(image)
    return grey + saturation * (image - grey)


def _grey(image: np.ndarray) -> np.ndarray:
    return (image * (0.299, 0.587, 0.114)).sum(-1, keepdims=True)
