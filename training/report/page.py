"""The report as one HTML page that needs nothing but itself."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

import cv2
import matplotlib
import numpy as np
from matplotlib.colors import to_hex

from sosd_ros.labels import LabelSet

from ..measuring.result import Result
from .figures import Cell, Legend, Panel, Scale
from .style import STYLE

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
_SMALLEST_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 9)
# A smaller share of a class is not worth its ink in the confusion matrix.
_LEAST_SHARE = 0.005


class Frame(NamedTuple):
    """One frame's figures; ``unit`` is empty for a network without the unit."""

    name: str
    answers: Sequence[Cell]
    unit: Sequence[Cell]


def page(
    title: str,
    facts: Mapping[str, str],
    result: Result,
    paper: tuple[str, Mapping[str, float]],
    labels: LabelSet,
    frames: Sequence[Frame],
) -> str:
    """The whole page.

    Args:
        title: its heading.
        facts: what was measured and how.
        result: the numbers.
        paper: the name of the paper's row to stand beside them, and that row.
        labels: the classes of ``result``.
        frames: the pictures.
    """
    body = [_heading(title, facts), *_tables(result, paper), *_pictures(frames)]
    if result.semantic:
        body += [_bars(result.iou, labels), _confusion(result.confusion, labels.names)]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def _heading(title: str, facts: Mapping[str, str]) -> str:
    rows = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts.items())
    return f"<h1>{escape(title)}</h1>\n<dl>{rows}</dl>"


def _tables(result: Result, paper: tuple[str, Mapping[str, float]]) -> list[str]:
    """The metrics of each task beside the paper's."""
    method, theirs = paper
    row = {f"the paper's {method}": theirs}
    tables = []
    if result.semantic:
        tables += ["<h2>Semantics</h2>", _table({"measured": result.semantic, **row})]
    if result.depth:
        ours = {"over all pixels": result.depth, "mean over images": result.depth_per_image}
        tables += ["<h2>Depth</h2>", _table({**ours, **row})]
    return tables


def _table(columns: Mapping[str, Mapping[str, float]]) -> str:
    """A row for each metric of the first column."""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    rows = []
    for name in next(iter(columns.values())):
        meaning, better = _METRICS[name]
        cells = "".join(f"<td>{_number(name, values)}</td>" for values in columns.values())
        heading = f"{name}&nbsp;{better}<small>{escape(meaning)}</small>"
        rows.append(f"<tr><th>{heading}</th>{cells}</tr>")
    return f'<table class="metrics"><tr><td></td>{head}</tr>\n' + "\n".join(rows) + "</table>"


def _number(name: str, values: Mapping[str, float]) -> str:
    value = values.get(name, math.nan)
    return "" if math.isnan(value) else f"{value:.{2 if name == 'px' else 3}f}"


def _pictures(frames: Sequence[Frame]) -> list[str]:
    parts = [
        "<h2>Answers beside the truth</h2>",
        "<p>As in Fig. 9 and 10 of the paper. Answer and truth share one scale of depth, in which "
        "near is bright and unknown is grey; pixels without a label are black.</p>",
        *(_figure(frame.name, frame.answers) for frame in frames),
        "<h2>Inside the semantic-to-depth unit</h2>",
    ]
    if not all(frame.unit for frame in frames):
        nothing = "Fig. 8 of the paper shows this unit; a network of this variant has none."
        return [*parts, f"<p>{nothing}</p>"]
    return [
        *parts,
        "<p>As in Fig. 8 of the paper. The two latent areas have no unit; the root of their "
        "product is the cue. The last convolution is linear, so that its answer is exactly a sum: "
        "what it makes of the cue (the semantic-to-depth branch), and what it would answer if the "
        "cue were zero (the pure depth branch).</p>",
        *(_figure(frame.name, frame.unit) for frame in frames),
    ]


def _figure(name: str, cells: Sequence[Cell]) -> str:
    drawn = "\n".join(
        _legend(cell) if isinstance(cell, Legend) else _panel(name, cell) for cell in cells
    )
    return f'<h3>{escape(name)}</h3>\n<div class="panels">\n{drawn}\n</div>'


def _panel(name: str, panel: Panel) -> str:
    # The latent maps, which have no unit, are small: their pixels are shown as they are.
    pixelated = ' class="pixelated"' if panel.scale and not panel.scale.unit else ""
    image = f'<img{pixelated} alt="{escape(f"{name}: {panel.title}")}" src="{_data_uri(panel)}">'
    scale = _scale(panel.scale) if panel.scale else ""
    return f"<figure>{image}<figcaption>{escape(panel.title)}{scale}</figcaption></figure>"


def _data_uri(panel: Panel) -> str:
    """Maps and labels to the last bit; photographs as JPEG, which is a fifth of the size."""
    kind, options = ("jpeg", ()) if panel.is_photograph else ("png", _SMALLEST_PNG)
    pixels = cv2.cvtColor(panel.pixels, cv2.COLOR_RGB2BGR)
    _, content = cv2.imencode(f".{kind}", pixels, options)
    return f"data:image/{kind};base64,{base64.b64encode(content.tobytes()).decode()}"


def _scale(scale: Scale) -> str:
    stops = ", ".join(to_hex(c) for c in matplotlib.colormaps[scale.colours](np.linspace(0, 1, 9)))
    ends = (f"{end:.3g}&nbsp;{scale.unit}" for end in (scale.low, scale.high))
    low, high = (end.replace("-", "&minus;") for end in ends)
    bar = f'<i style="background: linear-gradient(to right, {stops})"></i>'
    return f'<span class="scale">{low}{bar}{high}</span>'


def _legend(legend: Legend) -> str:
    items = (
        f'<li><i style="background: rgb{colour}"></i>{escape(name)}</li>'
        for name, colour in legend.entries
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


def _bars(iou: Sequence[float], labels: LabelSet) -> str:
    """IoU of every class, best first; those that do not occur last."""
    classes = list(zip(iou, labels.names, labels.palette, strict=True))
    seen = [row for row in classes if not math.isnan(row[0])]
    rows = [
        f"<tr><th>{escape(name)}</th><td>{value:.3f}</td>"
        f'<td><i style="width: {100 * value:.1f}%; background: rgb{colour}"></i></td></tr>'
        for value, name, colour in sorted(seen, reverse=True)
    ]
    absent = [name for value, name, _ in classes if math.isnan(value)]
    note = f"<p>Neither in the truth nor in the answers: {escape(', '.join(absent))}.</p>"
    table = '<table class="bars">' + "\n".join(rows) + "</table>"
    return f"<h2>IoU by class</h2>\n{table}" + (note if absent else "")


def _confusion(counts: np.ndarray, names: Sequence[str]) -> str:
    """The matrix with every row, a true class, as shares of its pixels."""
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    head = "".join(f"<th><span>{escape(name)}</span></th>" for name in names)
    rows = "\n".join(
        f"<tr><th>{escape(name)}</th>"
        + "".join(_share(share, name, other) for share, other in zip(row, names, strict=True))
        + "</tr>"
        for name, row in zip(names, shares, strict=True)
    )
    return (
        "<h2>Confusion matrix</h2>\n<p>Of every true class (a row), the percentage of its pixels "
        "that each class was answered for (a column): right in blue, wrong in orange.</p>\n"
        f'<div class="wide"><table class="confusion"><tr><th></th>{head}</tr>\n{rows}</table></div>'
    )


def _share(share: float, truth: str, answer: str) -> str:
    if share < _LEAST_SHARE:
        return "<td></td>"
    kind = "right" if truth == answer else "wrong"
    tip = escape(f"{truth} answered as {answer}: {share:.1%}")
    # The root makes small shares visible.
    style = f"--strength: {math.sqrt(share):.2f}"
    return f'<td class="{kind}" style="{style}" title="{tip}">{100 * share:.0f}</td>'
