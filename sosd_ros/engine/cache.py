"""Where built engines are kept: one folder each, named by all that it depends on."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from ..installed import versions

_VERSION = 2  # of what the folders hold
_LABEL = "key.json"  # written last


def default_cache() -> Path:
    """``$SOSD_CACHE``, or ``sosd_ros`` below the user's cache folder."""
    if "SOSD_CACHE" in os.environ:
        return Path(os.environ["SOSD_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(base, "sosd_ros")


def key(
    device: torch.device, libraries: Sequence[str], weights_sha256: str, **others: Any
) -> dict[str, Any]:
    """All that a built engine depends on: if one of it changes, the engine is another."""
    return {
        "version": _VERSION,
        "device": device_name(device),
        "libraries": versions(libraries),
        "weights": weights_sha256,
        **others,
    }


def device_name(device: torch.device) -> list[str]:
    """A GPU, its CUDA and its driver; or a CPU's architecture, make and instructions."""
    if device.type == "cuda":
        driver = Path("/proc/driver/nvidia/version")
        version = driver.read_text().splitlines()[0] if driver.is_file() else ""
        return [torch.cuda.get_device_name(device), str(torch.version.cuda), version]
    # Which instructions there are; a virtual machine may lack some of its CPU's.
    capability = torch.backends.cpu.get_cpu_capability()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "CPU part")):
            return [platform.machine(), line.split(":")[1].strip(), capability]
    return [platform.machine(), capability]


def folder_of(cache: Path, key: dict[str, Any]) -> Path:
    """The folder of a key, which may not exist."""
    text = json.dumps(key, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return cache / f"{key['backend']}-{key['precision']}-{digest}"


@contextlib.contextmanager
def alone(cache: Path) -> Iterator[None]:
    """Wait until nobody else stores in a cache, and let nobody else store meanwhile."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def store(cache: Path, key: dict[str, Any], build: Callable[[Path], None]) -> Path:
    """Have ``build`` fill the folder of a key, which appears whole or not at all.

    To be called by one at a time (:func:`alone`).
    """
    cache.mkdir(parents=True, exist_ok=True)
    folder = folder_of(cache, key)
    for killed in cache.glob(f"{folder.name}.*.partial"):
        shutil.rmtree(killed, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".partial", dir=cache))
    try:
        build(partial)
        label = {"key": key, "bytes": _sizes(partial)}
        (partial / _LABEL).write_text(json.dumps(label, indent=2, sort_keys=True))
        partial.chmod(0o755)  # for the node, which may be another user's
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def find(cache: Path, key: dict[str, Any]) -> Path | None:
    """The folder of a key, if it has been stored, may be read, and is whole.

    What a full disk or a loss of power has cut short is not there, and so will be built again.
    """
    folder = folder_of(cache, key)
    try:
        stored = json.loads((folder / _LABEL).read_text())["bytes"]
        return folder if stored == _sizes(folder) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def built_file(folder: Path, size: tuple[int, int], suffix: str) -> Path:
    """Where a file for inputs of a (height, width) belongs: ``288x384.onnx``."""
    return folder / f"{size[0]}x{size[1]}{suffix}"


def built_files(folder: Path, suffix: str) -> dict[tuple[int, int], Path]:
    """What is named as by ``built_file``, by (height, width)."""
    named = ((re.fullmatch(r"(\d+)x(\d+)", path.stem), path) for path in folder.glob(f"*{suffix}"))
    found = {(int(name[1]), int(name[2])): path for name, path in named if name}
    return dict(sorted(found.items()))


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of all files in a folder, but of the label itself."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): path.stat().st_size for path in files if path.name != _LABEL
    }
