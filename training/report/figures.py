"""Fig. 8, 9 and 10 of the paper as panels, and panels as one picture for a paper."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from sosd_ros.labels import UNLABELLED, Colour, LabelSet

from ..data.sample import DataSet, Sample
from ..measuring.colour_maps import DEPTH_COLOURS, ends, paint
from .answer import Answer

COLUMNS = 3


@dataclass(frozen=True)
class ColourScale:
    """What the colours of a map mean.

    Attributes:
        low, high: the values at the ends; what lies beyond has the colour of the end.
        unit: ``m``, ``px``, or nothing.
        colours: name of a Matplotlib colour map.
    """

    low: float
    high: float
    unit: str
    colours: str

    def paint(self, values: np.ndarray) -> np.ndarray:
        """(H, W) values as (H, W, 3) uint8 RGB, grey where they are not finite."""
        return paint(values, self.low, self.high, self.colours)


@dataclass(frozen=True)
class Panel:
    """A titled picture: (H, W, 3) uint8 RGB, with its scale if it is a map of numbers."""

    title: str
    pixels: np.ndarray
    scale: ColourScale | None = None
    is_photograph: bool = False


@dataclass(frozen=True)
class Legend:
    """In the place of a panel: the classes that occur, with their colours."""

    entries: Sequence[tuple[str, Colour]]


Cell = Panel | Legend


def answers(sample: Sample, answer: Answer, data: DataSet) -> list[Cell]:
    """Fig. 9 and 10: the image, and for each task the answer beside the truth; and, of a network
    that tells it, how unsure it is of the depth.
    """
    cells: list[Cell] = [Panel("image", sample.image, is_photograph=True)]
    if answer.labels is not None:
        cells.append(Panel("semantics, answer", data.labels.colours(answer.labels)))
        shown = [answer.labels]
        if (sample.labels != UNLABELLED).any():
            cells.append(Panel("semantics, truth", data.labels.colours(sample.labels)))
            shown.append(sample.labels)
        cells.append(_legend(np.stack(shown), data.labels))
    if answer.depth is not None:
        name, scale = _depth(answer.depth, sample.depth, data)
        cells += [
            _map(f"{name}, answer", answer.depth, scale),
            _map(f"{name}, truth", sample.depth, scale),
        ]
    if answer.uncertainty is not None:
        scale = ColourScale(0, ends(answer.uncertainty)[1], scale.unit, "magma")
        cells.append(_map("uncertainty, one standard deviation", answer.uncertainty, scale))
    return cells


def unit(sample: Sample, answer: Answer, data: DataSet) -> list[Cell]:
    """Fig. 8, in an order that reads like the unit: a product, and then a sum.

    The second row is area_3d * area_2d and the square root of that; the third is the cue's part
    of the answer, the pure depth branch, and the answer, which is their sum.

    Returns:
        Nine panels, or none if the network has no semantic-to-depth unit.
    """
    if answer.unit is None or answer.depth is None:
        return []
    maps = answer.unit
    name, scale = _depth(answer.depth, sample.depth, data)
    _, most = ends(np.abs(maps.from_cue))
    signed = ColourScale(-most, most, scale.unit, "RdBu_r")
    return [
        Panel("image", sample.image, is_photograph=True),
        Panel("semantics, truth", data.labels.colours(sample.labels)),
        _map(f"{name}, truth", sample.depth, scale),
        _latent("3D area, ~ ΔX ΔY", maps.area_3d),
        _latent("2D area, ~ 1 / (Δu Δv)", maps.area_2d),
        _latent("cue, √(3D area · 2D area)", maps.cue),
        _map("semantic-to-depth branch", maps.from_cue, signed),
        _map("pure depth branch", maps.pure, scale),
        _map(f"{name}, answer", answer.depth, scale),
    ]


def picture(cells: Sequence[Cell]) -> bytes:
    """The cells in rows of three, as a PNG file for a paper or a talk."""
    rows = -(-len(cells) // COLUMNS)
    height, width = next(cell.pixels.shape[:2] for cell in cells if isinstance(cell, Panel))
    inches = rows * (10 / COLUMNS * height / width + 0.7)
    figure = Figure(figsize=(10, inches), dpi=200, layout="compressed")
    axes = [*figure.subplots(rows, COLUMNS, squeeze=False).flat]
    for place in axes:
        place.axis("off")
    for place, cell in zip(axes, cells, strict=False):
        _draw(place, cell)
    content = io.BytesIO()
    figure.savefig(content, format="png", bbox_inches="tight", pad_inches=0.1)
    return content.getvalue()


def _draw(axes: Axes, cell: Cell) -> None:
    if isinstance(cell, Legend):
        patches = [Patch(color=f"#{bytes(c).hex()}", label=name) for name, c in cell.entries]
        columns = 1 + len(patches) // 12
        axes.legend(handles=patches, loc="center", frameon=False, ncols=columns, fontsize=8)
        return
    axes.imshow(cell.pixels)
    axes.set_title(cell.title, fontsize=10)
    if cell.scale:
        colours = ScalarMappable(Normalize(cell.scale.low, cell.scale.high), cell.scale.colours)
        bar = axes.inset_axes((0, -0.09, 1, 0.05))
        axes.figure.colorbar(colours, cax=bar, orientation="horizontal")
        bar.tick_params(labelsize=8)
        bar.xaxis.set_major_locator(MaxNLocator(5))
        bar.xaxis.set_major_formatter(f"{{x:.3g}} {cell.scale.unit}")


def _map(title: str, values: np.ndarray, scale: ColourScale) -> Panel:
    return Panel(title, scale.paint(values), scale)


def _depth(answer: np.ndarray, truth: np.ndarray, data: DataSet) -> tuple[str, ColourScale]:
    """What the answer is called, and the scale that it shares with the truth; near is bright."""
    name, unit = {"metres": ("depth", "m"), "disparity": ("disparity", "px")}[data.depth.kind]
    return name, ColourScale(*ends(answer, truth), unit, DEPTH_COLOURS[data.depth.kind])


def _latent(title: str, values: np.ndarray) -> Panel:
    return _map(title, values, ColourScale(0, ends(values)[1], "", "magma"))


def _legend(shown: np.ndarray, labels: LabelSet) -> Legend:
    """The classes that are shown, the most frequent first."""
    counts = np.bincount(shown.ravel(), minlength=UNLABELLED + 1)
    order = np.argsort(-counts[: len(labels.names)], kind="stable")
    entries = [(labels.names[i], labels.palette[i]) for i in order if counts[i]]
    return Legend(entries + [("unlabelled", (0, 0, 0))] * bool(counts[UNLABELLED]))
