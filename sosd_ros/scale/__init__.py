"""Scale from what else a robot knows: depth measured at some points, or the camera's height.

Arrays in, arrays out. For each frame: ``visible`` leaves out the points that the camera cannot see,
``evidence_of_points`` and ``evidence_of_height`` compare the rest with the answered depth, and a
``ScaleWindow`` makes one factor of the frames of the last seconds.
"""

from .evidence import Evidence, evidence_of_points
from .ground import evidence_of_height
from .visibility import visible
from .window import Limits, Scale, ScaleWindow

__all__ = [
    "Evidence",
    "Limits",
    "Scale",
    "ScaleWindow",
    "evidence_of_height",
    "evidence_of_points",
    "visible",
]
