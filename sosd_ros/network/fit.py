"""An image at the scale of the training: resized to a canvas, of which the inputs show parts.

Objects have the size in pixels that they had in training, whatever the camera's focal length is. A
canvas that is smaller than the usual input is an input itself. Of a larger one, inputs of the usual
size show parts that overlap, and their answers are blended.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import torch

from .backbone import OUTPUT_STRIDE

_NEAR = 1.1  # a magnification below which an image stays one input of the usual size
_LEAST = 1 / 3  # smaller, an image has too few pixels left

Network = Callable[[torch.Tensor], Sequence[torch.Tensor | None]]


def canvas_size(size: tuple[int, int], magnification: float, most: int) -> tuple[int, int]:
    """The (height, width) of the canvas for an image, in multiples of 32.

    It is as near to the magnification as ``most`` allows.

    Args:
        size: of the usual input, which shows the whole image; multiples of 32.
        magnification: of that input, after which objects are as large as in training: the
            training's focal length over the camera's, in pixels of the input. NaN if not known.
        most: how many inputs the image may take; 0: one of the usual size.
    """
    if not most or not (magnification > _NEAR or magnification < 1 / _NEAR):  # or NaN
        return size
    parts, magnification = math.isqrt(most), max(magnification, _LEAST)
    rows, columns = (
        min(
            max(1, round(side * magnification / OUTPUT_STRIDE)) * OUTPUT_STRIDE,
            parts * side - (parts - 1) * _overlap(side),
        )
        for side in size
    )
    return rows, columns


def in_parts(
    network: Network, canvas: torch.Tensor, size: tuple[int, int]
) -> list[torch.Tensor | None]:
    """What a network answers to a canvas, input by input: each a batch as long as the canvas's.

    Args:
        network: answers (N, 3, h, w) by maps, (N, ..., h / stride, w / stride).
        canvas: (N, 3, H, W), prepared; of ``canvas_size``.
        size: of the usual input.

    Returns:
        Its maps for the whole canvas, (N, ..., H / stride, W / stride).
    """
    rows, columns = (min(pair) for pair in zip(canvas.shape[-2:], size, strict=True))
    if canvas.shape[-2:] == (rows, columns):
        return list(network(canvas))
    corners = itertools.product(*map(_starts, canvas.shape[-2:], (rows, columns)))
    blends: list[_Blend | None] = []
    for y, x in corners:
        answers = network(canvas[..., y : y + rows, x : x + columns])
        blends = blends or [None if a is None else _Blend(a, canvas, rows) for a in answers]
        for blend, answer in zip(blends, answers, strict=True):
            if blend is not None and answer is not None:
                # At once, as a network may use the memory of its answers again.
                blend.add(answer, y, x)
    return [None if blend is None else blend.mean() for blend in blends]


class _Blend:
    """The weighted mean of overlapping maps; a map weighs less towards its edges.

    Args:
        like: a map of an input.
        canvas: that they are to cover.
        height: of an input.
    """

    def __init__(self, like: torch.Tensor, canvas: torch.Tensor, height: int) -> None:
        self._stride = height // like.shape[-2]
        cells = [side // self._stride for side in canvas.shape[-2:]]
        self._sum = like.new_zeros(*like.shape[:-2], *cells)
        self._weight = like.new_zeros(cells)
        ramps = (torch.arange(1, n + 1, device=like.device) for n in like.shape[-2:])
        rows, columns = (torch.minimum(ramp, ramp.flip(0)) for ramp in ramps)
        self._of_one = (rows[:, None] * columns).to(like.dtype)

    def add(self, answer: torch.Tensor, top: int, left: int) -> None:
        """Add the map of an input that lies there on the canvas."""
        rows, columns = self._of_one.shape
        y, x = top // self._stride, left // self._stride
        place = (..., slice(y, y + rows), slice(x, x + columns))
        self._sum[place] += self._of_one * answer
        self._weight[place] += self._of_one

    def mean(self) -> torch.Tensor:
        return self._sum / self._weight


def _overlap(side: int) -> int:
    """Of neighbouring inputs at least, in pixels."""
    return max(1, side // 8 // OUTPUT_STRIDE) * OUTPUT_STRIDE


def _starts(canvas: int, side: int) -> list[int]:
    """Where inputs begin, evenly spread, that cover a canvas."""
    overlap = _overlap(side)
    parts = max(1, math.ceil((canvas - overlap) / max(1, side - overlap)))
    step = (canvas - side) / max(1, parts - 1)
    return [round(step * part / OUTPUT_STRIDE) * OUTPUT_STRIDE for part in range(parts)]
