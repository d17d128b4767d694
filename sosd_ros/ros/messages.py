"""ROS messages to and from NumPy arrays, without needless copies.

Reading uses views where it can; writing fills a message's ``data`` through its buffer, because
rclpy checks every single byte of an assigned array, bytes or list.
"""

from __future__ import annotations

import math

import numpy as np
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField
from std_msgs.msg import Header

from ..camera import Intrinsics
from ..encodings import in_memory
from ..outputs import check_array, cloud_fields, cloud_shape, millimetres, write_cloud

_DATATYPES = {"label": PointField.UINT32}  # of points; all else is FLOAT32


def plane(message: Image) -> np.ndarray:
    """The pixels of an image of one channel, as the functions below write them; a view.

    Returns:
        (H, W) float32 of ``32FC1``, uint16 of ``16UC1``, or uint8.
    """
    dtype = {"32FC1": np.float32, "16UC1": np.uint16}.get(message.encoding, np.uint8)
    return np.frombuffer(in_memory(message.data), dtype).reshape(message.height, message.width)


# Arrays to messages. A message shares the header passed in.


def info_of(camera: Intrinsics) -> CameraInfo:
    """What ``intrinsics_of`` reads ``camera`` from: of a rectified image, without a header."""
    k = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]], np.float64)
    moved = k @ [[0 - camera.centre[0]], [0 - camera.centre[1]], [0]]  # no -0.0
    return CameraInfo(
        width=camera.width,
        height=camera.height,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=k.ravel(),
        r=np.eye(3).ravel(),
        p=np.hstack([k, moved]).ravel(),
    )


def depth_message(header: Header, depth: np.ndarray) -> Image:
    """A depth image as REP 118 prefers it, ``32FC1``.

    Args:
        header: stamp and optical frame of the camera's image.
        depth: (H, W) float32 metres along z; NaN invalid, +inf beyond the range (REP 117).

    Raises:
        ValueError: for another type or shape; so do all functions below.
    """
    check_array("depth", depth, np.float32, ("H", "W"))
    return _image_message(header, "32FC1", depth)


def depth_message_mm(header: Header, depth: np.ndarray) -> Image:
    """A depth image as REP 118 also allows, ``16UC1`` in millimetres, rounded.

    Args:
        header: stamp and optical frame of the camera's image.
        depth: (H, W) float32 metres along z. NaN, infinite and negative depth, and depth beyond
            65.535 m, becomes 0, which means invalid.
    """
    return _image_message(header, "16UC1", millimetres(depth))


def mono_message(header: Header, labels: np.ndarray) -> Image:
    """An image of (H, W) uint8 values, such as class ids, ``mono8``."""
    check_array("labels", labels, np.uint8, ("H", "W"))
    return _image_message(header, "mono8", labels)


def rgb_message(header: Header, rgb: np.ndarray) -> Image:
    """A picture for people, of (H, W, 3) uint8 RGB, ``rgb8``."""
    check_array("rgb", rgb, np.uint8, ("H", "W", 3))
    return _image_message(header, "rgb8", rgb)


def cloud_message(
    header: Header,
    depth: np.ndarray,
    rays: tuple[np.ndarray, np.ndarray],
    rgb: np.ndarray,
    labels: np.ndarray | None,
    step: int = 1,
    beyond: float = math.nan,
    into: PointCloud2 | None = None,
    centre: tuple[float, float] = (0.0, 0.0),
    uncertainty: np.ndarray | None = None,
) -> PointCloud2:
    """An organised cloud: one point per pixel, or for every ``step``-th row and column.

    Its fields are those of ``cloud_fields``, its points those of ``write_cloud``.

    Args:
        header: stamp and optical frame of the camera's image.
        into: an older message, whose memory is reused if it has the same size and fields.
        others: as ``write_cloud`` takes them.
    """
    check_array("depth", depth, np.float32, ("H", "W"))
    shape, has = cloud_shape(depth.shape, step), (labels is not None, uncertainty is not None)
    message = _with_points(cloud_without_points(header, shape, *has), into)
    floats = np.frombuffer(message.data, "<f4").reshape(message.height, message.width, -1)
    write_cloud(floats, depth, rays, rgb, labels, step, beyond, centre, uncertainty)
    return message


def warm_up() -> None:
    """Write a cloud, so that the first real one does not wait for compilation."""
    depth, labels = np.zeros((1, 1), np.float32), np.zeros((1, 1), np.uint8)
    cloud_message(Header(), depth, (depth, depth), np.zeros((1, 1, 3), np.uint8), labels)


def cloud_without_points(
    header: Header, shape: tuple[int, int], labelled: bool, doubtful: bool
) -> PointCloud2:
    """The message of a cloud of (height, width) points, whose ``data`` are still to come.

    Args:
        labelled, doubtful: whether it has the fields ``label`` and ``uncertainty``.
    """
    fields = cloud_fields(labelled, doubtful)
    height, width = shape
    return PointCloud2(
        header=header,
        height=height,
        width=width,
        fields=[
            PointField(
                name=name, offset=4 * i, datatype=_DATATYPES.get(name, PointField.FLOAT32), count=1
            )
            for i, name in enumerate(fields)
        ],
        is_bigendian=False,
        point_step=4 * len(fields),
        row_step=4 * len(fields) * width,
        is_dense=False,
    )


def _with_points(message: PointCloud2, into: PointCloud2 | None) -> PointCloud2:
    """A cloud with memory for its points; ``into`` itself if it has that size and these fields."""
    size = message.height, message.width, message.fields
    if into is not None and size == (into.height, into.width, into.fields):
        into.header = message.header
        return into
    message.data.frombytes(bytes(message.row_step * message.height))
    return message


def image_without_pixels(
    header: Header, encoding: str, shape: tuple[int, int], pixel_bytes: int
) -> Image:
    """The message of an image of (height, width) pixels, whose ``data`` are still to come."""
    height, width = shape
    return Image(
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=pixel_bytes * width,
    )


def _image_message(header: Header, encoding: str, pixels: np.ndarray) -> Image:
    pixels = np.ascontiguousarray(pixels)
    pixel_bytes = pixels[:1, :1].nbytes
    message = image_without_pixels(header, encoding, pixels.shape[:2], pixel_bytes)
    message.data.frombytes(pixels.reshape(-1).view(np.uint8).data)
    return message
