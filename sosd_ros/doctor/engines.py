"""The device, the weights, and what runs the network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch

from ..device import DeviceError, checked_device
from ..engine import cache
from ..engine.stock import BACKENDS, Stock
from ..weights import WeightsError, read
from .finding import Finding

DRIVER = Path("/proc/driver/nvidia/version")


def findings(device: str, weights: Path, folder: Path | None) -> Iterator[Finding]:
    """Of a device and a weights file.

    Args:
        device: ``cuda``, ``cuda:N`` or ``cpu``.
        folder: the cache of built engines; the user's own if ``None``.
    """
    if device == "cpu":
        yield unused_card(DRIVER, torch.cuda.is_available(), torch.version.cuda)
    try:
        checked = checked_device(device)
    except DeviceError as error:
        yield Finding("device", "broken", str(error), _driver(DRIVER, torch.version.cuda))
        checked = None
    if checked is not None:
        yield Finding("device", "ok", f"{device}, {', '.join(cache.device_name(checked))}")
        yield from room(checked)
    try:
        file = read(weights)
    except WeightsError as error:
        cure = "give the path of another file, or install the package again"
        yield Finding("weights", "broken", str(error), cure)
        return
    manifest = file.manifest
    height, width = manifest.input_size
    what = f"{weights}, {manifest.variant} on {manifest.backbone}, {height}x{width}"
    yield Finding("weights", "ok", what)
    if checked is not None:
        yield from built(Stock(file, checked, folder))


def unused_card(driver: Path, is_found: bool, cuda: str | None) -> Finding:
    """A machine with an NVIDIA GPU, on which only the CPU is asked for or found."""
    if not driver.is_file():
        return Finding("GPU", "ok", "no NVIDIA driver: start the node with device:=cpu")
    if is_found:
        return Finding("GPU", "look", "there is one", "use it: --device cuda, device:=cuda")
    return Finding(
        "GPU", "look", "NVIDIA's driver is loaded, but torch finds no GPU", _driver(driver, cuda)
    )


def _driver(driver: Path, cuda: str | None) -> str:
    if cuda is None:
        return "torch is a build without CUDA: install the one for your CUDA from pytorch.org"
    if not driver.is_file():
        return f"install NVIDIA's driver for CUDA {cuda}; in a container, --gpus all or --runtime"
    return f"torch wants CUDA {cuda}: compare with the version that nvidia-smi prints"


def room(device: torch.device) -> Iterator[Finding]:
    """Memory of a GPU, cores of a CPU."""
    if device.type == "cuda":
        free, total = (amount / 2**30 for amount in torch.cuda.mem_get_info(device))
        what = f"{free:.1f} of {total:.1f} GiB are free"
        cure = "" if free > 1 else "end what else uses the GPU"
        yield Finding("memory", "look" if cure else "ok", what, cure)
        return
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    what = f"{cores} for this process, load {load:.1f}"
    cure = "give the node cores of its own" if load > cores else ""
    yield Finding("cores", "look" if cure else "ok", what, cure)


def built(stock: Stock) -> Iterator[Finding]:
    """Which engines there are of the weights on this device, and what others would need."""
    device = stock.device.type
    command = f"python -m sosd_ros.build --device {device}"
    there = [
        f"{candidate} for {', '.join(f'{h}x{w}' for h, w in files)}"
        for candidate in stock.candidates()
        if candidate.backend.suffix and (files := stock.files(candidate))
    ]
    if there:
        yield Finding("engines", "ok", f"{'; '.join(there)}, in {stock.folder}")
    else:
        yield Finding(
            "engines",
            "look",
            f"none is built in {stock.folder}, so the node runs in torch, which is slower",
            f"{command}, as the user who runs the node",
        )
    missing = {
        kind.name: kind.missing() for kind in BACKENDS if kind.suffix and device in kind.precisions
    }
    for name, what in missing.items():
        if what and not there:
            yield Finding(f"engine {name}", "look", what, f"then {command}")
    yield writable(stock.folder)


def writable(folder: Path) -> Finding:
    """Where engines and compiled code are kept."""
    present = next(place for place in (folder, *folder.parents) if place.exists())
    if not os.access(present, os.W_OK):
        cure = "give it to the user who runs the node, or set SOSD_CACHE and engine_cache"
        return Finding("cache", "broken", f"nothing can be written to {present}", cure)
    free = shutil.disk_usage(present).free / 2**30
    if free < 1:
        return Finding("cache", "look", f"{free:.1f} GiB are free at {present}", "make room")
    return Finding("cache", "ok", f"{folder}, {free:.0f} GiB free")
