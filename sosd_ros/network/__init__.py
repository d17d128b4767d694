"""ESOSD-Net in plain torch: no ROS, no files."""

from .fit import canvas_size, in_parts
from .images import input_size, prepare
from .layers import Padding, upsample
from .sosd_net import (
    FORM,
    LAPLACE_DEVIATION,
    TASKS,
    VARIANTS,
    DepthForm,
    Output,
    SOSDNet,
    Variant,
    check_form,
    has_units,
    tasks_of,
)

__all__ = [
    "FORM",
    "LAPLACE_DEVIATION",
    "TASKS",
    "VARIANTS",
    "DepthForm",
    "Output",
    "Padding",
    "SOSDNet",
    "Variant",
    "canvas_size",
    "check_form",
    "has_units",
    "in_parts",
    "input_size",
    "prepare",
    "tasks_of",
    "upsample",
]
