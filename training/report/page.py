"""The report as one HTML page that needs nothing but itself: ``page.html.jinja`` filled in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.colors import to_hex

from sosd_ros.labels import LabelSet

from ..measuring.paper import Row
from ..measuring.result import Result
from ..measuring.tables import number
from ..pages import data_uri, templates
from .figures import Cell, ColourScale, Legend, Panel

# What the metrics are, and whether more or less of it is better.
_METRICS = {
    "mIoU": ("mean IoU", "↑"),
    "mAcc": ("mean accuracy of classes", "↑"),
    "pAcc": ("accuracy of pixels", "↑"),
    "rel": ("relative error", "↓"),
    "rms": ("root mean square error, m", "↓"),
    "log10": ("log10 error", "↓"),
    "d1": ("within a factor of 1.25", "↑"),
    "d2": ("within a factor of 1.25²", "↑"),
    "d3": ("within a factor of 1.25³", "↑"),
    "px": ("absolute disparity error, px", "↓"),
}
# A smaller share of a class is not worth its ink in the confusion matrix.
_LEAST_SHARE = 0.005


class FrameFigures(NamedTuple):
    """One frame's figures; ``unit`` is empty for a network without the unit."""

    name: str
    answers: Sequence[Cell]
    unit: Sequence[Cell]


def page(
    title: str,
    facts: Mapping[str, str],
    result: Result,
    paper: Row,
    labels: LabelSet,
    frames: Sequence[FrameFigures],
) -> str:
    """The whole page.

    Args:
        title: its heading.
        facts: what was measured and how.
        result: the numbers.
        paper: the row to stand beside them.
        labels: the classes of ``result``.
        frames: the pictures.
    """
    named = list(zip(result.iou, labels.names, labels.palette, strict=False))
    counts = result.confusion
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    return _TEMPLATES.get_template("page.html.jinja").render(
        title=title,
        facts=facts,
        result=result,
        paper=paper,
        frames=frames,
        all_have_units=all(frame.unit for frame in frames),
        # Best first.
        classes=sorted((c for c in named if not math.isnan(c[0])), reverse=True),
        absent=[name for iou, name, _ in named if math.isnan(iou)],
        names=labels.names,
        confusion=list(zip(labels.names, shares, strict=False)),
        METRICS=_METRICS,
        LEAST_SHARE=_LEAST_SHARE,
    )


def _end(value: float) -> str:
    """An end of a scale."""
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}")


def _colours(scale: ColourScale) -> str:
    """A scale's colours from its low end to its high one, as CSS has them."""
    return ", ".join(to_hex(c) for c in matplotlib.colormaps[scale.colours](np.linspace(0, 1, 9)))


def _data_uri(panel: Panel) -> str:
    """Maps and labels to the last bit; photographs as JPEG, which is a fifth of the size."""
    return data_uri(panel.pixels, ".jpg" if panel.is_photograph else ".png")


_TEMPLATES = templates(Path(__file__).parent)
_TEMPLATES.filters |= {"number": number, "end": _end, "colours": _colours, "data_uri": _data_uri}
_TEMPLATES.tests["legend"] = lambda cell: isinstance(cell, Legend)
