"""What every engine answers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# The network's task that makes each answer.
TASK_OF = {"depth": "depth", "semantic": "semantic", "confidence": "semantic"}


class EngineError(RuntimeError):
    """An engine that cannot be made; the message says why and what to do."""


class Perception(NamedTuple):
    """The answers for a batch of images, at the images' own size; ``None`` if not asked for.

    Attributes:
        depth: (N, H, W) float32 metres along z; NaN invalid, +inf beyond the range.
        labels: (N, H, W) uint8 class ids.
        confidence: (N, H, W) uint8, the softmax probability of that class, 255 for certainty.
    """

    depth: np.ndarray | None
    labels: np.ndarray | None
    confidence: np.ndarray | None
