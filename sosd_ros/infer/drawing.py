"""A picture for people: the image, its depth and its labels side by side, with legends."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from ..colours import depth_colours
from ..contact_sheet import (
    GAP,
    PAPER,
    columns_of,
    depth_legend,
    farthest_of,
    label_legend,
    most_frequent,
)
from ..engine import Perception
from ..labels import LabelSet

SIDES = (320, 640)  # pixels: the least width of a tile, and the most of its longer side
_ROWS = 2  # of the legend of a video
_ROOM = 1.2  # of the depth in a video's first frame, for what comes later


class Drawing:
    """Draws pictures.

    Args:
        labels: of the network.
        is_steady: for a video: the scale of depth and the size of a picture are those of the first
            frame, and a class keeps its place in the legend while there is room.
    """

    def __init__(self, labels: LabelSet, is_steady: bool = False) -> None:
        self._labels = labels
        self._is_steady = is_steady
        self._farthest = 0.0
        self._order: list[int] = []

    def __call__(self, image: np.ndarray, answer: Perception) -> np.ndarray:
        """The picture, (height, width, 3) uint8 RGB; both are even.

        Args:
            image: (H, W, 3) uint8 RGB.
            answer: for it, (H, W) each.
        """
        size = _tile_size(image.shape[1], image.shape[0])
        tiles = [cv2.resize(image, size, interpolation=cv2.INTER_AREA)]
        legends: list[Callable[[int], np.ndarray]] = []
        if answer.depth is not None:
            farthest = self._scale(answer.depth)
            tiles.append(_picked(depth_colours(answer.depth, farthest), size))
            legends.append(lambda width: depth_legend(width, farthest))
        if answer.labels is not None:
            shown = np.bincount(answer.labels.ravel(), minlength=256)
            tiles.append(_picked(self._labels.colours(answer.labels), size))
            legends.append(lambda width: self._legend(width, shown))
        row = np.hstack([np.pad(t, ((0, 0), (0, 2), (0, 0)), constant_values=PAPER) for t in tiles])
        below = [legend(row.shape[1]) for legend in legends]
        margin = np.full((GAP, row.shape[1], 3), PAPER, np.uint8)
        sheet = np.vstack([row, margin, *below])
        return sheet[: len(sheet) // 2 * 2]

    def _scale(self, depth: np.ndarray) -> float:
        """Metres at which the colours end."""
        if not self._is_steady:
            return farthest_of([depth])
        self._farthest = self._farthest or float(np.ceil(_ROOM * farthest_of([depth])))
        return self._farthest

    def _legend(self, width: int, shown: np.ndarray) -> np.ndarray:
        now = most_frequent(shown, self._labels)
        if not self._is_steady:
            return label_legend(width, self._labels, now)
        new = [index for index in now if index not in self._order]
        places = _ROWS * columns_of(width)
        for place, index in enumerate(self._order):  # who is gone makes room for who is new
            if len(self._order) + len(new) > places and index not in now and new:
                self._order[place] = new.pop(0)
        self._order = (self._order + new)[:places]
        return label_legend(width, self._labels, self._order, _ROWS)


def _tile_size(width: int, height: int) -> tuple[int, int]:
    """Even (width, height) of a tile that an image of these is drawn at."""
    least, most = SIDES
    scale = min(max(1.0, least / width), most / max(width, height))
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def _picked(colours: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Colours at another size, picked and not mixed: a mixed one would mean something else."""
    return cv2.resize(colours, size, interpolation=cv2.INTER_NEAREST_EXACT)
