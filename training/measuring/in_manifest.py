"""What a weights file says of how well its network answers."""

from __future__ import annotations

import math
from typing import Any

from ..data.sample import Part
from ..networks.predictor import Predictor
from .bootstrap import Intervals
from .result import Result, measure
from .setting import Setting

FIRST = 8  # images that are measured apart, so that the file can be checked in moments


def numbers(result: Result) -> dict[str, float]:
    """Metrics for the manifest, to the digits that mean something."""
    return {name: round(value, 4) for name, value in result.pooled().items()}


# What is told beside the paper's metrics: its name in the manifest, its measure and metric.
_DETAILS = {
    "trimap_mIoU": ("trimap", "mIoU"),
    "ECE": ("calibration", "ECE"),
    "aligned_rel": ("scale", "aligned_rel"),
    "off_scale": ("scale", "off_scale"),
    "edges_F1": ("edges", "F1"),
    "AUSE_rel": ("spread", "AUSE_rel"),
    "AUSE_rms": ("spread", "AUSE_rms"),
    "coverage": ("spread", "coverage"),
}


def details(result: Result, intervals: Intervals) -> dict[str, object]:
    """What people see, for the manifest: a number, or one for each threshold of
    ``metrics.edges`` or share of ``metrics.spread``; and ``intervals``, the two ends of each
    number, the paper's included. None for what is not defined.
    """
    measured = {name for name, measure in result.measures.items() if measure.rows}
    found = {k: v for k, v in _DETAILS.items() if v[0] in measured}
    paper = {
        name: (measure, name)
        for measure, names in (("semantic", result.semantic), ("depth", result.depth))
        for name in names
    }
    return {
        **{k: _rounded(result.measures[of].pooled()[name]) for k, (of, name) in found.items()},
        "intervals": {
            k: _rounded(intervals[of][name].T.tolist()) for k, (of, name) in (paper | found).items()
        },
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return None if math.isnan(value) else round(value, 4)


def metrics(
    result: Result, intervals: Intervals, predictor: Predictor, setting: Setting, data: str
) -> dict[str, object]:
    """The metrics for a manifest.

    Args:
        result: measured in detail, of the file as the robot reads it, half precision and all.
        intervals: of its numbers.
        predictor: that was measured.
        setting: what it was measured on.
        data: the same in words.
    """
    samples, truth = setting.samples, setting.truth
    first = Part(samples, range(min(FIRST, len(samples))))
    return {
        "data": data,
        "images": len(samples),
        "depth": "pooled over pixels",
        **numbers(result),
        **details(result, intervals),
        "first": {"images": len(first), **numbers(measure(predictor, first, truth))},
    }
