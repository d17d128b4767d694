"""Measuring: the paper's metrics of a network over a set of samples."""

from __future__ import annotations

import itertools
import math
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from sosd_ros.camera import focal_correction
from sosd_ros.labels import UNLABELLED
from sosd_ros.network import Output, input_size, prepare
from sosd_ros.progress import progress_bar

from . import distributed
from .config import Data
from .data import nyuv2
from .data.loader import Batch, evaluation_batches
from .data.sample import DataSet, Part, Samples
from .data.sets import data_set as data_set_of
from .imagenet import Normalisation
from .metrics import ConfusionMatrix, DepthErrors, ErrorsByDistance
from .model import Model

# Where Eigen et al. (NIPS 2014) measure in the 480x640 pixels of NYU Depth v2.
_EIGEN_SIZE = (480, 640)
_EIGEN_CROP = (slice(45, 471), slice(41, 601))


@dataclass(frozen=True)
class Protocol:
    """How a set is measured. The defaults are those of our comparison with the paper.

    Attributes:
        crop: where; ``eigen`` is rows 45 to 470 and columns 41 to 600 of NYU Depth v2's 480x640,
            for both tasks.
        cap: metres; truth beyond them is left out.
        flip: answer with the mean over every image and its mirror image.
        scales: answer with the mean over these sizes of the network's input, relative to its own.

    Raises:
        ValueError: if ``cap`` or a scale is not positive, or there is no scale.
    """

    crop: Literal["none", "eigen"] = "none"
    cap: float | None = None
    flip: bool = False
    scales: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if self.cap is not None and not self.cap > 0:
            raise ValueError(f"cap is {self.cap:g}, expected a positive number of metres")
        if not self.scales or not all(0 < scale < math.inf for scale in self.scales):
            raise ValueError(f"scales are {self.scales}, expected one or more positive numbers")

    def __str__(self) -> str:
        parts = ["full frame" if self.crop == "none" else "Eigen crop [45:471, 41:601]"]
        if self.cap is not None:
            parts.append(f"depth up to {self.cap:g} m")
        scales = "+".join(f"{scale:g}" for scale in self.scales)
        parts.append("single scale" if self.scales == (1.0,) else f"scales {scales}")
        return ", ".join(parts) + (" with mirror images" if self.flip else "")

    def views(self) -> list[tuple[float, bool]]:
        """Every (scale, mirrored) in which the network gets to see an image."""
        return list(itertools.product(self.scales, (False, True) if self.flip else (False,)))

    def check(self, data_set: DataSet) -> None:
        """Refuse what means nothing for this data.

        Raises:
            ValueError: if it has disparity, and crop or cap are set.
        """
        limited = self.crop != "none" or self.cap is not None
        if limited and data_set.depth.kind != "metres":
            raise ValueError(
                f"crop and cap are for depth in metres, but {data_set.title} has disparity; "
                "leave them out"
            )

    def truth(self, batch: Batch) -> Batch:
        """The batch, with all that is not to be measured made unknown.

        Raises:
            ValueError: if the crop is not of images of this size.
        """
        if self.crop == "none" and self.cap is None:
            return batch
        outside = torch.tensor(False)
        if self.crop == "eigen":
            outside = ~_eigen_crop(tuple(batch.labels.shape[1:]))
        too_far = batch.depth > (self.cap or math.inf)
        return batch._replace(
            depth=batch.depth.masked_fill(outside | too_far, math.nan),
            labels=batch.labels.masked_fill(outside, UNLABELLED),
        )


class Result(NamedTuple):
    """Metrics by name; without those of a task that the network lacks.

    Attributes:
        semantic: ``mIoU``, ``mAcc``, ``pAcc``.
        depth: those of ``metrics.DEPTH_METRICS``, pooled over all valid pixels of the set.
        depth_per_image: the same as the mean over the images.
        by_distance: those of ``metrics.ErrorsByDistance``; none for disparity.
        iou: of each class, NaN for one that does not occur.
        confusion: (classes, classes) int64 pixels by true and predicted class.
    """

    semantic: dict[str, float]
    depth: dict[str, float]
    depth_per_image: dict[str, float]
    by_distance: list[dict[str, float]]
    iou: list[float]
    confusion: np.ndarray

    def pooled(self) -> dict[str, float]:
        """All metrics over the whole set, by name."""
        return {**self.semantic, **self.depth}


class Network(typing.Protocol):
    """What can be measured: a ``SOSDNet``, or what answers like one."""

    @property
    def tasks(self) -> tuple[str, ...]: ...

    def eval(self) -> Any: ...

    def __call__(self, images: torch.Tensor, *, size: tuple[int, int]) -> Output: ...


@torch.inference_mode()
def evaluate(
    network: Network,
    samples: Samples,
    data_set: DataSet,
    *,
    trained_size: tuple[int, int],
    normalisation: Normalisation,
    device: str = "cpu",
    batch_size: int = 4,
    workers: int = 1,
    protocol: Protocol = Protocol(),
    after_batch: Callable[[], None] = lambda: None,
) -> Result:
    """All metrics over a set, at the truth's own size.

    Processes that work together take every n-th sample each, and all get the whole's result.

    Args:
        network: is put into evaluation mode. It may answer 40 classes where the truth has the 13
            groups of NYU Depth v2.
        trained_size: (height, width) of the network's input in training; images are brought near
            it as the robot does.
        normalisation: of the network's input.
        after_batch: called after every batch; it may raise to stop the evaluation.

    Raises:
        ValueError: if the network's classes are not those of the truth, or the protocol does not
            suit the data set.
        DataError: if a sample cannot be read.
    """
    protocol.check(data_set)
    network.eval()
    classes = len(data_set.labels.names) if "semantic" in network.tasks else 0
    kind = data_set.depth.kind
    confusion, errors, by_distance = ConfusionMatrix(classes), DepthErrors(kind), ErrorsByDistance()
    part = Part(samples, range(distributed.rank(), len(samples), distributed.processes()))
    with progress_bar(
        desc="evaluate",
        total=len(part),
        unit="img",
        leave=False,
        disable=distributed.rank() != 0,
    ) as bar:
        for batch in evaluation_batches(part, batch_size, workers=workers):
            truth = protocol.truth(batch)
            images = batch.images.to(device)
            answers = _answers(network, images, data_set, trained_size, normalisation, protocol)
            if "semantic" in answers:
                confusion.add(_labels(answers["semantic"], data_set), truth.labels.numpy())
            if "depth" in answers:
                for predicted, known in zip(answers["depth"].cpu(), truth.depth, strict=True):
                    errors.add(predicted.numpy(), known.numpy())
                    if kind == "metres":
                        by_distance.add(predicted.numpy(), known.numpy())
            bar.update(len(images))
            after_batch()
    confusion = sum(distributed.gather(confusion), ConfusionMatrix(classes))
    errors = sum(distributed.gather(errors), DepthErrors(kind))
    by_distance = sum(distributed.gather(by_distance), ErrorsByDistance())
    return Result(
        semantic=confusion.summary() if "semantic" in network.tasks else {},
        depth=errors.pooled() if "depth" in network.tasks else {},
        depth_per_image=errors.per_image() if "depth" in network.tasks else {},
        by_distance=by_distance.summary(),
        iou=confusion.iou().tolist(),
        confusion=confusion.counts,
    )


def measure(
    model: Model, samples: Samples, data_set: DataSet, *, device: str = "cpu", **options: Any
) -> Result:
    """:func:`evaluate` a file's network, which says itself how its inputs are prepared."""
    manifest = model.manifest
    return evaluate(
        model.network.to(device),
        samples,
        data_set,
        trained_size=manifest.input_size,
        normalisation=Normalisation(manifest.mean, manifest.std),
        device=device,
        **options,
    )


def setting(model: Model, data: Data, samples: Samples, split: str) -> str:
    """What a file's network is measured on, in words: images, classes, and which depth."""
    truth = data_set_of(data)
    height, width = samples[0].labels.shape
    parts = [f"{truth.title} {split}", f"{len(samples)} images at {height}x{width}"]
    if "semantic" in model.network.tasks:
        answered, known = len(model.manifest.labels.names), len(truth.labels.names)
        parts.append(
            f"{known} classes" + (f" grouped from {answered}" if answered != known else "")
        )
    if "depth" in model.network.tasks:
        parts.append(_depth_in_words(data, truth))
    return ", ".join(parts)


def _depth_in_words(data: Data, truth: DataSet) -> str:
    if truth.depth.kind == "metres":
        return "raw depth" if data.raw_depth else "in-painted depth"
    divided = f" divided by {data.disparity_divisor:g}" if data.disparity_divisor != 1 else ""
    return "disparity in pixels of the full-size images" + divided


def _answers(
    network: Network,
    images: torch.Tensor,
    data_set: DataSet,
    trained_size: tuple[int, int],
    normalisation: Normalisation,
    protocol: Protocol,
) -> dict[str, torch.Tensor]:
    """The mean of what the network answers to every view of (N, H, W, 3) images, by task.

    Returns:
        ``depth`` (N, H, W) in the data set's unit; ``semantic`` (N, classes, H, W), the larger
        the likelier.
    """
    views = protocol.views()
    sums: dict[str, torch.Tensor] = {}
    for view in view_answers(network, images, data_set, trained_size, normalisation, protocol):
        if "semantic" in view and len(views) > 1:
            # Probabilities have one measure in all views; a single view needs none, and is
            # answered by its logits, as on the robot.
            view["semantic"] = view["semantic"].softmax(1)
        for task, answer in view.items():
            sums[task] = sums.get(task, 0) + answer
    return {task: total / len(views) for task, total in sums.items()}


def view_answers(
    network: Network,
    images: torch.Tensor,
    data_set: DataSet,
    trained_size: tuple[int, int],
    normalisation: Normalisation,
    protocol: Protocol,
    size: tuple[int, int] | None = None,
) -> Iterator[dict[str, torch.Tensor]]:
    """What the network answers to each view of (N, H, W, 3) images, by task.

    Args:
        size: (height, width) of the answers; the images' own if empty.

    Yields:
        ``depth`` (N, *size) in the data set's unit; ``semantic`` (N, classes, *size) logits.
        Answers to mirror images are mirrored back.
    """
    image_size = (images.shape[1], images.shape[2])
    for scale, mirrored in protocol.views():
        scaled = (round(trained_size[0] * scale), round(trained_size[1] * scale))
        seen = input_size(image_size, scaled)
        inputs = prepare(images, seen, *normalisation)
        output = network(inputs.flip(-1) if mirrored else inputs, size=size or image_size)
        view = {}
        if output.depth is not None:
            view["depth"] = output.depth * correction(data_set, seen, trained_size)
        if output.logits is not None:
            view["semantic"] = output.logits
        yield {task: answer.flip(-1) if mirrored else answer for task, answer in view.items()}


def correction(data_set: DataSet, seen: tuple[int, int], trained: tuple[int, int]) -> float:
    """What the depth answered for an input of size ``seen`` is multiplied by.

    In a larger input everything has a longer focal length, and looks nearer than it is: metres
    must grow by as much, and disparity, which is their inverse, must shrink.
    """
    factor = focal_correction(data_set.focal(seen), data_set.focal(trained))
    return factor if data_set.depth.kind == "metres" else 1 / factor


def _labels(scores: torch.Tensor, data_set: DataSet) -> np.ndarray:
    """The likeliest class of every pixel, (N, H, W), among the classes of the truth."""
    labels = scores.argmax(1).cpu()
    answered = scores.shape[1]
    check_classes(answered, data_set)
    if answered != len(data_set.labels.names):
        labels = torch.tensor(nyuv2.GROUPS13)[labels] - 1
    return labels.numpy()


def check_classes(answered: int, data_set: DataSet) -> None:
    """Refuse a truth whose classes are neither those that a network answers, nor their groups.

    Raises:
        ValueError: with both numbers.
    """
    known = len(data_set.labels.names)
    if answered != known and (answered, known) != (40, 13):
        raise ValueError(
            f"the network answers {answered} classes, but the truth of {data_set.title} has "
            f"{known} here; measure it on the classes that it was trained with"
        )


def _eigen_crop(size: tuple[int, ...]) -> torch.Tensor:
    """True inside the crop: ``size``, bool."""
    if size != _EIGEN_SIZE:
        raise ValueError(
            f"crop eigen is defined for images of 480x640, but these are {size[0]}x{size[1]}; "
            "use crop none"
        )
    inside = torch.zeros(size, dtype=torch.bool)
    inside[_EIGEN_CROP] = True
    return inside
