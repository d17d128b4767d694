"""Whether answers to neighbouring images of a sequence agree."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sosd_ros.camera import Intrinsics

from .depth import METRIC_FLOOR
from .measure import Measure, Values, known, ratio

_SAME = 0.03  # share of the depth by which the depths of one surface may differ


@dataclass(frozen=True)
class Matches:
    """Pixels of an image whose surface was seen in the image before.

    Attributes:
        there: (H, W) bool, which pixels.
        places: (H, W, 2) float32, the column and the row in the image before; only where they are
            there.
        change: (H, W) float64, the true depth over that of then; only where they are there.
    """

    there: np.ndarray
    places: np.ndarray
    change: np.ndarray


def matches(
    camera: Intrinsics,
    depth: np.ndarray,
    pose: np.ndarray,
    depth_before: np.ndarray,
    pose_before: np.ndarray,
) -> Matches:
    """Follow surfaces back, by the true depth and the camera's true motion.

    What was hidden before, beside the image, or without a known depth, is not matched.

    Args:
        camera: of both images.
        depth, depth_before: (H, W) float32 metres along z; NaN or 0 where unknown.
        pose, pose_before: 4x4, from the camera's frame (x right, y down, z forward) to the world.
    """
    x, y = camera.rays()
    rays = np.stack(np.broadcast_arrays(x, y, np.float32(1)), axis=-1).astype(np.float64)
    moved = np.linalg.inv(pose_before) @ pose
    points = (rays * np.where(known(depth), depth, np.nan)[..., None]) @ moved[:3, :3].T
    points += moved[:3, 3]
    with np.errstate(invalid="ignore", divide="ignore"):
        then = np.where(points[..., 2] > 0, points[..., 2], np.nan)
        column = camera.fx * points[..., 0] / then + camera.cx
        row = camera.fy * points[..., 1] / then + camera.cy
        inside = (column >= 0) & (column <= camera.width - 1)
        inside &= (row >= 0) & (row <= camera.height - 1)
        places = np.stack([column, row], axis=-1).astype(np.float32)
        places[~inside] = 0
        seen = depth_before[tuple(np.rint(np.moveaxis(places, -1, 0)[::-1]).astype(int))]
        there = inside & known(seen) & (np.abs(seen / then - 1) < _SAME)
        return Matches(there, places, depth / then)


class Flicker(Measure):
    """By how much answers to neighbouring images differ where they show the same surface.

    The relative change of depth, beyond that by which the true depth changes, as |exp of the
    difference of logarithms - 1| would be for small ones: the mean of |log|. The share of pixels
    whose class changes. A row is: pixels with depth, over them the sum of |log|; pixels with
    labels, and how many of them change.
    """

    shape = (4,)

    def add(
        self,
        matched: Matches,
        depth: np.ndarray,
        depth_before: np.ndarray,
        labels: np.ndarray,
        labels_before: np.ndarray,
    ) -> None:
        """Add the answers to an image and the image before.

        Args:
            matched: their pixels.
            depth, depth_before: (H, W) float32 metres.
            labels, labels_before: (H, W) uint8 class ids.
        """
        there = matched.there
        columns, rows = np.moveaxis(matched.places, -1, 0)
        before = cv2.remap(depth_before, columns, rows, cv2.INTER_LINEAR)
        answered = np.maximum(depth, METRIC_FLOOR) / np.maximum(before, METRIC_FLOOR)
        change = np.abs(np.log(answered[there] / matched.change[there]))
        finite = np.isfinite(change)
        was = labels_before[np.rint(rows).astype(int), np.rint(columns).astype(int)]
        changed = np.count_nonzero((labels != was)[there])
        numbers = (finite.sum(), change[finite].sum(), there.sum(), changed)
        self.rows.append(np.array(numbers, np.float64))

    def metrics(self, sums: np.ndarray) -> Values:
        """``depth``, the mean relative change, and ``labels``, the share that changes."""
        with_depth, change, with_labels, changed = np.moveaxis(sums, -1, 0)
        return {"depth": ratio(change, with_depth), "labels": ratio(changed, with_labels)}
