"""What is asked for, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Target:
    """A row of the table.

    Attributes:
        what: is measured.
        value: measured; ``None`` if this run did not measure it.
        limit: that it should keep.
        is_most: whether it should be at most the limit, and not at least.
        note: which engine, and what the value is made of.
    """

    what: str
    value: float | None
    limit: float
    is_most: bool
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "not measured"
        kept = self.value <= self.limit if self.is_most else self.value >= self.limit
        return "met" if kept else "MISSED"

    def __str__(self) -> str:
        value = "-" if self.value is None else f"{self.value:.3g}"
        sign = "<=" if self.is_most else ">="
        return f"{self.what:58} {value:>8} {sign} {self.limit:<6g} {self.verdict:13}{self.note}"


def targets(results: Mapping[str, Any]) -> list[Target]:
    """The rows, of the results of a run (see ``__main__``)."""
    engines = results["engines"]
    eager = next(e for e in engines if e.name == "torch fp32")
    best = best_engine(engines)
    around = results["surroundings"]
    rows = [
        Target("image-to-answer over bare forward", best.overhead, 1.10, True, best.name),
        Target(
            "best engine against eager float32, times as fast",
            eager.total.median / best.total.median,
            3,
            False,
            best.name,
        ),
        Target("frames a second, best engine", best.frames_per_second, 15, False, "aim 25"),
        Target(
            "fused upsample, arg-max and confidence, times as fast",
            around.plain.median / around.fused.median,
            5,
            False,
        ),
        Target(
            "its memory over that of the plain way",
            around.fused_memory / around.plain_memory,
            1 / 8,
            True,
        ),
        Target("cloud into its message [ms]", around.cloud.median, 4, True),
    ]
    return rows + _ros_rows(results, best) + _long_rows(results)


def best_engine(engines: list[Any]) -> Any:
    """The fastest of those that agree with eager float32."""
    agreeing = [e for e in engines if e.agreement.suffices]
    return min(agreeing, key=lambda e: e.total.median)


def _ros_rows(results: Mapping[str, Any], best: Any) -> list[Target]:
    ros = results.get("ros")
    over = ratio = None
    if ros is not None:
        over = ros["sosd"].unhurried.p50_ms / results["in_full_at_rate"].median
        at_30 = {name: _at(report.rates, 30).p95_ms for name, report in ros.items()}
        ratio = at_30["sosd"] / at_30["textbook"]
    rivals = results.get("rivals")
    pair = None
    if rivals is not None:
        pairs = [times for name, times in rivals.items() if " + " in name]
        pair = pairs[0].median / rivals[best.name].median if pairs else None
    return [
        Target(
            "node's stamp-to-answer over image-to-answer", over, 1.25, True, "at 5 Hz, all topics"
        ),
        Target("latency p95 at 30 Hz, over the textbook node's", ratio, 1 / 3, True),
        Target("against the pair of separate networks, times as fast", pair, 5, False),
    ]


def _at(runs: list[Any], rate: float) -> Any:
    return next(run for run in runs if run.rate_hz == rate)


def _long_rows(results: Mapping[str, Any]) -> list[Target]:
    growth, share = results.get("growth"), results.get("xception65_share")
    return [
        Target("memory after 2,000 frames over that after 200", growth, 1.01, True),
        Target("xception65 at 256x512, share of the matrix-product rate", share, 0.6, False),
    ]
