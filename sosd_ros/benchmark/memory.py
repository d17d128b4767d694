"""Memory of this process, which should have nothing else to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


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
