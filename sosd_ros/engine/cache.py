"""Where built engines are kept: one folder each, named by all that it depends on."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

_VERSION = 1  # of what the folders hold


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
    versions = {}
    for library in libraries:
        try:
            versions[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "version": _VERSION,
        "device": _device_name(device),
        "libraries": versions,
        "weights": weights_sha256,
        **others,
    }


def folder_of(cache: Path, key: dict[str, Any]) -> Path:
    """The folder of a key, which may not exist."""
    text = json.dumps(key, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return cache / f"{key['backend']}-{key['precision']}-{digest}"


def store(cache: Path, key: dict[str, Any], build: Callable[[Path], None]) -> Path:
    """Have ``build`` fill the folder of a key, which appears whole or not at all."""
    cache.mkdir(parents=True, exist_ok=True)
    folder = folder_of(cache, key)
    partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".partial", dir=cache))
    try:
        build(partial)
        (partial / "key.json").write_text(json.dumps(key, indent=2, sort_keys=True))
        partial.chmod(0o755)  # for the node, which may be another user's
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def find(cache: Path, key: dict[str, Any]) -> Path | None:
    """The folder of a key, if it has been stored and may be read."""
    folder = folder_of(cache, key)
    return folder if os.access(folder / "key.json", os.R_OK) else None


def _device_name(device: torch.device) -> list[str]:
    """The device's make and, for a GPU, its driver."""
    if device.type == "cuda":
        driver = Path("/proc/driver/nvidia/version")
        version = driver.read_text().splitlines()[0] if driver.is_file() else ""
        return [torch.cuda.get_device_name(device), str(torch.version.cuda), version]
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "CPU part")):
            return [platform.machine(), line.split(":")[1].strip()]
    return [platform.machine()]
