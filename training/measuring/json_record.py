"""What was measured as a JSON file, from which everything can be computed again, and back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..data.sample import DataSet
from ..metrics import ErrorsByDistance
from ..metrics.edges import THRESHOLDS
from ..metrics.points import COUNTS
from ..metrics.spread import COVERAGES
from .bootstrap import Intervals
from .result import Result, measures_of


def text(
    facts: Mapping[str, Any], result: Result, intervals: Intervals, classes: tuple[str, ...]
) -> str:
    """The file's text: strict JSON, which has no NaN, so that what is not there is null.

    ``rows`` has a line for every image: its ``name``; ``metrics``, its own numbers by measure;
    ``sums``, what the set's numbers are made of (see ``training.metrics``).

    Args:
        facts: what stands above the numbers.
        intervals: of the numbers.
        classes: their names.
    """
    measures = result.measures
    numbers = {
        "semantic": result.semantic,
        "depth": result.depth,
        "depth_per_image": result.depth_per_image,
        "iou": dict(zip(classes, result.iou, strict=False)),
        "confusion": result.confusion.tolist(),
        **{
            name: measure.summary()
            for name, measure in measures.items()
            if isinstance(measure, ErrorsByDistance)
        },
        **{
            name: measures[name].pooled()
            for name in ("trimap", "calibration", "scale", "points", "edges", "spread")
            if name in measures
        },
        "edge_thresholds": THRESHOLDS,
        "coverages": COVERAGES,
        "points_an_image": COUNTS,
        "intervals": {
            name: {metric: ends.tolist() for metric, ends in found.items()}
            for name, found in intervals.items()
        },
    }
    head = json.dumps(_plain({**facts, **numbers}), indent=2)
    rows = ",\n    ".join(json.dumps(_plain(row)) for row in _rows(result))
    return f'{head[:-2]},\n  "rows": [\n    {rows}\n  ]\n}}\n'


def read(path: Path) -> dict[str, Any]:
    """A file's content.

    Raises:
        ValueError: if it is not one of this version.
    """
    try:
        content = json.loads(path.read_text())
        if not (content["conditions"] and content["rows"]):
            raise ValueError("it has no images")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(_not_a_record(path, error)) from error
    return content


def result_in(content: Mapping[str, Any], data_set: DataSet, path: Path) -> Result:
    """The result in a file's content, of ``data_set``.

    Raises:
        ValueError: if it cannot be one.
    """
    rows = content["rows"]
    measures = measures_of(("semantic", "depth"), data_set, details=True)
    try:
        found = {
            name: measures[name].of(
                [
                    np.array(row["sums"][name], np.float64)
                    .astype(measures[name].dtype)
                    .reshape(measures[name].shape)
                    for row in rows
                ]
            )
            for name in rows[0]["sums"]
        }
        return Result(tuple(row["name"] for row in rows), found)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(_not_a_record(path, error)) from error


def _not_a_record(path: Path, error: Exception) -> str:
    return (
        f"{path} is not what `python -m training.evaluate FILE --json` of this version writes "
        f"({type(error).__name__}: {error}); write it again"
    )


def _rows(result: Result) -> list[dict[str, Any]]:
    metrics = {
        name: measure.metrics(measure.stacked())
        for name, measure in result.measures.items()
        if name not in ("by_distance", "by_answer")
    }
    return [
        {
            "name": image,
            "metrics": {
                name: {metric: column[index].tolist() for metric, column in columns.items()}
                for name, columns in metrics.items()
            },
            "sums": {
                name: measure.rows[index].tolist() for name, measure in result.measures.items()
            },
        }
        for index, image in enumerate(result.names)
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
