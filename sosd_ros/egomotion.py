"""How far a camera has moved along its axis between two images, by their optical flow and depth.

A camera that turns and moves sees the surface at (x, y), of depth Z, displaced by (u, v):

    u = a - c y + d x^2 + e x y + (f + g x) / Z
    v = b + c x + d x y + e y^2 + (h + g y) / Z

(Longuet-Higgins and Prazdny, "The interpretation of a moving retinal image", 1980). These eight
numbers are fitted to the flow; g is how far it has moved along its axis. No focal length is needed.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

_STEP = 8  # pixels between those that are looked at; the flow is smooth
_ROUNDS = 3  # of least squares, each without what the last could not explain
_DOUBTFUL = 0.5  # pixels from what was fitted, at which a pixel counts half
_SURE = 4.0  # standard errors; a smaller motion is taken for none
_RIDGE = 1e-3  # keeps the solution finite where a surface tells nothing of some numbers


def depth_change(flow: np.ndarray, depth: np.ndarray, weight: np.ndarray) -> float:
    """What the depth of surfaces that stand still has changed by since the image before.

    Args:
        flow: (h, w, 2) float32, the column and row in the image before, less those in this one.
        depth: (h, w) float32, of this image; where it is infinite, only turning is seen.
        weight: (h, w) float32, what each pixel counts.

    Returns:
        In the unit of depth; below 0 if the camera moves forward, 0 if that is not certain.
    """
    near = 1 / depth[::_STEP, ::_STEP].ravel()
    if not (scale := near.mean()) > 0:
        return 0.0
    half, places, turning = _turning(depth.shape)
    nearness, zero = near / scale, np.zeros_like(near)
    aside, down = np.append(nearness, zero), np.append(zero, nearness)
    terms = np.vstack([turning, aside, down, places * np.tile(nearness, 2)])
    seen = flow[::_STEP, ::_STEP].reshape(-1, 2).T.ravel()
    share = given = weight[::_STEP, ::_STEP].ravel()
    for _ in range(_ROUNDS):
        weighted = terms * np.tile(share, 2)
        normal = weighted @ terms.T + _RIDGE * np.eye(len(terms))
        fitted = np.linalg.solve(normal, weighted @ seen)
        off = np.square(seen - fitted @ terms).reshape(2, -1).sum(axis=0)
        share = given / (1 + off / _DOUBTFUL**2)
    variance = (share @ off) / share.size * np.linalg.inv(normal)[-1, -1]
    if fitted[-1] ** 2 < _SURE**2 * variance:
        return 0.0
    return float(fitted[-1] / (half * scale))


@lru_cache(maxsize=16)
def _turning(shape: tuple[int, int]) -> tuple[float, np.ndarray, np.ndarray]:
    """Half of the longer side, x and y of the pixels in it, and what they have to do with turning.

    x and y are (2 n,), one after the other, as displacements are, and the last is (5, 2 n).
    """
    middle = (np.array(shape) - 1) / 2
    half = float(max(middle))
    grid = (np.indices(shape)[:, ::_STEP, ::_STEP] - middle[:, None, None]) / half
    y, x = grid.reshape(2, -1)
    zero, one = np.zeros_like(x), np.ones_like(x)
    across, down = (one, zero, -y, x * x, x * y), (zero, one, x, x * y, y * y)
    return half, np.append(x, y), np.hstack([across, down])
