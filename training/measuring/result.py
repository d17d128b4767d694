"""Measuring: the paper's metrics of a network over a set of samples."""

from __future__ import annotations

import itertools
import math
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from sosd_ros.camera import focal_correction
from sosd_ros.labels import UNLABELLED
from sosd_ros.network import Output, input_size, prepare
from sosd_ros.progress import progress_bar

from .. import distributed
from ..config import Data
from ..data import nyuv2
from ..data.loader import Batch, evaluation_batches
from ..data.sample import DataSet, Part, Samples
from ..data.sets import data_set as data_set_of
from ..metrics import (
    Calibration,
    ConfusionMatrix,
    DepthEdges,
    DepthErrors,
    ErrorsByDistance,
    Measure,
    Scale,
    Spread,
    Trimap,
)
from ..networks.imagenet import Normalisation
from ..networks.trained import Model

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

    @property
    def averages(self) -> bool:
        """Whether answers are means over views: of probabilities, and not of scores."""
        return len(self.views()) > 1

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


@dataclass(frozen=True)
class Result:
    """What was measured of a set; without what a network or its data set lacks.

    Attributes:
        names: of the images.
        measures: by name, ``semantic``, ``trimap``, ``calibration``, ``depth``, ``by_distance``,
            ``by_answer``, ``scale``, ``edges`` and ``spread``; each has a row for every image, in
            the order of ``names``.
    """

    names: tuple[str, ...]
    measures: Mapping[str, Measure]

    @property
    def semantic(self) -> dict[str, float]:
        """``mIoU``, ``mAcc``, ``pAcc``."""
        matrix = self.measures.get("semantic")
        return matrix.summary() if isinstance(matrix, ConfusionMatrix) else {}

    @property
    def depth(self) -> dict[str, float]:
        """Those of ``metrics.DEPTH_METRICS``, pooled over all valid pixels of the set."""
        return self.measures["depth"].pooled() if "depth" in self.measures else {}

    @property
    def depth_per_image(self) -> dict[str, float]:
        """The same as the mean over the images."""
        errors = self.measures.get("depth")
        return errors.per_image() if isinstance(errors, DepthErrors) else {}

    @property
    def iou(self) -> list[float]:
        """Of each class, NaN for one that does not occur."""
        return self.measures["semantic"].pooled()["iou"] if "semantic" in self.measures else []

    @property
    def confusion(self) -> np.ndarray:
        """(classes, classes) int64 pixels by true and predicted class."""
        matrix = self.measures.get("semantic")
        return matrix.total() if matrix else np.zeros((0, 0), np.int64)

    def pooled(self) -> dict[str, float]:
        """The paper's metrics over the whole set, by name."""
        return {**self.semantic, **self.depth}


def measures_of(
    tasks: Sequence[str], data_set: DataSet, *, details: bool = False
) -> dict[str, Measure]:
    """Measures of nothing yet: what the paper measures, and in detail what people see.

    That of the spread stays empty if the network answers none.
    """
    classes, kind = len(data_set.labels.names), data_set.depth.kind
    measures: dict[str, Measure] = {}
    if "semantic" in tasks:
        measures["semantic"] = ConfusionMatrix(classes)
        if details:
            measures |= {"trimap": Trimap(classes), "calibration": Calibration()}
    if "depth" in tasks:
        measures["depth"] = DepthErrors(kind)
        if details and kind == "metres":
            measures |= {
                "by_distance": ErrorsByDistance("truth"),
                "by_answer": ErrorsByDistance("answer"),
                "scale": Scale(),
                "edges": DepthEdges(),
                "spread": Spread(),
            }
    return measures


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
    details: bool = False,
    after_batch: Callable[[], None] = lambda: None,
) -> Result:
    """Metrics over a set, at the truth's own size.

    Processes that work together take every n-th sample each, and all get the whole's result.

    Args:
        network: is put into evaluation mode. It may answer 40 classes where the truth has the 13
            groups of NYU Depth v2.
        trained_size: (height, width) of the network's input in training; images are brought near
            it as the robot does.
        normalisation: of the network's input.
        details: all metrics, which take about as long as a compact network does; else the paper's.
        after_batch: called after every batch; it may raise to stop the evaluation.

    Raises:
        ValueError: if the network's classes are not those of the truth, or the protocol does not
            suit the data set.
        DataError: if a sample cannot be read.
    """
    protocol.check(data_set)
    network.eval()
    measures = measures_of(network.tasks, data_set, details=details)
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
            for index in range(len(images)):
                answer = {task: values[index] for task, values in answers.items()}
                if "semantic" in answer:
                    scores = answer["semantic"]
                    _add_classes(measures, scores, truth.labels[index].numpy(), data_set, protocol)
                if "depth" in answer:
                    depth = truth.depth[index].numpy()
                    _add_depth(measures, answer["depth"], answer.get("spread"), depth)
            bar.update(len(images))
            after_batch()
    return _together(samples.names, distributed.gather((part.indices, measures)))


def _add_classes(
    measures: Mapping[str, Measure],
    scores: torch.Tensor,
    truth: np.ndarray,
    data_set: DataSet,
    protocol: Protocol,
) -> None:
    """Add one image's (classes, H, W) scores."""
    best, likeliest = scores.max(0)
    labels = _grouped(likeliest.cpu(), len(scores), data_set)
    for name in ("semantic", "trimap"):
        if name in measures:
            measures[name].add(labels, truth)
    if "calibration" in measures:
        # Of the class that the network answers, though its group may be right when it is not.
        sure = best if protocol.averages else (best - scores.logsumexp(0)).exp()
        measures["calibration"].add(labels, truth, sure.cpu().numpy())


def _add_depth(
    measures: Mapping[str, Measure],
    answer: torch.Tensor,
    spread: torch.Tensor | None,
    truth: np.ndarray,
) -> None:
    """Add one image's (H, W) depth, and its spread if there is one."""
    predicted = answer.cpu().numpy()
    for name in ("depth", "by_distance", "by_answer", "scale", "edges"):
        if name in measures:
            measures[name].add(predicted, truth)
    if "spread" in measures and spread is not None:
        measures["spread"].add(predicted, truth, spread.cpu().numpy())


def _together(
    names: Sequence[str], parts: Sequence[tuple[Sequence[int], Mapping[str, Measure]]]
) -> Result:
    """The whole set, in its order, of what each process has measured of which images."""
    indices = [index for part, _ in parts for index in part]
    order = np.argsort(indices)
    measures = {}
    for name, first in parts[0][1].items():
        rows = [row for _, measured in parts for row in measured[name].rows]
        if rows:
            measures[name] = first.of([rows[place] for place in order])
    return Result(tuple(names[index] for index in sorted(indices)), measures)


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
        parts.append(depth_in_words(data, truth))
    return ", ".join(parts)


def depth_in_words(data: Data, truth: DataSet) -> str:
    """Which depth is the truth."""
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
        ``depth`` (N, H, W) in the data set's unit, and its ``spread``; ``semantic``
        (N, classes, H, W), the larger the likelier.
    """
    sums: dict[str, torch.Tensor] = {}
    for view in view_answers(network, images, data_set, trained_size, normalisation, protocol):
        if "semantic" in view and protocol.averages:
            # Probabilities have one measure in all views; a single view needs none, and is
            # answered by its logits, as on the robot.
            view["semantic"] = view["semantic"].softmax(1)
        for task, answer in view.items():
            sums[task] = sums.get(task, 0) + answer
    return {task: total / len(protocol.views()) for task, total in sums.items()}


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
        ``depth`` (N, *size) in the data set's unit, and its ``spread`` if the network has one;
        ``semantic`` (N, classes, *size) logits.
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
        if output.spread is not None:
            view["spread"] = output.spread  # of log depth, which no factor changes
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


def _grouped(labels: torch.Tensor, answered: int, data_set: DataSet) -> np.ndarray:
    """Labels among ``answered`` classes, (H, W) int64, as classes of the truth."""
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
