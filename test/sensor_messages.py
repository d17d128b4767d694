"""Messages of distance sensors, for tests."""

from __future__ import annotations

import math

import numpy as np
from sensor_msgs.msg import LaserScan, PointCloud2, PointField, Range
from std_msgs.msg import Header

FORMATS = dict(enumerate(("i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"), 1))


def header():
    message = Header(frame_id="sensor")
    message.stamp.sec, message.stamp.nanosec = 7, 500_000_000
    return message


def range_message(**changes):
    values = {"header": header(), "min_range": 0.2, "max_range": 4.0, "range": 1.5}
    return Range(**(values | changes))


def scan(**changes):
    values = {
        "header": header(),
        "angle_min": -math.pi / 2,
        "angle_increment": math.pi / 4,
        "range_min": 0.1,
        "range_max": 10.0,
        "ranges": [1.0, 2.0, 3.0, 4.0, 5.0],
    }
    return LaserScan(**(values | changes))


def cloud(points, kinds="f4f4f4", order="xyz", big=False, padding=(0, 0), height=1):
    """A PointCloud2 of points (N, 3).

    Args:
        kinds: of x, y and z.
        order: of the fields in memory.
        padding: bytes after each point and after each row.
    """
    kinds = dict(zip("xyz", (kinds[i : i + 2] for i in (0, 2, 4)), strict=True))
    offsets, end = {}, 3  # with something before them, at an odd offset
    for axis in order:
        offsets[axis], end = end, end + np.dtype(kinds[axis]).itemsize
    step, width = end + padding[0], len(points) // height
    row = step * width + padding[1]
    layout = np.dtype(
        {
            "names": list("xyz"),
            "formats": [(">" if big else "<") + kinds[axis] for axis in "xyz"],
            "offsets": [offsets[axis] for axis in "xyz"],
            "itemsize": step,
        }
    )
    data = np.full(row * height, 0xAB, np.uint8)
    view = np.ndarray((height, width), layout, data, strides=(row, step))
    for index, axis in enumerate("xyz"):
        view[axis] = np.asarray(points)[:, index].reshape(height, width)
    types = {kind: number for number, kind in FORMATS.items()}
    message = PointCloud2(header=header(), height=height, width=width, point_step=step)
    message.row_step, message.is_bigendian = row, big
    message.fields = [
        PointField(name=axis, offset=offsets[axis], datatype=types[kinds[axis]], count=1)
        for axis in order
    ]
    message.data.frombytes(data.tobytes())
    return message
