"""What is doubtful about a CameraInfo that can be used: it is likely to be wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ..lens import RADIAL
from .view import (
    DIFFERENT,
    View,
    by,
    defined_size,
    has_part,
    intrinsics_of,
    is_moved,
    is_reduced,
)

if TYPE_CHECKING:  # it works on all that has these fields, without ROS as well
    from sensor_msgs.msg import CameraInfo

# A calibrated principal point lies within a few percent of the middle, and within a quarter of the
# size if up to a third of the image was cropped at one side, as the sky often is. Farther off it is
# doubtful, and if both coordinates are off to the same side, from a seventh on: that is how numbers
# of another resolution look, whatever its aspect ratio, and only a crop to a corner looks the same.
FAR = 0.5  # of half the size
SCALED = (0.85, 1.18)
# The flat image of a lens ends long before 160 degrees, where a pixel at the edge would cover a
# thirtieth of one in the middle; a zoom lens of 40x ends at 1.5.
FIELD_OF_VIEW = (1.0, 160.0)  # degrees
MIN_BASELINE, MAX_BASELINE = 0.001, 10.0  # metres; 60 mm that were taken for metres are more
SECOND = ("right", "infra2")  # in the frame's name: of the second camera of a pair
BENT = 0.02  # of the diagonal; a lens that moves the corners by less leaves points about in place
FOLDED = 0.05  # of the pixels, which is more than the corners


def doubts_of(
    info: CameraInfo,
    view: View,
    size: tuple[int, int],
    calibration_of: str,
    rectified: str,
    topic: str,
) -> dict[str, str]:
    """Why a usable CameraInfo is likely to be wrong.

    Args:
        info: as received.
        view: what ``for_image`` made of it, with the same arguments.
        topic: of the images.

    Returns:
        A sentence by cause: ``principal_point``, ``field_of_view``, ``distortion``, ``fold``,
        ``rotation``, ``rectified`` or ``baseline``.
    """
    fitted = view.info
    found = {
        "principal_point": _doubt_principal_point(info, fitted, size, calibration_of),
        "field_of_view": _doubt_field_of_view(fitted),
        "distortion": _doubt_distortion(info),
        "fold": _doubt_fold(info, view, topic),
        "rotation": _doubt_rotation(info, topic) if view.lens else "",
        "rectified": _doubt_rectified(fitted, topic) if rectified == "assumed" else "",
        "baseline": _doubt_baseline(fitted),
    }
    return {cause: sentence for cause, sentence in found.items() if sentence}


def _doubt_principal_point(
    info: CameraInfo, fitted: CameraInfo, size: tuple[int, int], calibration_of: str
) -> str:
    if calibration_of == "image" and has_part(info):
        return ""  # the middle of the sensor may be anywhere in a part of its image
    point, full = (fitted.p[2], fitted.p[6]), (fitted.width, fitted.height)
    if _is_near_middle(point, full):
        return ""
    sentence = (
        f"the principal point ({point[0]:g}, {point[1]:g}) lies far from the middle of {by(full)}"
    )
    if of := _size_with_middle(point, full):
        sentence += (
            f" and fits {by(of)}: if K and P are for that resolution, depth is wrong by the same "
            "factor"
        )
    sentence += f"; publish the CameraInfo of {by(full)}, or set its roi if the image was cropped"
    other, of = _other_reading(info, size, calibration_of)
    if of and _is_near_middle(point, of):
        sentence += f"; if K and P are of the {other}, set the parameter calibration_of to {other}"
    return sentence


def _other_reading(
    info: CameraInfo, size: tuple[int, int], calibration_of: str
) -> tuple[str, tuple[int, int] | None]:
    """The other value of ``calibration_of``, and the size that K and P would be for then."""
    if calibration_of == "sensor":
        return "image", size if is_reduced(info) else None
    is_of_sensor = is_reduced(info) and size == defined_size(info)
    return "sensor", (info.width, info.height) if is_of_sensor else None


def _ratios(point: tuple[float, float], size: tuple[int, int]) -> Iterator[float]:
    """A point's place by axis: 0 at the left or upper edge, 1 in the middle, 2 at the end."""
    return ((2 * p + 1) / n for p, n in zip(point, size, strict=True))


def _is_near_middle(point: tuple[float, float], size: tuple[int, int]) -> bool:
    x, y = _ratios(point, size)
    is_scaled = max(x, y) < SCALED[0] or min(x, y) > SCALED[1]
    return not is_scaled and max(abs(x - 1), abs(y - 1)) <= FAR


def _size_with_middle(point: tuple[float, float], size: tuple[int, int]) -> tuple[int, int] | None:
    """A simple fraction or multiple of ``size`` with the point near its middle, if any."""
    factors = [Fraction(ratio).limit_denominator(8) for ratio in _ratios(point, size)]
    if min(factors) <= 0 or max(factors) > 8:
        return None
    return round(size[0] * factors[0]), round(size[1] * factors[1])


def _doubt_field_of_view(fitted: CameraInfo) -> str:
    focals = fitted.p[0], fitted.p[5]
    full = fitted.width, fitted.height
    angle = max(math.degrees(2 * math.atan(n / (2 * f))) for n, f in zip(full, focals, strict=True))
    if FIELD_OF_VIEW[0] <= angle <= FIELD_OF_VIEW[1]:
        return ""
    return (
        f"the focal length fx = {focals[0]:g}, fy = {focals[1]:g} gives {by(full)} a field of "
        f"view of {angle:.3g} degrees; it must be in pixels, not in millimetres or in fractions "
        "of the width: calibrate the camera and give the file to its driver"
    )


def _doubt_distortion(info: CameraInfo) -> str:
    if all(map(math.isfinite, info.d)):
        return ""
    return (
        "the distortion D is not finite, as after a failed calibration, so K and P may be wrong: "
        "calibrate the camera and give the file to its driver"
    )


def _doubt_fold(info: CameraInfo, view: View, topic: str) -> str:
    lens = view.rectification.lens if view.rectification else view.lens
    if lens is None:
        return ""
    angle, share = lens.fold()
    if share <= FOLDED:
        return ""
    return (
        f"the distortion D ({lens.model!r}), of frame {info.header.frame_id!r} and the images on "
        f"{topic}, folds back {math.degrees(angle):.0f} degrees from the axis, inside the image: "
        f"the {share:.0%} of its pixels beyond have no depth and no points; calibrate again, with "
        "a board in the corners too, or with another model"
    )


def _doubt_rotation(info: CameraInfo, topic: str) -> str:
    r = np.reshape(info.r, (3, 3))
    if not r.any() or np.abs(r - np.eye(3)).max() <= DIFFERENT:
        return ""
    angle = math.degrees(math.acos(min(max((float(np.trace(r)) - 1) / 2, -1), 1)))
    return (
        f"the matrix R, of frame {info.header.frame_id!r} and the images on {topic}, turns a "
        f"camera by {angle:.2g} degrees as its images are rectified, but with rectified: rays they "
        "are not, so points are turned by that much from those of the other camera of the pair; "
        "set the parameter rectified to rectify"
    )


def _corner_shift(info: CameraInfo) -> float:
    """By how many pixels the lens moves the farthest corner; inf for other distortion models."""
    if info.distortion_model not in RADIAL:
        return math.inf if any(info.d) else 0.0
    fx, _, cx, _, _, cy, *_ = info.k.tolist()
    reach = math.hypot(max(cx, info.width - cx), max(cy, info.height - cy))
    k1, k2, _, _, k3, k4, k5, k6 = np.array([*info.d, *[0.0] * 8][:8])
    with np.errstate(all="ignore"):  # absurd numbers may give inf or NaN
        r2 = (reach / fx) ** 2
        factor = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
        return float(abs(factor - 1) * reach)


def _doubt_rectified(fitted: CameraInfo, topic: str) -> str:
    """Whether the image may be raw, by its CameraInfo and by the name of its topic."""
    if re.search(r"(?:^|[/_])(?:rect|undist)", topic.lower()):
        return ""
    is_raw, size = "raw" in topic.lower(), (fitted.width, fitted.height)
    if is_moved(fitted):
        reason = (
            f"in its CameraInfo, P (fx = {fitted.p[0]:g}) differs from K (fx = {fitted.k[0]:g}) "
            "or R is a rotation"
        )
    elif is_raw and (shift := _corner_shift(fitted)) > BENT * math.hypot(*size):
        moved = f"moves a corner by {shift:.0f} pixels" if math.isfinite(shift) else "distorts it"
        reason = f"D ({fitted.distortion_model!r}) in its CameraInfo {moved}"
    else:
        return ""
    named = "has raw in its name" if is_raw else "has no rect in its name"
    return (
        f"the image may not be rectified: {reason}, and its topic {topic} {named}. "
        "Depth and points of a raw image are wrong: set the parameter rectified to rectify or "
        "rays, or subscribe to image_rect; if it is rectified, set it to true"
    )


def _doubt_baseline(fitted: CameraInfo) -> str:
    x, y = intrinsics_of(fitted).centre
    frame = fitted.header.frame_id
    if math.hypot(x, y) > MAX_BASELINE:
        return (
            f"Tx = {fitted.p[3]:g} and Ty = {fitted.p[7]:g} in P put this camera at x = {x:.3g} m, "
            f"y = {y:.3g} m of frame {frame!r}, and the points with it; Tx is -fx times the "
            "baseline in metres, not in millimetres: fix the calibration"
        )
    if math.hypot(x, y) < MIN_BASELINE or not any(name in frame.lower() for name in SECOND):
        return ""
    return (
        f"Tx = {fitted.p[3]:g} and Ty = {fitted.p[7]:g} in P put this camera at x = {x:.3g} m, "
        f"y = {y:.3g} m of frame {frame!r}, which is right if that is the frame of the pair's "
        "first camera; if it is this camera's own frame, the points are off by that much: let its "
        "driver set Tx and Ty to 0"
    )
