"""What became of a recording: numbers as JSON, and a page with pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from sosd_ros.colours import depth_colours
from sosd_ros.progress import progress_bar

from ..data.files import metres, read_colour, read_grey, write
from ..pages import data_uri, templates

MOST_PICTURES = 24
_EDGES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 20.0, 65.6)  # metres, of the bars
_PICTURE = 200  # pixels of width


class Depths(NamedTuple):
    """The depth of all frames.

    Attributes:
        share_known: of all pixels.
        percentiles: metres, of which 5, 50 and 95 % of the known pixels are nearer.
        bars: (from, to, share) of the known pixels.
    """

    share_known: float
    percentiles: tuple[float, float, float]
    bars: list[tuple[float, float, float]]


def depths(out: Path, names: Sequence[str]) -> Depths | None:
    """Measure the depth files of a data set; ``None`` if it has no depth."""
    counts, pixels = np.zeros(2**16, np.int64), 0
    for name in progress_bar(names, "measure", unit="frame"):
        path = out / "depth" / f"{name}.png"
        if not path.is_file():
            return None
        millimetres = read_grey(path, np.uint16)
        counts += np.bincount(millimetres.ravel(), minlength=2**16)
        pixels += millimetres.size
    known = int(counts[1:].sum())
    if not known:
        return None
    counts[0] = 0
    shares = np.cumsum(counts) / known
    low, middle, high = (float(np.searchsorted(shares, p)) / 1000 for p in (0.05, 0.5, 0.95))
    ends = [min(round(1000 * edge), 2**16) for edge in _EDGES]
    bars = [
        (_EDGES[i], _EDGES[i + 1], float(counts[ends[i] : ends[i + 1]].sum() / known))
        for i in range(len(ends) - 1)
    ]
    return Depths(known / pixels, (low, middle, high), bars)


def write_page(
    out: Path, title: str, facts: dict[str, str], deep: Depths | None, sides: dict[str, list[str]]
) -> None:
    """Write ``report.html``, which needs nothing but itself.

    Args:
        sides: names of frames, which are their stamps, by the list that they are in.
    """
    both = [(name, side) for side, names in sides.items() for name in names]
    both.sort()
    start = int(both[0][0])
    chosen = np.linspace(0, len(both) - 1, min(MOST_PICTURES, len(both))).round().astype(int)
    farthest = deep.percentiles[2] if deep else 0.0
    pictures = [
        (f"{(int(name) - start) / 1e9:.1f} s", side, _picture(out, name, farthest))
        for name, side in (both[i] for i in np.unique(chosen))
    ]
    bars = [bar for bar in deep.bars if bar[2] >= 0.0005] if deep else []
    page = _TEMPLATES.get_template("report.html.jinja").render(
        title=title, facts=facts, bars=bars, pictures=pictures, farthest=farthest
    )
    write(out / "report.html", page.encode())


def _picture(out: Path, name: str, farthest: float) -> str:
    """Image and depth side by side, as the address of a JPEG."""
    image = read_colour(out / "rgb" / f"{name}.jpg")
    parts = [image]
    if farthest:
        depth = metres(read_grey(out / "depth" / f"{name}.png", np.uint16))
        parts.append(depth_colours(depth, farthest))
    height = round(_PICTURE * image.shape[0] / image.shape[1])
    size = (_PICTURE, height)
    # Of sparse depth the mean would be black.
    shrunk = [cv2.resize(parts[0], size, interpolation=cv2.INTER_AREA)]
    shrunk += [_shrunk(part, size) for part in parts[1:]]
    return data_uri(np.hstack(shrunk), ".jpg")


def _shrunk(depth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Colours of depth made smaller; points that stand alone stay to be seen."""
    reach = max(round(depth.shape[1] / size[0]), 1)
    grown = cv2.dilate(depth, np.ones((reach, reach), np.uint8))
    filled = np.where(depth.any(axis=2, keepdims=True), depth, grown)
    return cv2.resize(filled, size, interpolation=cv2.INTER_NEAREST)


def as_json(facts: dict[str, Any], deep: Depths | None) -> dict[str, Any]:
    """For machines."""
    if deep is None:
        return facts
    near, middle, far = deep.percentiles
    return facts | {
        "depth_known": deep.share_known,
        "depth_metres": {"p05": near, "p50": middle, "p95": far},
    }


_TEMPLATES = templates(Path(__file__).parent)
