"""A picture for people: image, depth and labels side by side, with legends."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ..colours import depth_colours
from ..labels import LabelSet

_TILE_WIDTH = 320
_GAP = 8
_INK = (40, 40, 40)
_PAPER = 250
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
    finite = np.concatenate([depth[np.isfinite(depth)] for _, depth, _ in answers])
    farthest = float(np.percentile(finite, 99)) if finite.size else 1.0
    strips = [_strip(answer, labels, farthest) for answer in answers]
    tallest = max(len(strip) for strip in strips)
    strips = [_padded(strip, bottom=tallest - len(strip)) for strip in strips]
    while len(strips) % _SAMPLES_PER_ROW and len(strips) > 1:
        strips.append(np.full_like(strips[0], _PAPER))
    per_row = min(_SAMPLES_PER_ROW, len(strips))
    rows = [np.hstack(strips[i : i + per_row]) for i in range(0, len(strips), per_row)]
    width = rows[0].shape[1]
    shown = np.bincount(np.concatenate([ids.ravel() for _, _, ids in answers]), minlength=256)
    legends = [_depth_legend(width, farthest), _label_legend(width, labels, shown)]
    margin = np.full((_GAP, width, 3), _PAPER, np.uint8)
    return np.vstack([margin, *rows, *legends])


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
    lefts = (_GAP, 2, 2)  # the three of a strip stand close together
    return np.hstack(
        [_padded(pixels, _GAP, left) for pixels, left in zip(tiles, lefts, strict=True)]
    )


def _padded(pixels: np.ndarray, bottom: int, left: int = 0) -> np.ndarray:
    return np.pad(pixels, ((0, bottom), (left, 0), (0, 0)), constant_values=_PAPER)


def _text(canvas: np.ndarray, text: str, x: int, y: int) -> None:
    cv2.putText(canvas, text, (x, y), _FONT, 0.5, _INK, 1, cv2.LINE_AA)


def _depth_legend(width: int, farthest: float) -> np.ndarray:
    canvas = np.full((48, width, 3), _PAPER, np.uint8)
    _text(canvas, "Depth", _GAP, 20)
    left, right = 80, min(width - 60, 680)
    ramp = np.linspace(0, farthest, right - left, dtype=np.float32)
    canvas[6:26, left:right] = depth_colours(np.tile(ramp, (20, 1)), farthest)
    step = 1 if farthest > 2 else 0.5
    for metres in np.arange(0, farthest + 1e-6, step):
        x = left + round((right - left - 1) * metres / farthest)
        canvas[26:30, x] = _INK
        _text(canvas, f"{metres:g} m", x - 12, 44)
    return canvas


def _label_legend(width: int, labels: LabelSet, shown: np.ndarray) -> np.ndarray:
    """The classes that cover at least a thousandth of the pixels, most frequent first."""
    order = [i for i in np.argsort(-shown[: len(labels.names)]) if shown[i] > shown.sum() / 1000]
    columns = max(1, width // 160)
    canvas = np.full((14 + 24 * -(-len(order) // columns), width, 3), _PAPER, np.uint8)
    for place, index in enumerate(order):
        x, y = _GAP + place % columns * 160, 4 + place // columns * 24
        canvas[y : y + 16, x : x + 24] = labels.palette[index]
        _text(canvas, labels.names[index], x + 32, y + 13)
    return canvas
