"""Augmentation, on arrays and with a random generator that the caller passes in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import ArrayLike

from sosd_ros.labels import UNLABELLED
from sosd_ros.weights import DepthKind

from .sample import DataSet, Sample

AnySample = TypeVar("AnySample", bound=Any)  # a Sample, or one with more maps

# What lies outside the picture, as the fields of a sample. ImageNet's mean colour is about 0 after
# normalisation, like the padding of the convolutions; no loss counts truth that is unknown.
PADDING: tuple[float | Sequence[float], ...] = ((124, 116, 104), math.nan, UNLABELLED)
# The range of the three factors of colour jitter.
JITTER = (0.7, 1.3)
_GREYS = np.arange(256) / 255
_LEAST_BLUR = 0.3  # pixels, below which nothing can be seen


def augment(
    sample: Sample, size: tuple[int, int], data: DataSet, random: np.random.Generator
) -> Sample:
    """What the paper does in training: scale, colour jitter, and flip with a chance of 0.5.

    Scale and jitter are drawn for every sample, or with the chance that ``data`` says. Beyond the
    paper, if ``data`` says so: turn, with the same chance, tint, with colour jitter, and gamma,
    blur and noise.

    Args:
        sample: of any size.
        size: (height, width) of the result's image, of which ``data.crop`` may be a part; its truth
            is smaller by ``data.truth_stride``.
        data: whose scales are drawn from, and what its depth means.
        random: draws everything; in the same state, it gives the same result.
    """
    # What is off draws nothing, so that the same seed goes on to give the same result.
    if data.rotation and random.random() < data.chance:
        sample = rotate(sample, random.uniform(-data.rotation, data.rotation))
    if random.random() < data.chance:
        factor, top, left = random.choice(data.scales), random.random(), random.random()
        sample = scale(sample, factor, top, left, data.depth)
    sample = resize(sample, size, data.truth_stride)
    if data.crop:
        sample = crop(sample, data.crop, random.random(), random.random(), data.truth_stride)
    if random.random() < data.chance:
        brightness, contrast, saturation = random.uniform(*JITTER, size=3)
        tint = 1 + data.tint * random.uniform(-1, 1, size=3) if data.tint else np.ones(3)
        image = jitter(sample.image, brightness, contrast, saturation, tint)
        sample = sample._replace(image=image)
    sample = sample._replace(image=degrade(sample.image, data, random))
    if random.random() < 0.5:
        sample = flip(sample)
    return sample


def rotate(sample: Sample, angle: float) -> Sample:
    """Turn by ``angle`` degrees about the image's centre, as a camera rolls.

    Depth is along the axis of this turn, and stays. What comes into the frame is unknown.
    """
    height, width = sample.depth.shape
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
    image, depth, labels = (
        cv2.warpAffine(part, turn, (width, height), flags=flags, borderValue=value)
        for part, flags, value in zip(
            sample, (cv2.INTER_LINEAR, cv2.INTER_NEAREST, cv2.INTER_NEAREST), PADDING, strict=True
        )
    )
    return Sample(image, depth, labels)


def scale(sample: Sample, factor: float, top: float, left: float, depth: DepthKind) -> Sample:
    """Scale by ``factor``, and crop or pad back to the frame.

    The result is what the frame shows at the resolution of ``sample``: 1 / ``factor`` of its
    height and width. So one :func:`resize` both scales and gives the size that is wanted.

    Scaling by s brings the scene nearer: metres become Z / s, disparity d * s.

    Args:
        factor: above 1 crops, below 1 pads.
        top, left: where the crop lies in the picture, or the picture in the padded frame, from 0
            (top, left) to 1 (bottom, right).
        depth: what the sample's depth means.
    """
    height, width = sample.depth.shape
    # Below a factor of 1 the frame is larger than the picture, and y and x are negative or 0.
    rows, columns = round(height / factor), round(width / factor)
    y, x = round(top * (height - rows)), round(left * (width - columns))
    if factor >= 1:
        image, truth, labels = (part[y : y + rows, x : x + columns] for part in sample)
    else:
        margins = (-y, y + rows - height, -x, x + columns - width)
        image, truth, labels = (
            cv2.copyMakeBorder(part, *margins, cv2.BORDER_CONSTANT, value=value)
            for part, value in zip(sample, PADDING, strict=True)
        )
    nearer = factor if depth.kind == "disparity" else 1 / factor
    return Sample(image, truth * np.float32(nearer), labels)


def resize(sample: Sample, size: tuple[int, int], truth_stride: int = 1) -> Sample:
    """To (height, width), and the truth to ``1 / truth_stride`` of that.

    Truth by nearest neighbour, so that no value is made up at an edge.
    """
    height, width = sample.depth.shape
    truth_size = size[0] // truth_stride, size[1] // truth_stride
    if (height, width) == size == truth_size:
        return sample
    shrinks = size[0] <= height and size[1] <= width
    smooth = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    # The plain INTER_NEAREST would shift the truth by half a pixel against the image.
    image, truth, labels = (
        cv2.resize(part, target[::-1], interpolation=interpolation)
        for part, target, interpolation in zip(
            sample,
            (size, truth_size, truth_size),
            (smooth, cv2.INTER_NEAREST_EXACT, cv2.INTER_NEAREST_EXACT),
            strict=True,
        )
    )
    return Sample(image, truth, labels)


def crop(
    sample: Sample, size: tuple[int, int], top: float, left: float, truth_stride: int = 1
) -> Sample:
    """A part of (height, width) pixels of the image, and of the truth what belongs to it.

    Args:
        top, left: where it lies, from 0 to 1.
    """
    steps = [
        round(place * ((whole - part) // truth_stride))
        for place, whole, part in zip((top, left), sample.image.shape, size, strict=False)
    ]

    def cut(pixels: np.ndarray, step: int) -> np.ndarray:
        y, x = (step * place for place in steps)
        unit = truth_stride // step
        return pixels[y : y + size[0] // unit, x : x + size[1] // unit]

    return Sample(cut(sample.image, truth_stride), cut(sample.depth, 1), cut(sample.labels, 1))


def jitter(
    image: np.ndarray,
    brightness: float,
    contrast: float,
    saturation: float,
    tint: ArrayLike = (1, 1, 1),
) -> np.ndarray:
    """Colour jitter of (H, W, 3) uint8 RGB by factors, each 1 for no change.

    Brightness scales towards black, contrast towards the mean grey of the image, saturation
    towards the grey of each pixel, and tint the channels, as another white balance does. All are
    linear in the pixel, and so they are one 3x4 matrix.
    """
    grey = np.full((3, 3), (0.299, 0.587, 0.114))
    mix = brightness * contrast * (saturation * np.eye(3) + (1 - saturation) * grey)
    shift = brightness * (1 - contrast) * grey @ cv2.mean(image)[:3]
    return cv2.transform(image, np.reshape(tint, (3, 1)) * np.column_stack([mix, shift]))


def degrade(image: np.ndarray, data: DataSet, random: np.random.Generator) -> np.ndarray:
    """Another gamma, blur and noise, each drawn up to what ``data`` allows, of (H, W, 3) uint8."""
    if data.gamma:
        gamma = math.exp(random.uniform(-data.gamma, data.gamma))
        image = cv2.LUT(image, np.rint(255 * _GREYS**gamma).astype(np.uint8))
    if data.blur and (sigma := random.uniform(0, data.blur)) > _LEAST_BLUR:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    if data.noise:
        noise = random.standard_normal(image.shape, np.float32) * random.uniform(0, data.noise)
        image = cv2.add(image, noise, dtype=cv2.CV_8U)
    return image


def cut_and_mix(sample: AnySample, other: AnySample, random: np.random.Generator) -> AnySample:
    """Put a rectangle of another sample of the same size in its place (Yun et al., ICCV 2019).

    It takes a tenth to four tenths of the picture.

    Args:
        sample, other: named tuples with ``image``, ``depth`` and maybe further maps of depth's
            size; of ``sample``, all else stays.
    """
    height, width = sample.depth.shape
    stride = sample.image.shape[0] // height
    share, aspect = random.uniform(0.1, 0.4), math.exp(random.uniform(-0.5, 0.5))
    rows = min(height, round(height * math.sqrt(share / aspect)))
    columns = min(width, round(width * math.sqrt(share * aspect)))
    top, left = random.integers(height - rows + 1), random.integers(width - columns + 1)
    mixed = {}
    for name, part, whole in zip(sample._fields, sample, other, strict=True):
        if isinstance(part, np.ndarray):
            step = stride if name == "image" else 1
            place = np.s_[step * top : step * (top + rows), step * left : step * (left + columns)]
            mixed[name] = part.copy()
            mixed[name][place] = whole[place]
    return sample._replace(**mixed)


def flip(sample: Sample) -> Sample:
    """Mirror left and right."""
    image, depth, labels = (cv2.flip(part, 1) for part in sample)
    return Sample(image, depth, labels)
