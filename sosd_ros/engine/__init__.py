"""Images in, metric depth and labels out: one module a backend, no ROS."""

from .choice import AUTO, BACKENDS, build, is_built, load
from .engine import Engine
from .perception import EngineError, Perception, answers_to

__all__ = [
    "AUTO",
    "BACKENDS",
    "Engine",
    "EngineError",
    "Perception",
    "answers_to",
    "build",
    "is_built",
    "load",
]
