"""The points of a PointCloud2, of ROS or of a recording: no ROS is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .encodings import MessageError
from .scale.evidence import evenly

if TYPE_CHECKING:  # it works on all that has these fields, without ROS as well
    from sensor_msgs.msg import PointCloud2

# Of sensor_msgs/PointField: INT8, UINT8, INT16, ... FLOAT64.
_KINDS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}


def points_of(message: PointCloud2, most: int) -> np.ndarray:
    """The fields x, y and z of points, whatever their order, type and padding.

    Args:
        most: points that are read, evenly spread over the cloud.

    Returns:
        (N, 3) float32; those of invalid points are not finite.

    Raises:
        MessageError: in words that tell what is wrong with the message, and follow its name.
    """
    height, width, step = message.height, message.width, message.point_step
    if not height * width:
        return np.zeros((0, 3), np.float32)
    layout = _layout(message)
    row = message.row_step if height > 1 else width * step
    size = (height - 1) * row + width * step
    if width * step > row or size > len(message.data):
        raise MessageError(
            "cloud",
            f"has {len(message.data)} bytes and a row_step of {row} for {height} rows of {width} "
            f"points of {step} bytes, which need {size}",
        )
    cloud: np.ndarray = np.ndarray((height, width), layout, message.data, strides=(row, step))
    rows, columns = np.divmod(evenly(height * width, most), width)
    with np.errstate(over="ignore"):  # of float64 beyond float32, which is infinite
        points = [cloud[axis][rows, columns].astype(np.float32) for axis in "xyz"]
    return np.stack(points, axis=1)


def _layout(message: PointCloud2) -> np.dtype:
    """Of one point, of which only x, y and z count."""
    fields, order = {field.name: field for field in message.fields}, "<>"[message.is_bigendian]
    formats, offsets = [], []
    for axis in "xyz":
        if axis not in fields:
            raise MessageError(
                "cloud", f"has the fields {', '.join(fields)[:200]}, expected x, y and z"
            )
        field = fields[axis]
        if field.datatype not in _KINDS or field.count > 1:  # some drivers leave the count at 0
            raise MessageError(
                "cloud",
                f"has a field {axis} of {field.count} numbers of the datatype {field.datatype}, "
                "expected one number of INT8 to FLOAT64 (1 to 8)",
            )
        formats.append(order + _KINDS[field.datatype])
        offsets.append(field.offset)
        end = field.offset + np.dtype(formats[-1]).itemsize
        if end > message.point_step:
            raise MessageError(
                "cloud",
                f"has a field {axis} that ends at byte {end} of a point of "
                f"{message.point_step} bytes (point_step)",
            )
    return np.dtype(
        {
            "names": ["x", "y", "z"],
            "formats": formats,
            "offsets": offsets,
            "itemsize": message.point_step,
        }
    )
