"""An image as the network takes it: resized and normalised in one pass."""

from __future__ import annotations

from functools import cache

import numpy as np

from .compiled import compiled


@cache
def resampling(source: int, target: int) -> tuple[np.ndarray, np.ndarray]:
    """Antialiased bilinear resampling of a line, as ``torch.nn.functional.interpolate`` does it.

    Returns:
        The first source pixel of each target pixel, (target,) int32, and the weights of it and the
        following ones, (taps, target) float32. All taps lie within the source.
    """
    scale = source / target
    support = max(scale, 1.0)  # half the width of the triangle, in source pixels
    centres = (np.arange(target) + 0.5) * scale
    first = np.maximum((centres - support + 0.5).astype(np.int64), 0)
    last = np.minimum((centres + support + 0.5).astype(np.int64), source)
    taps = int((last - first).max())
    start = np.minimum(first, source - taps)  # so that no tap lies outside
    pixels = start + np.arange(taps)[:, None]
    weights = np.maximum(1 - np.abs(pixels + 0.5 - centres) / support, 0)
    weights[(pixels < first) | (pixels >= last)] = 0
    weights /= weights.sum(0)
    return start.astype(np.int32), weights.astype(np.float32)


@compiled
def prepare(
    first: int,
    last: int,
    image: np.ndarray,
    vertical: tuple[np.ndarray, np.ndarray],
    horizontal: tuple[np.ndarray, np.ndarray],
    shift: np.ndarray,
    scale: np.ndarray,
    out: np.ndarray,
) -> None:
    """Rows ``first`` to ``last`` of the network's input: resized, and ``(pixel - shift) * scale``.

    Args:
        image: (H, 3 W) uint8, RGB interleaved.
        vertical, horizontal: of ``resampling``.
        shift, scale: (3,) float32, for pixel values of 0 to 255.
        out: (3, h, w) float32.
    """
    top, row_weights = vertical
    blended = np.empty(image.shape[1], np.float32)
    for y in range(first, last):
        _blend_rows(image, top[y], row_weights[:, y], blended)
        _blend_columns(blended, horizontal, shift, scale, out[:, y])


@compiled
def _blend_rows(image: np.ndarray, top: int, weights: np.ndarray, out: np.ndarray) -> None:
    """The weighted sum of rows from ``top`` on; two at a time, to go through ``out`` less often."""
    out[:] = 0
    for tap in range(0, weights.size - 1, 2):
        first, second = weights[tap], weights[tap + 1]
        row, next_row = image[top + tap], image[top + tap + 1]
        for x in range(out.size):
            out[x] += first * np.float32(row[x]) + second * np.float32(next_row[x])
    if weights.size % 2:
        weight, row = weights[-1], image[top + weights.size - 1]
        for x in range(out.size):
            out[x] += weight * np.float32(row[x])


@compiled
def _blend_columns(
    row: np.ndarray,
    horizontal: tuple[np.ndarray, np.ndarray],
    shift: np.ndarray,
    scale: np.ndarray,
    out: np.ndarray,
) -> None:
    """The weighted sums of a row's neighbouring pixels, normalised; ``out`` is (3, w)."""
    left, weights = horizontal
    for x in range(left.size):
        red = green = blue = np.float32(0)
        for tap in range(weights.shape[0]):
            weight, pixel = weights[tap, x], 3 * (left[x] + tap)
            red += weight * row[pixel]
            green += weight * row[pixel + 1]
            blue += weight * row[pixel + 2]
        out[0, x] = (red - shift[0]) * scale[0]
        out[1, x] = (green - shift[1]) * scale[1]
        out[2, x] = (blue - shift[2]) * scale[2]
