"""Metrics of a network over a set of samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sosd_ros.progress import progress_bar

from .. import distributed
from ..data import nyuv2
from ..data.loader import Batch, evaluation_batches
from ..data.sample import DataSet, Part, Samples
from ..metrics import (
    Calibration,
    ConfusionMatrix,
    DepthEdges,
    DepthErrors,
    ErrorsByDistance,
    Measure,
    Scale,
    ScaledByPoints,
    Spread,
    Trimap,
)
from ..networks.oracle import tell
from ..networks.predictor import Predictor
from .protocol import COMPARISON, Protocol


@dataclass(frozen=True)
class Result:
    """What was measured of a set; without what a network or its data set lacks.

    Attributes:
        names: of the images.
        measures: by name, ``semantic``, ``trimap``, ``calibration``, ``depth``, ``by_distance``,
            ``by_answer``, ``scale``, ``points``, ``edges`` and ``spread``; each has a row for every
            image, in the order of ``names``.
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
                "points": ScaledByPoints(),
                "edges": DepthEdges(),
                "spread": Spread(),
            }
    return measures


@torch.inference_mode()
def measure(
    predictor: Predictor,
    samples: Samples,
    truth: DataSet,
    *,
    batch_size: int = 4,
    workers: int = 1,
    protocol: Protocol = COMPARISON,
    details: bool = False,
    after_batch: Callable[[], None] = lambda: None,
) -> Result:
    """Metrics over a set, at the truth's own size.

    Processes that work together take every n-th sample each, and all get the whole's result.

    Args:
        predictor: its network is put into evaluation mode. It may answer 40 classes where the truth
            has the 13 groups of NYU Depth v2.
        truth: the data set of the samples.
        details: all metrics, which take about as long as a compact network does; else the paper's.
        after_batch: called after every batch; it may raise to stop the evaluation.

    Raises:
        ValueError: if the network's classes are not those of the truth, or the protocol does not
            suit the data set.
        DataError: if a sample cannot be read.
    """
    protocol.check(truth)
    predictor.network.eval()
    tasks = [task for task in predictor.network.tasks if task in truth.tasks]
    measures = measures_of(tasks, truth, details=details)
    part = Part(samples, range(distributed.rank(), len(samples), distributed.processes()))
    with progress_bar(
        desc="evaluate",
        total=len(part),
        unit="img",
        leave=False,
        disable=distributed.rank() != 0,
    ) as bar:
        for batch in evaluation_batches(part, batch_size, workers=workers):
            wanted = protocol.truth(batch)
            tell(predictor.network, batch.labels)
            answers = _mean_answers(predictor, batch.images, protocol)
            _add(measures, answers, wanted, truth, protocol)
            bar.update(len(batch.images))
            after_batch()
    return _together(samples.names, distributed.gather((part.indices, measures)))


def _mean_answers(
    predictor: Predictor, images: torch.Tensor, protocol: Protocol
) -> dict[str, torch.Tensor]:
    """The mean of what the network answers to every view of (N, H, W, 3) images, by task.

    Returns:
        ``depth`` (N, H, W) in the data set's unit, and its ``spread``; ``semantic``
        (N, classes, H, W), the larger the likelier.
    """
    views = protocol.views()
    sums: dict[str, torch.Tensor] = {}
    for view in predictor.answers(images, views):
        if "semantic" in view and protocol.averages:
            # Probabilities have one measure in all views; a single view needs none, and is
            # answered by its logits, as on the robot.
            view["semantic"] = view["semantic"].softmax(1)
        for task, answer in view.items():
            sums[task] = sums.get(task, 0) + answer
    return {task: total / len(views) for task, total in sums.items()}


def _add(
    measures: Mapping[str, Measure],
    answers: Mapping[str, torch.Tensor],
    truth: Batch,
    data_set: DataSet,
    protocol: Protocol,
) -> None:
    """Add each image of a batch."""
    for index in range(len(truth.images)):
        answer = {task: values[index] for task, values in answers.items()}
        if "semantic" in measures:
            labels = truth.labels[index].numpy()
            _add_classes(measures, answer["semantic"], labels, data_set, protocol)
        if "depth" in measures:
            depth = truth.depth[index].numpy()
            _add_depth(measures, answer["depth"], answer.get("spread"), depth)


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
    for name in ("depth", "by_distance", "by_answer", "scale", "points", "edges"):
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
