"""Where one frame lies in another, by tf2."""

from __future__ import annotations

from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.time import Time

from ..poses import SAME, Pose, rotation

try:
    import tf2_ros
except ImportError:  # optional: sensors may speak in the camera's own frame
    tf2_ros = None

MISSING = "the package tf2_ros is not installed (apt: tf2-ros-py): install it"


class NoTransformError(Exception):
    """A frame's place is not known (yet); in words that name both frames."""


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
            rotation(np.array([turn.w, turn.x, turn.y, turn.z])),
            np.array([place.x, place.y, place.z]),
        )
        if not (np.isfinite(pose.rotation).all() and np.isfinite(pose.origin).all()):
            raise NoTransformError(f"tf from {frame} to {within} has numbers that are not finite")
        return pose
