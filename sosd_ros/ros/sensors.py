"""What distance sensors measure: Range, LaserScan and PointCloud2 messages as arrays of points."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from sensor_msgs.msg import LaserScan, PointCloud2, PointField, Range

from ..encodings import MessageError, check_header
from ..scale.evidence import evenly
from ..stamps import nanoseconds

MOST_POINTS = 32768  # read of one message; the rest repeats what they say
LONGEST_SCAN = 10.0  # seconds
WIDEST_SCAN = 4 * math.pi  # radians; some sensors overlap, and degrees are far more

_KINDS = {
    PointField.INT8: "i1",
    PointField.UINT8: "u1",
    PointField.INT16: "i2",
    PointField.UINT16: "u2",
    PointField.INT32: "i4",
    PointField.UINT32: "u4",
    PointField.FLOAT32: "f4",
    PointField.FLOAT64: "f8",
}


class Reading(NamedTuple):
    """What a sensor has measured at one moment.

    Attributes:
        stamp: nanoseconds; of a scan, its middle.
        frame_id: of the points.
        points: (N, 3) float32 metres, all finite, at most ``MOST_POINTS``.
    """

    stamp: int
    frame_id: str
    points: np.ndarray


def read(message: Range | LaserScan | PointCloud2) -> Reading:
    """A message as points.

    Raises:
        MessageError: in words that tell what is wrong with the message, and follow its name.
    """
    check_header(message.header)
    if not message.header.frame_id:
        raise MessageError("frame_id", "has no frame_id, so nobody knows where its points are")
    points, delay = _READERS[type(message)](message)
    points = points[np.isfinite(points).all(axis=1)]
    return Reading(nanoseconds(message.header.stamp) + delay, message.header.frame_id, points)


def _of_range(message: Range) -> tuple[np.ndarray, int]:
    """A point on the axis of the cone, which is +x (REP 117: infinities are no distance)."""
    least, most = message.min_range, message.max_range
    if least == most:
        raise MessageError(
            "range",
            f"has one min_range and max_range, {least:g} m: such a sensor tells only whether "
            "something is nearer than that (REP 117), which is no distance",
        )
    _check_limits("min_range", least, "max_range", most)
    is_measured = least <= message.range <= most
    return np.array([[message.range, 0, 0]] * is_measured, np.float32).reshape(-1, 3), 0


def _of_scan(message: LaserScan) -> tuple[np.ndarray, int]:
    """A point for each ray within the limits, and the nanoseconds until the middle ray."""
    _check_limits("range_min", message.range_min, "range_max", message.range_max)
    ranges = np.asarray(message.ranges, np.float32)
    last = max(len(ranges) - 1, 0)
    turn = last * abs(message.angle_increment)
    if not math.isfinite(message.angle_min) or not turn <= WIDEST_SCAN or (last and not turn):
        raise MessageError(
            "scan",
            f"has {len(ranges)} ranges from angle_min {message.angle_min:g} on, "
            f"{message.angle_increment:g} rad apart, expected finite angles, all different and "
            "within two turns",
        )
    lasts = last * message.time_increment
    if not 0 <= lasts <= LONGEST_SCAN:
        raise MessageError(
            "scan",
            f"has {len(ranges)} ranges {message.time_increment:g} s apart (time_increment), "
            f"expected a scan of 0 to {LONGEST_SCAN:g} s",
        )
    chosen = evenly(len(ranges), MOST_POINTS)
    with np.errstate(invalid="ignore"):
        measured = (ranges[chosen] >= message.range_min) & (ranges[chosen] <= message.range_max)
    chosen = chosen[measured]
    angles = message.angle_min + chosen * message.angle_increment
    directions = np.stack([np.cos(angles), np.sin(angles), np.zeros(len(angles))], axis=1)
    return (ranges[chosen, None] * directions).astype(np.float32), round(5e8 * lasts)


def _check_limits(low: str, least: float, high: str, most: float) -> None:
    if not 0 <= least < most:
        raise MessageError(
            "range", f"has {low} {least:g} and {high} {most:g} m, expected 0 <= {low} < {high}"
        )


def _of_cloud(message: PointCloud2) -> tuple[np.ndarray, int]:
    """The fields x, y and z of points, whatever their order, type and padding."""
    height, width, step = message.height, message.width, message.point_step
    if not height * width:
        return np.zeros((0, 3), np.float32), 0
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
    rows, columns = np.divmod(evenly(height * width, MOST_POINTS), width)
    with np.errstate(over="ignore"):  # of float64 beyond float32, which is infinite
        points = [cloud[axis][rows, columns].astype(np.float32) for axis in "xyz"]
    return np.stack(points, axis=1), 0


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


_READERS: dict[type, Any] = {Range: _of_range, LaserScan: _of_scan, PointCloud2: _of_cloud}
