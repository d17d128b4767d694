"""Images in, metric depth and labels out: one module a backend, no ROS."""

from .answers import DevicePerception, Perception, Range, answers_to
from .backend import EngineError
from .choice import build, load
from .engine import Engine
from .stock import AUTO, BACKENDS, PRECISIONS, Request, is_built

__all__ = [
    "AUTO",
    "BACKENDS",
    "PRECISIONS",
    "DevicePerception",
    "Engine",
    "EngineError",
    "Perception",
    "Range",
    "Request",
    "answers_to",
    "build",
    "is_built",
    "load",
]
