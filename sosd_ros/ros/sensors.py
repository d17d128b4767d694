"""What distance sensors measure: Range, LaserScan and PointCloud2 messages as arrays of points."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from sensor_msgs.msg import LaserScan, PointCloud2, Range

from ..clouds import points_of
from ..encodings import MessageError, check_header
from ..scale.evidence import evenly
from ..stamps import nanoseconds

MOST_POINTS = 32768  # read of one message; the rest repeats what they say
LONGEST_SCAN = 10.0  # seconds
WIDEST_CONE = 0.25  # radians; a wall aslant by 45 degrees is an eighth nearer at its side
WIDEST_SCAN = 4 * math.pi  # radians; some sensors overlap, and degrees are far more


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
    """A point on the axis of the cone, which is +x (REP 117: infinities are no distance).

    What it hears first may be anywhere in the cone. So the cone must be narrow.
    """
    least, most = message.min_range, message.max_range
    if least == most:
        raise MessageError(
            "range",
            f"has one min_range and max_range, {least:g} m: such a sensor tells only whether "
            "something is nearer than that (REP 117), which is no distance",
        )
    _check_limits("min_range", least, "max_range", most)
    if not message.field_of_view <= WIDEST_CONE:
        raise MessageError(
            "range",
            f"has a field_of_view of {message.field_of_view:.3g} rad, expected at most "
            f"{WIDEST_CONE:g}: nobody knows where in a wider cone the measured thing is; use a "
            "sensor with a narrow cone, a scan or points",
        )
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
    return points_of(message, MOST_POINTS), 0


_READERS: dict[type, Any] = {Range: _of_range, LaserScan: _of_scan, PointCloud2: _of_cloud}
