"""Where frames lie in each other, by the tf messages of a recording."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from sosd_ros.poses import SAME, Pose
from sosd_ros.recordings import seconds
from sosd_ros.stamps import nanoseconds

from ..data.errors import DataError

PATIENCE = 200_000_000  # nanoseconds beyond the first and the last transform of a frame


class _Edge:
    """A frame within its parent, at the times of its messages."""

    def __init__(self, parent: str, is_static: bool) -> None:
        self.parent, self.is_static = parent, is_static
        self._poses: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._times: list[int] | None = None  # sorted, once something is looked up

    def add(self, time: int, place: np.ndarray, quaternion: np.ndarray) -> None:
        self._poses[0 if self.is_static else time] = place, quaternion
        self._times = None

    def at(self, time: int) -> Pose | None:
        """Between the messages before and after; ``None`` where there is none near."""
        if self._times is None:
            self._times = sorted(self._poses)
        times = self._times
        if self.is_static:
            return _pose(*self._poses[0])
        if not times[0] - PATIENCE <= time <= times[-1] + PATIENCE:
            return None
        time = min(max(time, times[0]), times[-1])
        after = min(bisect_right(times, time), len(times) - 1)
        before = max(after - 1, 0)
        if times[before] == times[after]:
            return _pose(*self._poses[times[before]])
        share = (time - times[before]) / (times[after] - times[before])
        places, quaternions = zip(*(self._poses[times[i]] for i in (before, after)), strict=True)
        turn = Slerp([0.0, 1.0], Rotation.from_quat(np.stack(quaternions)))(share)
        return Pose(turn.as_matrix(), (1 - share) * places[0] + share * places[1])


class Transforms:
    """The tree of frames that /tf and /tf_static tell."""

    def __init__(self) -> None:
        self._edges: dict[str, _Edge] = {}

    def add(self, message: Any, is_static: bool) -> None:
        """A tf2_msgs/TFMessage."""
        for transform in message.transforms:
            parent, child = (
                name.lstrip("/") for name in (transform.header.frame_id, transform.child_frame_id)
            )
            edge = self._edges.get(child)
            if edge is None or edge.parent != parent or edge.is_static != is_static:
                edge = self._edges[child] = _Edge(parent, is_static)
            place, turn = transform.transform.translation, transform.transform.rotation
            quaternion = np.array([turn.x, turn.y, turn.z, turn.w])
            if not (np.isfinite(quaternion).all() and np.linalg.norm(quaternion) > 0):
                continue
            edge.add(
                nanoseconds(transform.header.stamp),
                np.array([place.x, place.y, place.z]),
                quaternion,
            )

    def pose(self, frame: str, within: str, time: int) -> Pose:
        """Where a frame lies within another.

        Args:
            time: nanoseconds.

        Raises:
            DataError: if the recording does not tell.
        """
        frame, within = frame.lstrip("/"), within.lstrip("/")
        if frame == within:
            return SAME
        up, other = self._to_root(frame, time), self._to_root(within, time)
        if (common := next((name for name in up if name in other), None)) is None:
            raise DataError(
                f"tf does not tell where {frame} lies in {within} at {seconds(time)}: it leads "
                f"from {frame} to {[*up][-1]} and from {within} to {[*other][-1]}; record /tf and "
                "/tf_static as well"
            )
        one, two = up[common], other[common]
        turn = two.rotation.T
        return Pose(turn @ one.rotation, turn @ (one.origin - two.origin))

    def _to_root(self, frame: str, time: int) -> dict[str, Pose]:
        """The pose of a frame in itself, in its parent and so on."""
        found = {frame: SAME}
        pose, name = SAME, frame
        while name in self._edges and (step := self._edges[name].at(time)) is not None:
            pose = Pose(step.rotation @ pose.rotation, step.of(pose.origin[None])[0])
            name = self._edges[name].parent
            if name in found:
                raise DataError(f"tf leads from {frame} in a circle by way of {name}")
            found[name] = pose
        return found


def _pose(place: np.ndarray, quaternion: np.ndarray) -> Pose:
    return Pose(Rotation.from_quat(quaternion).as_matrix(), place)
