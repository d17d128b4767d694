"""A picture for people: image, depth and labels side by side, with legends."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from .colours import depth_colours
from .labels import LabelSet

_TILE_WIDTH = 320
GAP = 8
_INK = (40, 40, 40)
PAPER = 250
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SAMPLES_PER_ROW = 2

Answer = tuple[np.ndarray, np.ndarray, np.ndarray]


def contact_sheet(answers: Sequence[Answer], labels: LabelSet) -> np.ndarray:
    """Draw (image, depth, labels) triples and their legends.

    Args:
        answers: of (H, W, 3) uint8 RGB, (H, W) float32 metres, (H, W) uint8 class ids.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    farthest = farthest_of([depth for _, depth, _ in answers])
    strips = [_strip(answer, labels, farthest) for answer in answers]
    tallest = max(len(strip) for strip in strips)
    strips = [_padded(strip, bottom=tallest - len(strip)) for strip in strips]
    while len(strips) % _SAMPLES_PER_ROW and len(strips) > 1:
        strips.append(np.full_like(strips[0], PAPER))
    per_row = min(_SAMPLES_PER_ROW, len(strips))
    rows = [np.hstack(strips[i : i + per_row]) for i in range(0, len(strips), per_row)]
    width = rows[0].shape[1]
    shown = np.bincount(np.concatenate([ids.ravel() for _, _, ids in answers]), minlength=256)
    legends = [
        depth_legend(width, farthest),
        label_legend(width, labels, most_frequent(shown, labels)),
    ]
    margin = np.full((GAP, width, 3), PAPER, np.uint8)
    return np.vstack([margin, *rows, *legends])


def farthest_of(depths: Sequence[np.ndarray]) -> float:
    """Metres at which the colours of (H, W) depths end; a few pixels may be farther."""
    finite = np.concatenate([depth[np.isfinite(depth)] for depth in depths])
    return float(np.percentile(finite, 99)) if finite.size else 1.0


def most_frequent(shown: np.ndarray, labels: LabelSet) -> list[int]:
    """The classes that cover at least a thousandth of the pixels, most frequent first.

    Args:
        shown: pixels by class id, (256,).
    """
    order = np.argsort(-shown[: len(labels.names)])
    return [int(index) for index in order if shown[index] > shown.sum() / 1000]


def tile(answer: Answer) -> Answer:
    """The answer at the size of a tile; depth and labels are picked and not mixed."""
    image, depth, ids = answer
    size = (_TILE_WIDTH, round(_TILE_WIDTH * image.shape[0] / image.shape[1]))
    return (
        cv2.resize(image, size, interpolation=cv2.INTER_AREA),
        cv2.resize(depth, size, interpolation=cv2.INTER_NEAREST_EXACT),
        cv2.resize(ids, size, interpolation=cv2.INTER_NEAREST_EXACT),
    )


def _strip(answer: Answer, labels: LabelSet, farthest: float) -> np.ndarray:
    image, depth, ids = tile(answer)
    tiles = [image, depth_colours(depth, farthest), labels.colours(ids)]
    lefts = (GAP, 2, 2)  # the three of a strip stand close together
    return np.hstack(
        [_padded(pixels, GAP, left) for pixels, left in zip(tiles, lefts, strict=True)]
    )


def _padded(pixels: np.ndarray, bottom: int, left: int = 0) -> np.ndarray:
    return np.pad(pixels, ((0, bottom), (left, 0), (0, 0)), constant_values=PAPER)


def _text(canvas: np.ndarray, text: str, x: int, y: int) -> None:
    cv2.putText(canvas, text, (x, y), _FONT, 0.5, _INK, 1, cv2.LINE_AA)


def depth_legend(width: int, farthest: float) -> np.ndarray:
    """The colours of depth beside a ruler in metres, (height, width, 3) uint8."""
    canvas = np.full((48, width, 3), PAPER, np.uint8)
    _text(canvas, "Depth", GAP, 20)
    left, right = 80, min(width - 60, 680)
    ramp = np.linspace(0, farthest, right - left, dtype=np.float32)
    canvas[6:26, left:right] = depth_colours(np.tile(ramp, (20, 1)), farthest)
    step = 1 if farthest > 2 else 0.5
    for metres in np.arange(0, farthest + 1e-6, step):
        x = left + round((right - left - 1) * metres / farthest)
        canvas[26:30, x] = _INK
        _text(canvas, f"{metres:g} m", x - 12, 44)
    if width - right > 260:
        _text(canvas, "black: none in range", right + 60, 20)
    return canvas


def columns_of(width: int) -> int:
    """How many classes stand side by side in the legend of a sheet of this width."""
    return max(1, width // 160)


def label_legend(width: int, labels: LabelSet, order: Sequence[int], rows: int = 0) -> np.ndarray:
    """Colours and names of classes in their order, (height, width, 3) uint8.

    Args:
        rows: how many there is room for; 0: as many as are needed.
    """
    columns = columns_of(width)
    rows = rows or -(-len(order) // columns)
    canvas = np.full((14 + 24 * rows, width, 3), PAPER, np.uint8)
    for place, index in enumerate(order[: rows * columns]):
        x, y = GAP + place % columns * 160, 4 + place // columns * 24
        canvas[y : y + 16, x : x + 24] = labels.palette[index]
        _text(canvas, labels.names[index], x + 32, y + 13)
    return canvas
