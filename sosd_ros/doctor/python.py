"""Python, and the packages that the node stands on."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType

from ..installed import versions
from ..reasons import first_line
from .finding import Finding

OLDEST, NEWEST = (3, 10), (3, 14)  # that the package is tested with
INTO_VENV = "venv/bin/pip install -c venv/constraints.txt"  # as README has it for a robot
PACKAGES = {  # what is imported: what to do where it cannot be
    "numpy": "apt install python3-numpy, or pip install numpy",
    "cv2": "apt install python3-opencv, or without ROS pip install opencv-python-headless",
    "yaml": "apt install python3-yaml, or pip install pyyaml",
    "numba": "apt install python3-numba, or pip install numba",
    "torch": f"{INTO_VENV} torch timm, and start the node by that environment's Python (README)",
    "timm": f"{INTO_VENV} torch timm, and start the node by that environment's Python (README)",
    "safetensors": f"{INTO_VENV} timm, which brings safetensors",
    "rclpy": "source /opt/ros/DISTRO/setup.bash; without ROS, pip install '.[ros]' into a virtual "
    "environment (make venv)",
}
OPENCVS = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)


def findings(environ: Mapping[str, str]) -> Iterator[Finding]:
    """In the order in which they matter."""
    yield version(sys.version_info[:2], sys.executable)
    modules = {}
    for name, cure in PACKAGES.items():
        module, finding = imported(name, cure)
        modules[name] = module
        yield finding
    if modules["cv2"]:
        yield from several_opencvs(versions(OPENCVS))
    yield from generations(environ.get("ROS_DISTRO", ""), versions(_ROS_WHEELS))


def version(found: tuple[int, int], executable: str) -> Finding:
    """Whether the package knows this Python."""
    name = f"{found[0]}.{found[1]} at {executable}"
    if OLDEST <= found <= NEWEST:
        return Finding("Python", "ok", name)
    wanted = "{}.{} to {}.{}".format(*OLDEST, *NEWEST)
    return Finding("Python", "look", name, f"the package is tested with Python {wanted}")


def imported(name: str, cure: str) -> tuple[ModuleType | None, Finding]:
    """A package, if it can be imported, and what was found."""
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            return None, Finding(name, "broken", f"it needs {error.name}, which is missing", cure)
        return None, Finding(name, "broken", "not installed", cure)
    except Exception as error:  # of a library that is damaged, or does not fit another
        return None, _does_not_load(name, error, cure)
    place = (getattr(module, "__file__", None) or "no file").removesuffix("/__init__.py")
    found = getattr(module, "__version__", "")
    return module, Finding(name, "ok", f"{found} at {place}".lstrip())


def _does_not_load(name: str, error: Exception, cure: str) -> Finding:
    reason = first_line(error)
    text = str(error).lower()
    if "numpy" in text and any(word in text for word in ("1.x", "multiarray", "_array_api")):
        cure = (
            "it is compiled for another NumPy; on a robot keep apt's NumPy "
            f"(`{INTO_VENV} ...`, see README), elsewhere install both from PyPI"
        )
    elif "libgl" in text:
        cure = "apt install libgl1, or pip install opencv-python-headless, which needs no screen"
    return Finding(name, "broken", f"cannot be imported ({reason})", cure)


def several_opencvs(distributions: Mapping[str, str]) -> Iterator[Finding]:
    """PyPI's distributions of cv2 overwrite each other's files."""
    if len(distributions) > 1:
        yield Finding(
            "cv2",
            "look",
            f"{' and '.join(distributions)} are both installed, and have the same files",
            f"pip uninstall {' '.join(distributions)}, then install one of them",
        )


_ROS_WHEELS = ("ros-kilted-rclpy", "ros-jazzy-rclpy")


def generations(sourced: str, wheels: Mapping[str, str]) -> Iterator[Finding]:
    """A sourced ROS 2 and wheels of one in the same Python exclude each other."""
    if sourced and wheels:
        yield Finding(
            "ROS 2",
            "broken",
            f"{sourced} is sourced, and this Python has {' and '.join(wheels)} as well",
            f"on a robot, pip uninstall {' '.join(wheels)}; elsewhere, do not source a ROS 2",
        )
    elif len(wheels) > 1:
        yield Finding(
            "ROS 2",
            "broken",
            f"{' and '.join(wheels)} are both installed, and have the same modules",
            "make a virtual environment for each",
        )
    elif sourced or wheels:
        where = f"{sourced}, sourced" if sourced else " ".join(map(" ".join, wheels.items()))
        yield Finding("ROS 2", "ok", where)
