"""What a CameraInfo tells about an image: the camera that it describes.

As sensor_msgs/CameraInfo is defined, and image_geometry reads it:

* K projects into the raw image, P into the rectified one; if P is all zeros, K replaces it.
* Both are for the full resolution, ``width`` x ``height``. The region of interest is cut out of it
  first, and then binned; a binning of 0 means 1, a region of zeros the whole image. Binning divides
  the principal point, so that our points lie where other ROS nodes project this depth.
  ``roi.do_rectify`` changes nothing, neither here nor in what image_proc's rectify publishes.
* P projects points in the frame that the CameraInfo names: [u v w]' = P [X Y Z 1]'. For the second
  camera of a stereo pair that is the first camera's frame, as Tx = -fx * baseline tells. So the
  optical centre lies at (-Tx / fx, -Ty / fy, 0), and every pixel's point starts from there;
  image_geometry and depth_image_proc's register do the same, its point clouds ignore Tx. What we
  publish follows one rule: points, projected with the P published beside them, fall on their
  pixels. If image and CameraInfo name different frames, points are in the image's, which is the
  camera's own: there Tx and Ty are 0.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..camera import Intrinsics
from ..encodings import MAX_FRAME_ID, MessageError, check_header
from ..lens import RADIAL, Lens, Rectification

if TYPE_CHECKING:  # it works on all that has these fields, without ROS as well
    from sensor_msgs.msg import CameraInfo
    from std_msgs.msg import Header

CALIBRATED = ("sensor", "image")  # what K and P may describe, see ``for_image``
RECTIFIED = ("assumed", "true", "rectify", "rays", "false")  # see ``for_image``, and ``doubts.py``

MAX_COEFFICIENTS = 64  # of a distortion model; the largest of OpenCV has 14
MAX_NUMBER = 1e6  # of intrinsics, in pixels
MAX_SKEW = 0.01  # of fx; less moves no point by more than a hundredth of its height
DIFFERENT = 1e-3  # of fx; P that differs from K by less makes no depth wrong
NOT_A_ROTATION = 0.01  # R R' - 1; files with four digits are better


def check_info(info: CameraInfo) -> None:
    """Refuse a CameraInfo that is too large to be kept, or to be sent on.

    Raises:
        MessageError: of cause ``frame_id`` or ``intrinsics``.
    """
    check_header(info.header)
    if len(info.d) > MAX_COEFFICIENTS or len(info.distortion_model) > MAX_FRAME_ID:
        raise MessageError(
            "intrinsics",
            f"CameraInfo has {len(info.d)} distortion coefficients of the model "
            f"{info.distortion_model[:40]!r}, expected at most {MAX_COEFFICIENTS}; fix the "
            "camera driver",
        )


class View(NamedTuple):
    """A camera image, as the network sees it.

    Attributes:
        info: to publish beside the image's depth.
        camera: what the network looks through.
        lens: bends the rays of the image, which is not rectified; ``None``: they are straight.
        rectification: to be done before the network sees the image.
    """

    info: CameraInfo
    camera: Intrinsics
    lens: Lens | None = None
    rectification: Rectification | None = None


def for_image(
    info: CameraInfo,
    header: Header,
    size: tuple[int, int],
    calibration_of: str = "sensor",
    rectified: str = "assumed",
    topic: str = "image",
) -> View:
    """What a CameraInfo makes of an image.

    What is published differs from ``info`` in its header, and where ``info`` does not follow the
    definition: K replaces a P of zeros; with ``calibration_of: image``, the size is the
    image's, without binning and region. Unchanged arrays are shared with ``info``.

    Args:
        header: of the image.
        size: the image's width and height.
        calibration_of: ``sensor``: K and P are for the full resolution, as defined; ``image``:
            they are for the image as published, and binning and region only tell how it was made.
        rectified: ``false``, ``rectify`` and ``rays``: the image is raw, with the distortion of
            the lens. ``rectify``: what is published describes the rectified image, without a
            distortion. ``rays``: it describes the raw image, and has K for P.
        topic: of the images.

    Raises:
        MessageError: if the camera is uncalibrated (cause ``uncalibrated``), its numbers are
            unusable (``intrinsics``), they are for another image size (``camera_info_size``),
            the distortion is unusable (``distortion``), or the image would have to be rectified
            first (``not_rectified``).
    """
    fitted = copy.copy(info)
    fitted.header = header
    projection = _projection(info)
    if header.frame_id and info.header.frame_id not in ("", header.frame_id):
        projection[:2, 3] = 0
    fitted.p = projection.ravel()
    if calibration_of == "image":
        if size not in ((info.width, info.height), defined_size(info)):
            raise _misfit(info, size, calibration_of)
        fitted.width, fitted.height = size
        fitted.binning_x = fitted.binning_y = 0
        fitted.roi = copy.copy(info.roi)
        fitted.roi.x_offset = fitted.roi.y_offset = fitted.roi.width = fitted.roi.height = 0
        fitted.roi.do_rectify = False
    camera = intrinsics_of(fitted)
    if size != (camera.width, camera.height):
        raise _misfit(info, size, calibration_of)
    if rectified in ("assumed", "true") or not (_is_bent(info) or is_moved(info)):
        return View(fitted, camera)
    if rectified == "false":
        raise MessageError(
            "not_rectified",
            "the image is not rectified (the parameter rectified is false), and its CameraInfo has "
            "a distortion D, a P other than K or a rotation R; set rectified to rectify or rays, "
            "or let image_proc rectify it, subscribe to image_rect and set rectified to true",
        )
    try:
        return (_rectified if rectified == "rectify" else _bent)(fitted)
    except MessageError:
        raise
    except ValueError as error:  # of the lens
        raise MessageError(
            "distortion",
            f"CameraInfo of frame {info.header.frame_id!r}, of the images on {topic}, has {error}; "
            "calibrate the camera again, or rectify its images elsewhere and set the parameter "
            "rectified to true",
        ) from error


def _rectified(info: CameraInfo) -> View:
    """To be rectified: K, D and R describe what comes, and then a camera without a lens."""
    camera, rotation = intrinsics_of(info), _rotation(info)
    lens = _lens(info)
    info.k, info.r = np.reshape(info.p, (3, 4))[:, :3].ravel(), np.eye(3).ravel()
    info.distortion_model, info.d = "plumb_bob", [0.0] * 5
    return View(info, camera, rectification=Rectification(lens, camera, rotation))


def _bent(info: CameraInfo) -> View:
    """To be left as it is: K is the camera's matrix, and P, of no use here, becomes the same.

    Nor is R, as the points are in the axes of the camera itself.
    """
    lens = _lens(info)
    k, p = _camera_matrix(info), np.reshape(info.p, (3, 4))
    moved = p[:2, 3] / np.diag(p)[:2] * np.diag(k)[:2]  # by the same number of metres
    info.p = np.hstack([k[:, :3], [[moved[0]], [moved[1]], [0]]]).ravel()
    info.r = np.eye(3).ravel()
    return View(info, intrinsics_of(info), lens=lens)


def intrinsics_of(info: CameraInfo) -> Intrinsics:
    """The camera of the rectified images beside ``info``, by the definition.

    Raises:
        MessageError: of cause ``uncalibrated``, ``intrinsics`` or ``camera_info_size``.
    """
    return _of_image(info, _projection(info))


def _of_image(info: CameraInfo, projection: np.ndarray) -> Intrinsics:
    """What a (3, 4) matrix of the full resolution is for the image, cut and binned."""
    (fx, _, cx, tx), (_, fy, cy, ty), _ = projection.tolist()
    roi = info.roi
    right, bottom = _region_end(info)
    if right > info.width or bottom > info.height:
        raise MessageError(
            "camera_info_size",
            f"CameraInfo is for {info.width}x{info.height}, but its region of interest (roi) ends "
            f"at {right}x{bottom}; width, height and roi refer to the full resolution: fix the "
            "camera driver or, if K and P describe the image as published, set the parameter "
            "calibration_of to image",
        )
    across, down = info.binning_x or 1, info.binning_y or 1
    width, height = defined_size(info)
    try:
        return Intrinsics(
            fx=fx / across,
            fy=fy / down,
            cx=(cx - roi.x_offset) / across,
            cy=(cy - roi.y_offset) / down,
            width=width,
            height=height,
            centre=((0 - tx) / fx, (0 - ty) / fy),  # no -0.0
        )
    except ValueError as error:
        raise MessageError("intrinsics", str(error)) from error


# Matrices


def _projection(info: CameraInfo) -> np.ndarray:
    """P, or K in the form of P if P is all zeros: a new (3, 4) float64 array, checked."""
    k = np.array(info.k, np.float64).reshape(3, 3)
    p = np.array(info.p, np.float64).reshape(3, 4)
    if k[0, 0] == 0:
        raise MessageError(
            "uncalibrated",
            f"CameraInfo of frame {info.header.frame_id!r} is uncalibrated (fx = 0), expected the "
            "focal length in pixels; calibrate the camera and give the file to its driver",
        )
    if p.any():
        if not np.isfinite(k).all():
            raise _broken("K", f"{_row(k[0])}, {_row(k[1])}, {_row(k[2])}", "finite numbers")
        _check_projection("P", p)
        return p
    return _camera_matrix(info)


def _camera_matrix(info: CameraInfo) -> np.ndarray:
    """K in the form of P: a new (3, 4) float64 array, checked."""
    k = np.hstack([np.array(info.k, np.float64).reshape(3, 3), np.zeros((3, 1))])
    _check_projection("K", k)
    return k


def _rotation(info: CameraInfo) -> tuple[float, ...]:
    """R, row by row, or no rotation if it is all zeros; checked."""
    r = np.array(info.r, np.float64).reshape(3, 3)
    if not r.any():
        r = np.eye(3)
    with np.errstate(all="ignore"):
        if not (np.abs(r @ r.T - np.eye(3)).max() <= NOT_A_ROTATION and np.linalg.det(r) > 0):
            rows = ", ".join(map(_row, r))
            raise ValueError(f"the matrix R ({rows}), expected a rotation or zeros")
    return tuple(r.ravel().tolist())


def _lens(info: CameraInfo) -> Lens:
    """By K, D and its model; no D is no distortion, even where there is no model.

    Raises:
        ValueError: as ``Lens`` does.
    """
    model = info.distortion_model if _is_bent(info) else RADIAL[0]
    return Lens(_of_image(info, _camera_matrix(info)), model, tuple(map(float, info.d)))


def _is_bent(info: CameraInfo) -> bool:
    """Whether there is a distortion; that of a fisheye needs no D."""
    return any(info.d) or info.distortion_model not in ("", *RADIAL)


def is_moved(info: CameraInfo) -> bool:
    """Whether P and R change a raw image, apart from its distortion."""
    k, r = np.reshape(info.k, (3, 3)), np.reshape(info.r, (3, 3))
    p = np.reshape(info.p, (3, 4))[:, :3]
    is_zoomed = p.any() and np.abs(p - k).max() > DIFFERENT * k[0, 0]
    is_turned = r.any() and not np.abs(r - np.eye(3)).max() <= DIFFERENT
    return bool(is_zoomed or is_turned)


def _check_projection(name: str, p: np.ndarray) -> None:
    """Refuse numbers that no camera has, such as NaN or huge ones: rays would overflow."""
    (fx, skew, cx, tx), (shear, fy, cy, ty), last = p.tolist()
    numbers = {"fx": fx, "fy": fy, "cx": cx, "cy": cy, "Tx": tx, "Ty": ty}
    for number, value in numbers.items():
        least = 1 / MAX_NUMBER if number in ("fx", "fy") else -MAX_NUMBER
        if not least <= value <= MAX_NUMBER:  # true for NaN
            raise _broken(name, f"{number} = {value:g}", f"{least:g} to {MAX_NUMBER:g} pixels")
    for value in (skew, shear):
        if not abs(value) <= MAX_SKEW * fx:
            raise _broken(name, f"a skew of {value:g}", "0 by definition")
    if last != [0, 0, 1, 0]:
        expected = "0 0 1 0" if name == "P" else "0 0 1"
        shown = last if name == "P" else last[:3]
        raise _broken(name, f"the last row {_row(shown)}", expected)


def _broken(name: str, what: str, expected: str) -> MessageError:
    return MessageError(
        "intrinsics",
        f"CameraInfo has {what} in {name}, expected {expected}; calibrate the camera and give the "
        "file to its driver",
    )


def _row(numbers: np.ndarray | list[float]) -> str:
    return " ".join(f"{number:g}" for number in numbers)


# Sizes


def _region_end(info: CameraInfo) -> tuple[int, int]:
    """Where the region of interest ends, at the right and below."""
    roi = info.roi
    return roi.x_offset + (roi.width or info.width), roi.y_offset + (roi.height or info.height)


def defined_size(info: CameraInfo) -> tuple[int, int]:
    """Width and height of the images beside ``info``, by the definition."""
    across, down = info.binning_x or 1, info.binning_y or 1
    return (info.roi.width or info.width) // across, (info.roi.height or info.height) // down


def has_part(info: CameraInfo) -> bool:
    return _region_end(info) != (info.width, info.height)


def is_reduced(info: CameraInfo) -> bool:
    """Whether there is a binning or a region, so that sensor and image differ."""
    return max(info.binning_x, info.binning_y) > 1 or has_part(info)


def _misfit(info: CameraInfo, size: tuple[int, int], calibration_of: str) -> MessageError:
    """Why ``info`` does not fit an image of this size, and what would."""
    full = info.width, info.height
    expected = full if calibration_of == "image" else defined_size(info)
    said, advice = "", "publish the CameraInfo of the resized image"
    if is_reduced(info):
        roi = info.roi
        said = (
            f" ({by(full)} with binning {info.binning_x or 1}x{info.binning_y or 1} and roi "
            f"{roi.width or full[0]}x{roi.height or full[1]} at {roi.x_offset}, {roi.y_offset})"
        )
        advice = "fix binning, roi or size in the camera driver"
        if calibration_of == "image":
            said += ", as the parameter calibration_of says"
        elif size == full:
            advice = (
                f"its {by(full)} fits if K and P describe the image as published: then set the "
                "parameter calibration_of to image, or fix binning and roi in the camera driver"
            )
    elif full[0] > size[0] and full[0] % size[0] == 0 == full[1] % size[1]:
        times = full[0] // size[0], full[1] // size[1]
        advice += f"; if the driver bins {by(times)}, let it set binning_x and binning_y"
    return MessageError(
        "camera_info_size",
        f"CameraInfo is for {by(expected)}{said}, but the image is {by(size)}; {advice}",
    )


def by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
