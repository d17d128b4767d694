"""Where one frame lies in another, by tf2."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from rclpy.node import Node
from rclpy.time import Time

try:
    import tf2_ros
except ImportError:  # optional: sensors may speak in the camera's own frame
    tf2_ros = None

MISSING = "the package tf2_ros is not installed (apt: tf2-ros-py): install it"


class NoTransformError(Exception):
    """A frame's place is not known (yet); in words that name both frames."""


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


class Transforms:
    """Listens to tf while it lives, and never waits for it.

    Args:
        node: that subscribes.
    """

    def __init__(self, node: Node) -> None:
        self._buffer: Any = None
        self._listener: Any = None
        if tf2_ros is not None:
            self._buffer = tf2_ros.Buffer()
            self._listener = tf2_ros.TransformListener(self._buffer, node)

    def close(self) -> None:
        if self._listener is not None:
            self._listener.unregister()

    def clear(self) -> None:
        """Forget what moves, since time has jumped back; tf2 takes nothing older than it has."""
        if self._buffer is not None:
            self._buffer.clear()

    def pose(self, frame: str, within: str, stamp: int) -> Pose:
        """Where a frame lies within another.

        Args:
            stamp: of when, in nanoseconds.

        Raises:
            NoTransformError: if that is not known.
        """
        if frame == within:
            return SAME
        if not (frame and within):
            raise NoTransformError(f"a frame has no name: {frame!r}, {within!r}")
        if self._buffer is None:
            raise NoTransformError(f"the frame {frame} has no known place in {within}: {MISSING}")
        try:
            found = self._buffer.lookup_transform_core(within, frame, Time(nanoseconds=stamp))
        except tf2_ros.TransformException as error:
            raise NoTransformError(
                f"the frame {frame} has no known place in {within} at the image's stamp: {error}"
            ) from error
        turn, place = found.transform.rotation, found.transform.translation
        pose = Pose(
            _matrix(np.array([turn.w, turn.x, turn.y, turn.z])),
            np.array([place.x, place.y, place.z]),
        )
        if not (np.isfinite(pose.rotation).all() and np.isfinite(pose.origin).all()):
            raise NoTransformError(f"tf from {frame} to {within} has numbers that are not finite")
        return pose


def _matrix(quaternion: np.ndarray) -> np.ndarray:
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
