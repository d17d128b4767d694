"""The sections of a run, for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ..testbed.times import Times
from .engines import EngineResult, Memory
from .surroundings import Surroundings
from .timing import LOW_RATE

if TYPE_CHECKING:  # needs ROS
    from .nodes import NodeReport


def engines(results: Iterable[EngineResult], work: int, rates: Mapping[str, float]) -> str:
    """Engines for one shape of batch; arguments as of ``EngineResult.share_of_peak``."""
    lines = [
        f"{'engine':18}{'median':>9}{'p95':>9}{'p99':>9}  {'forward':>8}{'over':>6}"
        f"{'prepare':>9}{'finish':>8}{'fps':>7}{'of peak':>9}  agreement"
    ]
    for result in results:
        stages = (result.prepare, result.forward, result.finish)
        prepare, forward, finish = ("-" if s is None else f"{s.median:.2f}" for s in stages)
        over = "-" if result.overhead is None else f"{result.overhead:.2f}"
        lines.append(
            f"{result.name:18}{result.total} {forward:>9}{over:>6}{prepare:>9}{finish:>8}"
            f"{result.frames_per_second:7.1f}{result.share_of_peak(work, rates):9.0%}  "
            f"{result.agreement}"
        )
    return "\n".join(lines)


def surroundings(result: Surroundings) -> str:
    lines = [
        f"{'[ms]':36}{'median':>8} {'p95':>8} {'p99':>8}",
        f"labels and confidence, plainly      {result.plain}   {result.plain_memory:.0f} MiB",
        f"labels and confidence, fused        {result.fused}   {result.fused_memory:.1f} MiB",
        f"labels alone, fused                 {result.labels}",
    ]
    more = {
        "cloud into its message": result.cloud,
        "the same on the rays of a lens": result.bent_cloud,
        "an image rectified": result.rectified,
        "answers steadied": result.steadied,
        "scale estimated from 30,000 points": result.scaled,
    }
    return "\n".join(lines + [f"{what:36}{times}" for what, times in more.items() if times])


def memory(results: Mapping[str, Memory]) -> str:
    return "\n".join(
        f"{name:18}{used.resident:8.0f} resident{used.device:8.0f} on the device"
        for name, used in results.items()
    )


def scaling(results: Iterable[EngineResult]) -> str:
    lines = []
    for result in results:
        batch, height, width = result.shape
        each = f"{result.total.median / batch:8.2f} an image"
        lines.append(f"{height}x{width} batch {batch}  {result.name:18}{result.total}{each}")
    return "\n".join(lines)


def rivals(results: Mapping[str, Times]) -> str:
    return "\n".join(f"{name:50}{times}" for name, times in results.items())


def nodes(reports: Mapping[str, NodeReport]) -> str:
    lines = [f"{'node':10}{'offered':>9}{'p50':>9}{'p95':>9}{'p99':>9}{'answered':>12}{'Hz':>7}"]
    for name, report in reports.items():
        lines += [
            f"{name:10}{run.rate_hz:9.0f} {run.latency}"
            f"{run.answered:6d} /{run.offered:4d}{run.achieved_hz:7.1f}"
            for run in (report.unhurried, *report.rates.values())
        ]
        lines.append(f"{name:10}highest rate held: {report.highest:.1f} Hz")
    ours = reports["sosd"]
    stages = dict(ours.stages)
    if "total" in stages:  # the node's own report may have come too late
        stages["on the way"] = ours.unhurried.latency.median - stages.pop("total")
    of_stages = ", ".join(f"{stage} {value:.1f}" for stage, value in stages.items())
    return "\n".join([*lines, f"sosd at {LOW_RATE:g} Hz [ms]: {of_stages}"])
