"""What was measured as tables of text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..metrics import DEPTH_ERRORS, DEPTH_METRICS, SEMANTIC_METRICS, ErrorsByDistance, Measure
from ..metrics.calibration import BINS
from ..metrics.edges import EDGE_METRICS, THRESHOLDS
from ..metrics.points import COUNTS
from ..metrics.semantic import TRIMAP_RADIUS
from ..metrics.spread import COVERAGES
from .bootstrap import Intervals
from .paper import Row
from .result import Result


def text(result: Result, paper: Row, intervals: Intervals) -> str:
    """What was measured, each number with its interval and the paper's beside it."""
    columns = {"paper's " + paper.method: paper.metrics}
    if result.depth:
        columns = {"per image": result.depth_per_image, **columns}
    rows = [["", "measured", "95 % interval", *columns]]
    for group in (("semantic", "trimap", "calibration"), ("depth", "scale", "points", "spread")):
        found = [line for line in lines(result.measures) if line.measure in group]
        rows += [[""] * len(rows[0])] * bool(found and len(rows) > 1)
        rows += [
            [
                line.title,
                number(line.of(result.measures), line.metric),
                _interval(line, line.ends(intervals)),
                *(number(column.get(line.title), line.metric) for column in columns.values()),
            ]
            for line in found
        ]
    edges = f"\n\n{_edges(result, intervals)}" if "edges" in result.measures else ""
    return aligned(rows) + edges


class Line(NamedTuple):
    """One number: what it is called, where it is found, and which is better, more or less of it."""

    title: str
    measure: str
    metric: str
    place: int | None = None
    better: str = "more"

    def of(self, measures: Mapping[str, Measure]) -> float:
        value = measures[self.measure].pooled()[self.metric]
        return value if self.place is None else value[self.place]

    def ends(self, intervals: Intervals) -> tuple[float, float]:
        """Of its interval."""
        low, high = intervals[self.measure][self.metric]
        return (low, high) if self.place is None else (low[self.place], high[self.place])


def lines(measures: Mapping[str, Measure]) -> list[Line]:
    """All numbers of these measures that stand for the whole set, in the order of their tables."""
    depth = [
        Line(name, "depth", name, better="less" if name in DEPTH_ERRORS else "more")
        for name in (name for names in DEPTH_METRICS.values() for name in names)
    ]
    present = set(measures["depth"].pooled()) if "depth" in measures else set()
    return [
        line
        for line in (
            *(Line(name, "semantic", name) for name in SEMANTIC_METRICS),
            Line(f"mIoU within {TRIMAP_RADIUS} px of another class", "trimap", "mIoU"),
            Line("ECE, calibration error", "calibration", "ECE", better="less"),
            *(line for line in depth if line.title in present),
            Line("rel, after scaling each image", "scale", "aligned_rel", better="less"),
            *(
                Line(f"rel, scaled by {count} points an image", "points", "rel", place, "less")
                for place, count in enumerate(COUNTS)
            ),
            Line("share of images off scale by 25 %", "scale", "off_scale", better="less"),
            *(
                Line(f"edges of {limit:g} m, {metric}", "edges", metric, place)
                for place, limit in enumerate(THRESHOLDS)
                for metric in EDGE_METRICS
            ),
            Line("AUSE, rel", "spread", "AUSE_rel", better="less"),
            Line("AUSE, rms", "spread", "AUSE_rms", better="less"),
            *(
                Line(f"coverage of {share:.0%}", "spread", "coverage", place, "")
                for place, share in enumerate(COVERAGES)
            ),
        )
        if line.measure in measures
    ]


def _edges(result: Result, intervals: Intervals) -> str:
    """Precision, recall and F1 beside each other."""
    found = [line for line in lines(result.measures) if line.measure == "edges"]
    rows = [["depth edges", *(cell for name in EDGE_METRICS for cell in (name, ""))]]
    for place, limit in enumerate(THRESHOLDS):
        row = [f"steeper than {limit:g} m"]
        for line in found:
            if line.place == place:
                row += [
                    number(line.of(result.measures), line.metric),
                    _interval(line, line.ends(intervals)),
                ]
        rows.append(row)
    return aligned(rows)


def by_class(iou: Sequence[float], names: Sequence[str]) -> str:
    """IoU of every class that occurs, best first."""
    pairs = zip(iou, names, strict=True)
    seen = sorted(((value, name) for value, name in pairs if not math.isnan(value)), reverse=True)
    width = max((len(name) for _, name in seen), default=0)
    lines = (f"  {name:<{width}}  {value:.3f}  {'#' * round(40 * value)}" for value, name in seen)
    return "\n".join(map(str.rstrip, lines))


def by_distance(errors: ErrorsByDistance, bias: np.ndarray) -> str:
    """Depth's errors at each distance that occurs, nearest first.

    Args:
        bias: (2, distances), the interval of each.
    """
    rows = [["metres", "share", "rel", "rms", "d1", "bias", "95 % interval"]]
    for row in errors.summary():
        place = errors.EDGES.index(row["from"])
        low, high = bias[:, place]
        rows.append(
            [
                distance(place),
                f"{row['share']:.2f}",
                *(f"{row[name]:.3f}" for name in ("rel", "rms", "d1")),
                f"{row['bias']:+.3f}",
                f"{low:+.3f} to {high:+.3f}",
            ]
        )
    return aligned(rows)


def distance(place: int) -> str:
    """A distance of ``ErrorsByDistance`` in words."""
    near, far = ErrorsByDistance.EDGES[place : place + 2]
    return f"over {near:g}" if math.isinf(far) else f"{near:g} to {far:g}"


def reliability(calibration: Measure) -> str:
    """How often classes are right at each confidence, of bins that occur.

    A bar is as long as confidence or accuracy, whichever is larger, and ends in dots where it is
    confidence, in plus signs where it is accuracy.
    """
    found = calibration.pooled()
    rows = [["confidence", "share", "said", "right", ""]]
    for index, share in enumerate(found["share"]):
        if share > 0:
            low, high = index / BINS, (index + 1) / BINS
            said, right = found["confidence"][index], found["accuracy"][index]
            both, more = round(40 * min(said, right)), "." if said > right else "+"
            bar = "#" * both + more * (round(40 * max(said, right)) - both)
            numbers = (f"{value:.3f}" for value in (share, said, right))
            rows.append([f"{low:.2f} to {high:.2f}", *numbers, bar])
    return aligned(rows, left=(0, 4))


def aligned(rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """Rows of cells, which are as wide as the widest of their column."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place in left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as Markdown has it."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def number(value: float | None, metric: str) -> str:
    """A value of a metric to the digits that the paper gives it; empty if it is not defined."""
    digits = 2 if metric == "px" else 3
    return "" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _interval(line: Line, ends: tuple[float, float]) -> str:
    low, high = (number(end, line.metric) for end in ends)
    return f"{low} to {high}" if low else ""
