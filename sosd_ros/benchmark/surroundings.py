"""The work around the network: ours beside the plain way, in time and in memory."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from .. import kernels
from ..camera import Intrinsics
from ..lens import Lens, Rectification
from ..network import input_size, prepare
from ..scale import ScaleWindow, evidence_of_points, visible
from ..steady import Steady
from ..testbed.own_process import in_own_process
from ..testbed.times import Times
from ..weights import Weights, build_network
from . import memory
from .engines import frames
from .timing import in_turn

LIDAR_POINTS = 30_000


@dataclass(frozen=True)
class Surroundings:
    """Class scores to labels and confidence, the cloud, and a lens, at one size of image.

    Attributes:
        plain: upsampling of all scores, softmax and its greatest, in torch.
        fused: the kernel; ``labels`` without confidence.
        plain_memory, fused_memory: MiB at most.
        cloud: depth, colour and labels into a PointCloud2; ``None`` without ROS.
        bent_cloud: the same on the rays of a lens.
        rectified: an image, and what belongs beside it taken out of depth and labels.
        steadied: depth, labels and confidence of an image drawn towards those of the one before.
        scaled: a lidar's points compared with an answer, and a scale estimated from a full window.
    """

    plain: Times
    fused: Times
    labels: Times
    plain_memory: float
    fused_memory: float
    cloud: Times | None = None
    bent_cloud: Times | None = None
    rectified: Times | None = None
    steadied: Times | None = None
    scaled: Times | None = None


@torch.inference_mode()
def scores_of(file: Weights, size: tuple[int, int]) -> np.ndarray:
    """(C, h, w) float32 class scores at the network's stride, of a sample frame."""
    manifest = file.manifest
    height, width = input_size(size, manifest.input_size)
    images = torch.from_numpy(frames(size)[:1])
    inputs = prepare(images, (height, width), manifest.mean, manifest.std)
    network = build_network(file)
    logits = network(inputs, size=network.answer_size(inputs)).logits
    return logits[0].contiguous().numpy()


def ways(scores: np.ndarray, size: tuple[int, int]) -> dict[str, Callable[[], Any]]:
    """The ways from scores (C, h, w) to labels and confidence (H, W) uint8, or to labels alone."""
    height, width = size
    to_image = [kernels.neighbours(*pair) for pair in zip(scores.shape[1:], size, strict=True)]

    def plain() -> tuple[torch.Tensor, torch.Tensor]:
        full = functional.interpolate(torch.from_numpy(scores)[None], size=size, mode="bilinear")
        probability, labels = full.softmax(1).max(1)
        return labels.to(torch.uint8)[0], (255 * probability).round().to(torch.uint8)[0]

    def fused(rows: int = height) -> tuple[np.ndarray, np.ndarray]:
        labels, confidence = np.empty(size, np.uint8), np.empty((rows, width), np.uint8)
        kernels.in_bands(height, (kernels.classify, scores, *to_image, labels, confidence))
        return labels, confidence

    return {"plain": plain, "fused": fused, "labels": partial(fused, 0)}


@torch.inference_mode()
def measure(file: Weights, size: tuple[int, int], rounds: int) -> Surroundings:
    """Time and memory at (height, width) images."""
    scores = scores_of(file, size)
    subjects, lens = ways(scores, size), _lens(size)
    labels = subjects["labels"]()[0]
    subjects["rectified"] = _rectify(lens, labels)
    subjects["steadied"] = _steady(labels)
    subjects["scaled"] = _scale(lens.camera)
    if importlib.util.find_spec("std_msgs") is not None:
        subjects["cloud"] = _cloud(lens.camera.rays(), labels)
        subjects["bent_cloud"] = _cloud(lens.rays(), labels)
    return Surroundings(
        **in_turn(subjects, rounds),
        plain_memory=in_own_process(_peak, scores, size, "plain"),
        fused_memory=in_own_process(_peak, scores, size, "fused"),
    )


def _lens(size: tuple[int, int]) -> Lens:
    """Of a usual wide camera, 78 degrees across."""
    height, width = size
    focal = 0.62 * width
    camera = Intrinsics(focal, focal, width / 2, height / 2, width, height)
    return Lens(camera, "plumb_bob", (-0.28, 0.074, 0.0002, 0.00002, 0.0))


def _depth(size: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).uniform(0.5, 9, size).astype(np.float32)


def _rectify(lens: Lens, labels: np.ndarray) -> Callable[[], Any]:
    """What a frame costs when the maps are there."""
    image, depth, labels = frames(labels.shape)[0], _depth(labels.shape), labels.copy()
    maps = Rectification(lens, lens.camera).maps()

    def rectify() -> np.ndarray:
        np.add(depth, maps.nothing, out=depth)
        np.bitwise_or(labels, maps.outside, out=labels)
        return maps.rectified(image)

    return rectify


def _steady(labels: np.ndarray) -> Callable[[], Any]:
    """An image that has moved by a pixel since the one before, with all of its answers."""
    image, depth, confidence = frames(labels.shape)[0], _depth(labels.shape), labels + np.uint8(90)
    images, filtered, numbers = (image, np.roll(image, 1, 1)), Steady(), itertools.count()

    def steady() -> Any:
        number = next(numbers)
        return filtered(images[number % 2], number / 30, depth, labels, confidence)

    return steady


def _scale(camera: Intrinsics) -> Callable[[], Any]:
    """What a frame beside a lidar costs, in a thread of its own: 30,000 points of a bumpy wall."""
    size, random = (camera.height, camera.width), np.random.default_rng(0)
    x, y = (np.broadcast_to(ray, size).ravel() for ray in camera.rays())
    seen = random.choice(x.size, LIDAR_POINTS)
    rays = np.stack([x[seen], y[seen], np.ones(LIDAR_POINTS)], axis=1)
    points = rays * random.normal(4, 0.1, (LIDAR_POINTS, 1))
    depth, window, stamps = np.full(size, 5, np.float32), ScaleWindow(), itertools.count()

    def scale() -> Any:
        stamp, pixels = next(stamps) / 10, camera.project(points)
        is_seen = visible(points, pixels, size)
        evidence = evidence_of_points(points[is_seen, 2], pixels[is_seen], depth)
        window.add(stamp, evidence)
        return window.estimate(stamp)

    for _ in range(100):  # as many as a window holds
        scale()
    return scale


def _cloud(rays: tuple[np.ndarray, np.ndarray], labels: np.ndarray) -> Callable[[], Any]:
    """What fills a PointCloud2 that is there."""
    from std_msgs.msg import Header

    from ..ros import messages

    arrays = (Header(), _depth(labels.shape), rays, frames(labels.shape)[0], labels)
    cloud = messages.cloud_message(*arrays)
    return partial(messages.cloud_message, *arrays, into=cloud)


@torch.inference_mode()
def _peak(scores: np.ndarray, size: tuple[int, int], way: str) -> float:
    ways(np.ascontiguousarray(scores[:, :2, :2]), (8, 8))[way]()  # loads and compiles its needs
    return memory.peak_of(ways(scores, size)[way])
