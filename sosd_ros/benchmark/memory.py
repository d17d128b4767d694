"""Memory, measured in processes of their own, so that nothing else counts."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

MIB = 2**20
T = TypeVar("T")


def status(field: str) -> float:
    """``VmRSS`` (resident) or ``VmHWM`` (its peak) of this process, in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"/proc/self/status has no {field}")


def peak_of(work: Callable[[], object]) -> float:
    """MiB that ``work`` takes at most beyond what is resident before it."""
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak becomes what is resident now
    work()
    return max(status("VmHWM") - before, 0.0)


def elsewhere(function: Callable[..., T], *arguments: Any) -> T:
    """The value of a module's function, from a new process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()
