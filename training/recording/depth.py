"""Depth in a recording: images of depth sensors, and points of a lidar seen by the camera."""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np

from sosd_ros.camera import Intrinsics
from sosd_ros.encodings import MAX_PIXELS, MessageError, check_size, in_memory
from sosd_ros.scale import visible

from ..data.files import metres

_BYTES = {"16UC1": 2, "mono16": 2, "32FC1": 4}
_PACKED = "compressedDepth"
_UNMEASURED = 65535  # millimetres, which some drivers say where they have measured nothing
_HEADER = struct.Struct("<iff")  # of compressed_depth_image_transport: format, A and B


def is_depth(message: Any) -> bool:
    """Whether a sensor_msgs/Image or CompressedImage is depth, by what it says of itself."""
    if hasattr(message, "encoding"):
        return message.encoding in _BYTES
    return _PACKED in message.format


def read_depth(message: Any) -> np.ndarray:
    """The depth in a sensor_msgs/Image, or in a CompressedImage of compressedDepth.

    Millimetres of 16 bits, or metres of 32, as REP 118 has them.

    Returns:
        (H, W) float32 metres, NaN where it is unknown; infinities are unknown as well.

    Raises:
        MessageError: if it is no depth, or its sizes do not fit together.
    """
    values = _of_image(message) if hasattr(message, "encoding") else _of_packed(message)
    if values.dtype == np.uint16:
        return metres(np.where(values == _UNMEASURED, 0, values).astype(np.uint16))
    return np.where(np.isfinite(values) & (values > 0), values, np.nan).astype(np.float32)


def _of_image(message: Any) -> np.ndarray:
    if message.encoding not in _BYTES:
        raise MessageError(
            "encoding",
            f"it has the encoding {message.encoding!r}, expected depth: {', '.join(_BYTES)}",
        )
    check_size(message.width, message.height, MAX_PIXELS)
    used = message.width * _BYTES[message.encoding]
    data = np.frombuffer(in_memory(message.data), np.uint8)
    if message.step < used or len(data) != message.step * message.height:
        raise MessageError(
            "data",
            f"it has {len(data)} bytes and a step of {message.step} for {message.height} rows of "
            f"{used} bytes",
        )
    rows = np.ascontiguousarray(data.reshape(message.height, message.step)[:, :used])
    kind = "f4" if message.encoding == "32FC1" else "u2"
    return rows.view(("<", ">")[bool(message.is_bigendian)] + kind).astype(kind)


def _of_packed(message: Any) -> np.ndarray:
    """A PNG of millimetres, or of A / z + B of metres, behind twelve bytes that tell A and B."""
    if _PACKED not in message.format:
        raise MessageError(
            "format", f"it has the format {message.format!r}, expected one of {_PACKED}"
        )
    data = bytes(in_memory(message.data))
    values = None
    if len(data) > _HEADER.size:
        png = np.frombuffer(data, np.uint8, offset=_HEADER.size)
        values = cv2.imdecode(png, cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.ndim != 2:
        raise MessageError("data", f"its {len(data)} bytes hold no PNG of 16-bit depth")
    if not message.format.startswith("32FC1"):
        return values
    _, a, b = _HEADER.unpack_from(data)
    with np.errstate(divide="ignore"):
        return np.where(values == 0, np.nan, a / (values.astype(np.float32) - b))


def depth_of_points(points: np.ndarray, camera: Intrinsics) -> np.ndarray:
    """Sparse depth of what a lidar has seen: the nearest point of each pixel, hidden ones left out.

    Args:
        points: (N, 3) metres in the camera's optical frame.

    Returns:
        (H, W) float32 metres, NaN where there is no point.
    """
    size = camera.height, camera.width
    points = np.asarray(points, np.float64)
    points = points[np.isfinite(points).all(axis=1) & (points[:, 2] > 0)]
    x, y, z = (points - [*camera.centre, 0.0]).T
    pixels = np.stack([camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy], axis=1)
    seen = visible(points, pixels, size)
    columns, rows = pixels[seen].round().astype(np.int64).T
    depth = np.full(size, np.inf, np.float32)
    np.minimum.at(depth, (rows, columns), z[seen].astype(np.float32))
    return np.where(np.isfinite(depth), depth, np.float32(np.nan))


def small(depth: np.ndarray, size: tuple[int, int] = (32, 24)) -> np.ndarray:
    """The logarithm of depth on a grid of so many columns and rows; NaN where half is unknown."""
    known = np.isfinite(depth).astype(np.float32)
    share = cv2.resize(known, size, interpolation=cv2.INTER_AREA)
    total = cv2.resize(np.nan_to_num(depth), size, interpolation=cv2.INTER_AREA)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(share > 0.5, np.log(total / share), np.nan)
