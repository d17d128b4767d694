"""A cloud, straight into its message."""

from __future__ import annotations

import numpy as np

from .compiled import compiled


@compiled
def cloud(
    first: int,
    last: int,
    depth: np.ndarray,
    x_over_z: np.ndarray,
    y_over_z: np.ndarray,
    rgb: np.ndarray,
    labels: np.ndarray,
    uncertainty: np.ndarray,
    step: int,
    beyond: float,
    unlabelled: int,
    points: np.ndarray,
    integers: np.ndarray,
) -> None:
    """Rows ``first`` to ``last`` of x, y, z, colour, label and uncertainty.

    Args:
        depth: (H, W) float32 metres; what is not finite becomes a point of NaN.
        x_over_z, y_over_z: float32, the rays: (1 or H, W) and (H, 1 or W), as they broadcast to the
            image.
        rgb: (H, W, 3) uint8.
        labels: (H, W) uint8; without rows: no field of labels.
        uncertainty: (H, W) float32; without rows: no field of uncertainty.
        step: every how many rows and columns of the image there is a point.
        beyond: float32 metres along z that +inf stands for; NaN: none.
        unlabelled: the label of such a point.
        points: (h, w, 4 to 6) float32, written.
        integers: the same memory as uint32.
    """
    labelled, doubtful = labels.shape[0] > 0, uncertainty.shape[0] > 0
    bent_x, bent_y = x_over_z.shape[0] > 1, y_over_z.shape[1] > 1
    for row in range(first, last):
        y = row * step
        x_row = y if bent_x else 0
        for column in range(points.shape[1]):
            x = column * step
            z = depth[y, x]
            is_beyond = z == np.inf and beyond == beyond  # which NaN is not
            z = beyond if is_beyond else z
            z = z if z - z == 0 else np.float32(np.nan)  # inf - inf is NaN as well
            points[row, column, 0] = z * x_over_z[x_row, x]
            points[row, column, 1] = z * y_over_z[y, x if bent_y else 0]
            points[row, column, 2] = z
            integers[row, column, 3] = (
                np.uint32(rgb[y, x, 0]) << 16 | np.uint32(rgb[y, x, 1]) << 8 | rgb[y, x, 2]
            )
            if labelled:
                integers[row, column, 4] = unlabelled if is_beyond else labels[y, x]
            if doubtful:
                points[row, column, 4 + labelled] = uncertainty[y, x]
