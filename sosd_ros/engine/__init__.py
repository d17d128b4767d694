"""Images in, metric depth and labels out: one module a backend, no ROS."""

from .choice import AUTO, BACKENDS, build, is_built, load
from .engine import Engine
from .perception import EngineError, Perception

__all__ = ["AUTO", "BACKENDS", "Engine", "EngineError", "Perception", "build", "is_built", "load"]
