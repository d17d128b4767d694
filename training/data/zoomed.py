"""Samples as cameras of other focal lengths would show them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sosd_ros.weights import DepthKind

from .sample import Sample, Samples
from .transforms import scale

_METRES = DepthKind("metres")


class Zoomed:
    """Samples in metres as if by a camera at the same place with another focal length.

    A longer one shows the middle. Of what a shorter one shows, only the middle is known: around it
    there is the mean colour, and no truth.

    Args:
        factor: of the focal length.
    """

    def __init__(self, samples: Samples, factor: float) -> None:
        self._samples, self._factor = samples, factor

    @property
    def names(self) -> Sequence[str]:
        return self._samples.names

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        sample = scale(self._samples[index], self._factor, 0.5, 0.5, _METRES)
        # Nothing has moved: in training, a larger picture stands for a nearer scene.
        return sample._replace(depth=sample.depth * np.float32(self._factor))
