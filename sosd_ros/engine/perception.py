"""What every engine answers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..network import tasks_of
from ..weights import Manifest

# The network's task that makes each answer.
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


class EngineError(RuntimeError):
    """An engine that cannot be made; the message says why and what to do."""


class Perception(NamedTuple):
    """The answers for a batch of images, at the images' own size; ``None`` if not asked for.

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
