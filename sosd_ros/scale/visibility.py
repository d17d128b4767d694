"""Which points of a sensor the camera sees, though the sensor looks from somewhere else."""

from __future__ import annotations

import numpy as np

CELLS = (1, 2, 4, 8)  # pixels; larger ones would hold near and far ground at once
NEARER = 0.9  # of a depth; neighbours on one surface, even at a slant, differ by less
_OPPOSITE = ((0, 1), (1, 0), (1, 1), (1, -1))  # steps in rows and columns, each way


def visible(points: np.ndarray, pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Which points the camera sees: in front of it, inside its image, and not hidden.

    A point is hidden if its own cell of the image, or the cells on two opposite sides of it, hold
    points that are nearer by more than a tenth. Cells are the smallest in which half of the points
    have others on two opposite sides; points too sparse for that in any cell hide nothing, because
    nobody knows what is between them.

    So ground seen at a slant, which is nearer on one side alone, hides nothing.

    Args:
        points: (N, 3) metres in the camera's optical frame: x right, y down, z forward.
        pixels: (N, 2), the column and the row where each is seen; NaN where none.
        size: (height, width) of the image.

    Returns:
        (N,) bool.
    """
    height, width = size
    columns, rows = pixels[:, 0], pixels[:, 1]
    depth = np.asarray(points[:, 2], np.float64)
    with np.errstate(invalid="ignore"):  # NaN is not inside
        inside = (depth > 0) & np.isfinite(depth)
        inside &= (columns >= -0.5) & (columns < width - 0.5)
        inside &= (rows >= -0.5) & (rows < height - 0.5)
    seen, depth = np.flatnonzero(inside), depth[inside]
    rows, columns = np.stack([rows[seen], columns[seen]]).round().astype(np.int64)
    for cell in CELLS:
        grid = height // cell + 1, width // cell + 1
        near, between = _nearest(rows // cell, columns // cell, depth, grid)
        if 2 * np.isfinite(between).sum() >= seen.size:
            inside[seen[np.minimum(near, between) < NEARER * depth]] = False
            break
    return inside


def _nearest(
    rows: np.ndarray, columns: np.ndarray, depth: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """How near the nearest point of each point's cell is, and what lies on both sides of the cell.

    Args:
        rows, columns: (N,), each point's cell.
        depth: (N,) metres.
        size: of a grid with room for all cells.

    Returns:
        Two (N,) arrays of metres. The second is the farther of two opposite cells, of the pair
        where it is nearest; inf without one.
    """
    height, width = size
    nearest = np.full((height + 2, width + 2), np.inf)  # with a border, beyond which nothing is
    np.minimum.at(nearest.reshape(-1), (rows + 1) * (width + 2) + columns + 1, depth)
    between = np.full(size, np.inf)
    for down, right in _OPPOSITE:
        one, other = (
            nearest[1 + y : 1 + y + height, 1 + x : 1 + x + width]
            for y, x in ((down, right), (-down, -right))
        )
        np.minimum(between, np.maximum(one, other), out=between)
    return nearest[rows + 1, columns + 1], between[rows, columns]
