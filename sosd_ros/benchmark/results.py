"""What a run measures, and its JSON."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..testbed.times import Times
from .engines import EngineResult, Memory
from .surroundings import Surroundings

if TYPE_CHECKING:  # needs ROS
    from .nodes import NodeReport


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


@dataclass
class Results:
    """The sections of a run; empty or ``None`` is what it has not measured, or not yet.

    Attributes:
        rates: FLOP/s of matrix products by precision.
        in_full: image to answer with confidence, by the best engine; also at ``LOW_RATE``.
        memory: of a process with one engine, by its name.
        growth: memory after many frames over that after a few.
        scaling: by the network's input and by batch.
        xception65_share: of the matrix-product rate, that the best engine reaches with it.
        rivals: image to answer by other networks and by the best engine, by name.
        ros: nodes over DDS, by name.
    """

    machine: dict[str, str] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    engines: list[EngineResult] = field(default_factory=list)
    surroundings: Surroundings | None = None
    in_full: Times | None = None
    in_full_at_rate: Times | None = None
    memory: dict[str, Memory] = field(default_factory=dict)
    growth: float | None = None
    scaling: list[EngineResult] = field(default_factory=list)
    xception65: list[EngineResult] = field(default_factory=list)
    xception65_share: float | None = None
    rivals: dict[str, Times] = field(default_factory=dict)
    ros: dict[str, NodeReport] = field(default_factory=dict)
    targets: list[Target] = field(default_factory=list)

    def best_engine(self) -> EngineResult:
        """The fastest of those that agree with eager float32."""
        agreeing = [engine for engine in self.engines if engine.agreement.suffices]
        return min(agreeing, key=lambda engine: engine.total.median)

    def to_json(self) -> dict[str, Any]:
        """As JSON has it: the sections that were measured, by name."""
        sections = _named(dataclasses.asdict(self))
        return {name: value for name, value in sections.items() if value not in (None, [], {})}


def _named(value: Any) -> Any:
    """Named tuples as mappings: JSON would have them as lists without names."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {name: _named(item) for name, item in value.items()}
    return [_named(item) for item in value] if isinstance(value, list) else value
