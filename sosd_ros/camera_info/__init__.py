"""What a CameraInfo tells about an image, of ROS or of a recording: no ROS is imported."""

from .buffer import CameraInfoBuffer
from .doubts import doubts_of
from .view import (
    CALIBRATED,
    MAX_COEFFICIENTS,
    RECTIFIED,
    View,
    check_info,
    defined_size,
    for_image,
    intrinsics_of,
)

__all__ = [
    "CALIBRATED",
    "MAX_COEFFICIENTS",
    "RECTIFIED",
    "CameraInfoBuffer",
    "View",
    "check_info",
    "defined_size",
    "doubts_of",
    "for_image",
    "intrinsics_of",
]
