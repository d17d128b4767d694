"""Figures of many times: percentiles of how long, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Times:
    """Milliseconds of many calls."""

    median: float
    p95: float
    p99: float
    calls: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Times:
        median, p95, p99 = (1000 * float(p) for p in np.percentile(seconds, (50, 95, 99)))
        return cls(median, p95, p99, len(seconds))

    def __str__(self) -> str:
        return f"{self.median:8.2f} {self.p95:8.2f} {self.p99:8.2f}"


def rate_of(times: Sequence[float]) -> float:
    """Events a second, from the first to the last of them; 0 of one alone."""
    return (len(times) - 1) / (max(times) - min(times)) if len(times) > 1 else 0.0
