"""What is asked of a network and of an engine, and what they answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from ..network import tasks_of
from ..weights import Manifest

# The network's task that makes each answer of an engine.
TASK_OF = {
    "depth": "depth",
    "semantic": "semantic",
    "confidence": "semantic",
    "uncertainty": "depth",
}


def answers_to(manifest: Manifest) -> frozenset[str]:
    """What a network can be asked for, of ``TASK_OF``."""
    tasks = tasks_of(manifest.variant)
    answers = {answer for answer, task in TASK_OF.items() if task in tasks}
    return frozenset(answers if manifest.spread else answers - {"uncertainty"})


class Range(NamedTuple):
    """What depth is answered as a number.

    Attributes:
        least, most: metres; nearer is answered as NaN, farther as +inf.
        uncertainty: share of the depth; where one standard deviation is more, it is NaN. Does
            nothing with weights that do not say how unsure they are.
    """

    least: float = 0.1
    most: float = 10.0
    uncertainty: float = math.inf


USUAL_RANGE = Range()


class Perception(NamedTuple):
    """An engine's answers for a batch of images, at the images' own size.

    ``None`` for what was not asked for.

    Attributes:
        depth: (N, H, W) float32 metres along z; NaN invalid, +inf beyond the range.
        labels: (N, H, W) uint8 class ids.
        confidence: (N, H, W) uint8, the softmax probability of that class, 255 for certainty.
        uncertainty: (N, H, W) float32 metres, one standard deviation of depth; NaN where that is
            NaN or infinite.
    """

    depth: np.ndarray | None
    labels: np.ndarray | None
    confidence: np.ndarray | None
    uncertainty: np.ndarray | None = None


class DevicePerception(NamedTuple):
    """A ``Perception`` that stays on the device: tensors instead of arrays."""

    depth: torch.Tensor | None
    labels: torch.Tensor | None
    confidence: torch.Tensor | None
    uncertainty: torch.Tensor | None = None


class Answers(NamedTuple):
    """The network's answers at its stride; ``None`` for what was not asked for.

    Attributes:
        depth: (N, h/8, w/8) float32 in the unit that the network was trained in. Of a network that
            answers at stride 4, all are (h/4, w/4).
        logits: (N, classes, h/8, w/8) float32 class scores.
        spread: (N, h/8, w/8) float32, the scale of a Laplace distribution over log depth; comes
            with depth, and is ``None`` of a network that has none.
    """

    depth: torch.Tensor | None
    logits: torch.Tensor | None
    spread: torch.Tensor | None = None

    @classmethod
    def named(cls, names: Sequence[str], tensors: Sequence[torch.Tensor]) -> Answers:
        """Those whose names are given; ``None`` for the others."""
        named = dict(zip(names, tensors, strict=True))
        return cls(*map(named.get, cls._fields))


def answer_names(manifest: Manifest) -> list[str]:
    """The names of a network's answers, of ``Answers`` and in that order."""
    tasks = tasks_of(manifest.variant)
    has = {"depth": "depth" in tasks, "logits": "semantic" in tasks, "spread": manifest.spread}
    return [name for name, is_there in has.items() if is_there]
