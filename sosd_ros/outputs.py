"""A frame's answers as they are published and written: pixels where the camera sees, and points."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from . import kernels
from .labels import UNLABELLED
from .lens import Maps

if TYPE_CHECKING:  # imports torch, which who reads messages alone need not wait for
    from .engine import Perception

MAX_DEPTH_16UC1 = 65.535  # metres, as many millimetres as 16 bits hold


def blank(answer: Perception, maps: Maps | None, x_over_z: np.ndarray | None) -> None:
    """Take back, in place, what was answered where the camera sees nothing.

    By arithmetic: to choose pixels by a mask takes ten times as long.

    Args:
        answer: for one image, (H, W) each.
        maps: that have rectified the image; ``None``: it came as it is.
        x_over_z: of the rays of an image that is not rectified, NaN where there is none.
    """
    nothing = None
    if x_over_z is not None:
        nothing = x_over_z * 0  # NaN, where there is no ray
    elif maps is not None:
        nothing = maps.nothing
        if answer.labels is not None:
            np.bitwise_or(answer.labels, maps.outside, out=answer.labels)  # UNLABELLED
        if answer.confidence is not None:
            np.bitwise_and(answer.confidence, ~maps.outside, out=answer.confidence)
    for metres in (answer.depth, answer.uncertainty):
        if metres is not None and nothing is not None:
            np.add(metres, nothing, out=metres)


def millimetres(depth: np.ndarray) -> np.ndarray:
    """Depth as REP 118 also allows it: (H, W) uint16 millimetres, rounded.

    Args:
        depth: (H, W) float32 metres along z. NaN, infinite and negative depth, and depth beyond
            65.535 m, becomes 0, which means invalid.
    """
    check_array("depth", depth, np.float32, ("H", "W"))
    fits = (depth > 0) & (depth <= MAX_DEPTH_16UC1)  # false for NaN
    scaled = np.where(fits, depth, 0)
    scaled *= 1000
    np.rint(scaled, out=scaled)
    return scaled.astype(np.uint16)


def cloud_fields(labelled: bool, doubtful: bool) -> list[str]:
    """The four-byte values of a point, in their order.

    They are x, y, z, the colour as 0x00RRGGBB in the bits of a float32, as PCL and RViz expect it,
    the label as uint32, the type of PCL's PointXYZRGBL, and the uncertainty. Alignment to four
    bytes would make a uint8 as big. So a point has 16 bytes, 20 with labels, and 4 more with
    uncertainty, without padding.

    Args:
        labelled, doubtful: whether it has the fields ``label`` and ``uncertainty``.
    """
    return ["x", "y", "z", "rgb", *["label"] * labelled, *["uncertainty"] * doubtful]


def cloud_shape(size: tuple[int, int], step: int) -> tuple[int, int]:
    """Height and width of the cloud of an image of a (height, width)."""
    height, width = size
    return -(-height // step), -(-width // step)


def write_cloud(
    floats: np.ndarray,
    depth: np.ndarray,
    rays: tuple[np.ndarray, np.ndarray],
    rgb: np.ndarray,
    labels: np.ndarray | None,
    step: int = 1,
    beyond: float = math.nan,
    centre: tuple[float, float] = (0.0, 0.0),
    uncertainty: np.ndarray | None = None,
) -> None:
    """Write an organised cloud: one point per pixel, or for every ``step``-th row and column.

    Args:
        floats: where to, float32 of ``cloud_shape`` and the length of ``cloud_fields``.
        depth: (H, W) float32 metres along z; where it is not finite, there is no point: NaN.
        rays: x/z and y/z, float32: of each column, (1, W), and of each row, (H, 1), or of each
            pixel, both (H, W). Where they are NaN, depth has to be so as well.
        rgb: (H, W, 3) uint8.
        labels: (H, W) uint8 class ids; ``None`` leaves the field out.
        beyond: metres along z at which to put points of +inf depth. Nothing was measured there, so
            they keep their colour but are unlabelled. NaN: there are no such points.
        centre: x and y of the camera's optical centre in the frame, in metres.
        uncertainty: (H, W) float32, one standard deviation of depth in metres, which becomes a
            field of that name; ``None`` leaves it out.
    """
    check_array("depth", depth, np.float32, ("H", "W"))
    height, width = depth.shape
    bent = all(ray.shape == depth.shape for ray in rays)
    check_array("x/z", rays[0], np.float32, (height if bent else 1, width))
    check_array("y/z", rays[1], np.float32, (height, width if bent else 1))
    check_array("rgb", rgb, np.uint8, (height, width, 3))
    if labels is None:
        labels = np.empty((0, width), np.uint8)
    else:
        check_array("labels", labels, np.uint8, (height, width))
    if uncertainty is None:
        uncertainty = np.empty((0, width), np.float32)
    else:
        check_array("uncertainty", uncertainty, np.float32, (height, width))
    arrays = map(kernels.plain, (depth, *rays, rgb, labels, uncertainty))
    inputs = (*arrays, step, np.float32(beyond), UNLABELLED)
    kernels.in_bands(len(floats), (kernels.cloud, *inputs, floats, floats.view("<u4")))
    if any(centre):
        floats[..., :2] += np.array(centre, np.float32)


def check_array(
    name: str, values: np.ndarray, dtype: type[np.generic], shape: tuple[int | str, ...]
) -> None:
    """Refuse an array of another type or shape; letters in ``shape`` stand for any length.

    Raises:
        ValueError: naming the array, what it is and what was expected.
    """
    fits = len(shape) == values.ndim and all(
        isinstance(expected, str) or expected == length
        for expected, length in zip(shape, values.shape, strict=False)
    )
    if not fits or values.dtype != dtype:
        raise ValueError(
            f"{name} is {values.dtype} of shape {values.shape}, expected {np.dtype(dtype)} of "
            f"shape ({', '.join(map(str, shape))}); convert it first"
        )
