"""Where one frame lies in another."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Pose(NamedTuple):
    """Where a frame lies in another.

    Attributes:
        rotation: (3, 3) float64, from its axes to those of the other.
        origin: (3,) float64, its origin in the other, in metres.
    """

    rotation: np.ndarray
    origin: np.ndarray

    def of(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 3) of the frame in the other, float64."""
        return points @ self.rotation.T + self.origin


SAME = Pose(np.eye(3), np.zeros(3))


def rotation(quaternion: np.ndarray) -> np.ndarray:
    """The rotation (3, 3) of a quaternion w, x, y, z; NaN if that is 0."""
    with np.errstate(invalid="ignore"):
        w, x, y, z = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
