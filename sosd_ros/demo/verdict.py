"""At which rate frames were answered, and why not all of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_BUSY = 0.1  # share of the cores that others must take to be named


class CpuTime(NamedTuple):
    """Seconds that this program's cores have computed since they were started.

    Attributes:
        ours: for this process and another one.
        all: for all programs, and for other virtual machines.
        idle: for nobody.
    """

    ours: float
    all: float
    idle: float

    def others_since(self, earlier: CpuTime) -> float:
        """The share of the cores that other programs had in between."""
        ours, busy, idle = (now - then for now, then in zip(self, earlier, strict=True))
        return max(0.0, busy - ours) / max(busy + idle, 1e-9)


def cpu_time(pid: int) -> CpuTime:
    """As the kernel has counted until now, for us and the process ``pid``."""
    second = os.sysconf("SC_CLK_TCK")
    lines = dict(line.split(maxsplit=1) for line in Path("/proc/stat").read_text().splitlines())
    names = {f"cpu{n}" for n in os.sched_getaffinity(0)}
    if not names <= lines.keys():  # in a container that numbers its cores anew
        names = {"cpu"}
    cores = [list(map(int, lines[name].split())) for name in names]
    idle = sum(core[3] + core[4] for core in cores)  # of which the latter waits for a disk
    busy = sum(sum(core[:8]) for core in cores) - idle
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    theirs = (int(fields[11]) + int(fields[12])) / second
    return CpuTime(sum(os.times()[:2]) + theirs, busy / second, idle / second)


def reasons(
    health: Mapping[str, str], no_engine: str, has_bfloat16: bool, others: float
) -> list[str]:
    """Why a node does not answer more frames.

    Args:
        health: the values of its diagnostics.
        no_engine: why there is no engine that was built for the CPU; may be empty.
        has_bfloat16: whether the processor calculates in it.
        others: share of the cores that other programs had.
    """
    found, cores = [], ""
    if health["device"] == "cpu":
        cores = f" on {len(os.sched_getaffinity(0))} cores"
        if no_engine:
            found.append(no_engine)
        elif health["backend"].startswith("torch"):
            found.append("the engine that is built was refused: python -m sosd_ros.build says why")
        if not has_bfloat16:
            found.append(
                "this processor has no bfloat16 (AVX512-BF16 or AMX), which would halve the time"
            )
    if others > _BUSY:
        found.append(f"other programs took {others:.0%} of the processor meanwhile")
    if "latency network p50 [ms]" in health:
        network = float(health["latency network p50 [ms]"])
        found.append(f"the network takes {network:.0f} ms a frame{cores}")
    return found


def verdict(rate: float, played: int, answered: int, engine: str, why: Sequence[str]) -> str:
    """The rate of answers in a line and, if it is not that of the frames, why in others.

    Args:
        rate: of the frames, in Hz.
        played, answered: how many frames.
        engine: what answers, for people.
        why: it answers no more of them.
    """
    if answered == played:
        return f"{rate:.3g} Hz, every frame answered by {engine}"
    of_all = f"{rate * answered / played:.3g} of {rate:.3g} Hz, {answered} of {played} frames"
    return "\n  ".join([f"{of_all} answered by {engine}:", *why])
