"""How a camera has moved between two small images: least squares, on one core.

The numbers (9,) float64 that are sought: eight of the motion (``_displacement``) and how much
lighter the later image is.
"""

from __future__ import annotations

import numpy as np

from .compiled import compiled

_COUNT = 9
_LIGHTER = 8
_RIDGE = 1e-5  # of the mean diagonal; keeps finite what the pixels say nothing of


@compiled
def _displacement(x: float, y: float, near: float, numbers: np.ndarray) -> tuple[float, float]:
    """By how many pixels the surface at (x, y) was elsewhere; ``near`` is 1 / depth."""
    bent = numbers[3] * x + numbers[4] * y
    across = numbers[0] - numbers[2] * y + bent * x + (numbers[5] + numbers[7] * x) * near
    down = numbers[1] + numbers[2] * x + bent * y + (numbers[6] + numbers[7] * y) * near
    return across, down


@compiled
def _terms(x: float, y: float, near: float, across: np.ndarray, down: np.ndarray) -> None:
    """The derivative of ``_displacement`` by each number. What is always 0 is not written."""
    across[0], across[2], across[3], across[4] = 1, -y, x * x, x * y
    across[5], across[7] = near, x * near
    down[1], down[2], down[3], down[4] = 1, x, x * y, y * y
    down[6], down[7] = near, y * near


@compiled
def align(
    now: np.ndarray,
    before: np.ndarray,
    near: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    step: int,
    doubt: float,
    rounds: int,
    numbers: np.ndarray,
    normal: np.ndarray,
) -> float:
    """Find how images become alike, by Gauss and Newton.

    Args:
        now, before: (h, w) uint8.
        near: (h, w) float32, 1 / depth by any unit.
        x, y: (w,) and (h,) float64, where the columns and rows lie.
        step: every how many pixels. Those that are farther off count less.
        doubt: of 255, off by which a pixel counts half.
        rounds: of least squares.
        numbers: where it begins; changed.
        normal: (9, 9) float64, written: the matrix of the normal equations.

    Returns:
        The variance of what the numbers do not explain; with the inverse of ``normal``, theirs.
    """
    variance = 0.0
    for _ in range(rounds):
        variance = _improve(now, before, near, x, y, step, doubt, numbers, normal)
    return variance


@compiled
def _improve(
    now: np.ndarray,
    before: np.ndarray,
    near: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    step: int,
    doubt: float,
    numbers: np.ndarray,
    normal: np.ndarray,
) -> float:
    height, width = near.shape
    normal[:] = 0
    right, slope = np.zeros(_COUNT), np.zeros(_COUNT)
    across, down = np.zeros(_COUNT), np.zeros(_COUNT)
    count, squares = 0, 0.0
    for row in range(step // 2, height, step):
        for column in range(step // 2, width, step):
            u, v = _displacement(x[column], y[row], near[row, column], numbers)
            left, top = column + u, row + v
            if not (0 <= left < width - 1 and 0 <= top < height - 1):
                continue
            i, j = int(top), int(left)
            lower, later = top - i, left - j
            a, b = np.float64(before[i, j]), np.float64(before[i, j + 1])
            c, d = np.float64(before[i + 1, j]), np.float64(before[i + 1, j + 1])
            rise, fall = b - a + lower * (d - c - b + a), c - a + later * (d - c - b + a)
            off = now[row, column] - (a + later * (b - a) + lower * fall) - numbers[_LIGHTER]
            _terms(x[column], y[row], near[row, column], across, down)
            for i in range(_COUNT):
                slope[i] = rise * across[i] + fall * down[i]
            slope[_LIGHTER] = 1
            share = 1 / (1 + off * off / (doubt * doubt))
            _add(slope, off, share, normal, right)
            count, squares = count + 1, squares + share * off * off
    ridge = _RIDGE * np.trace(normal) / _COUNT + 1e-9
    for i in range(_COUNT):
        normal[i, i] += ridge
        normal[:i, i] = normal[i, :i]
    _solve(normal.copy(), right, numbers)
    return squares / max(count, 1)


@compiled
def displace(
    near: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    numbers: np.ndarray,
    columns: np.ndarray,
    rows: np.ndarray,
) -> None:
    """Where pixels were.

    Args:
        near, x, y: as in ``align``.
        columns, rows: (h, w) float32, written: of the image before.
    """
    for row in range(near.shape[0]):
        for column in range(near.shape[1]):
            u, v = _displacement(x[column], y[row], near[row, column], numbers)
            columns[row, column], rows[row, column] = column + u, row + v


@compiled
def _add(
    terms: np.ndarray, value: float, share: float, normal: np.ndarray, right: np.ndarray
) -> None:
    """One equation more: terms times what is sought are the value."""
    for i in range(_COUNT):
        weighted = share * terms[i]
        right[i] += weighted * value
        for j in range(i + 1):  # the rest of it is the same
            normal[i, j] += weighted * terms[j]


@compiled
def _solve(normal: np.ndarray, right: np.ndarray, numbers: np.ndarray) -> None:
    """Add the solution to ``numbers``, by elimination; what is given is used up."""
    for i in range(_COUNT):
        for j in range(i + 1, _COUNT):
            factor = normal[j, i] / normal[i, i]
            right[j] -= factor * right[i]
            for k in range(i, _COUNT):
                normal[j, k] -= factor * normal[i, k]
    for i in range(_COUNT - 1, -1, -1):
        for j in range(i + 1, _COUNT):
            right[i] -= normal[i, j] * right[j]
        right[i] /= normal[i, i]
        numbers[i] += right[i]
