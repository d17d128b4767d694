"""ESOSD-Net in plain torch: no ROS, no files."""

from .backbone import REFINED_STRIDE
from .images import input_size, prepare
from .layers import upsample
from .sosd_net import TASKS, VARIANTS, Output, SOSDNet, has_units, tasks_of

__all__ = [
    "REFINED_STRIDE",
    "TASKS",
    "VARIANTS",
    "Output",
    "SOSDNet",
    "has_units",
    "input_size",
    "prepare",
    "tasks_of",
    "upsample",
]
