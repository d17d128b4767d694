"""Scale from how high the camera is above the ground that it sees."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from .evidence import MOST_POINTS, Evidence, answered_at, evenly, evidence_of_points
from .robust import deviation, fit, median

LEAST_PIXELS = 64
LEAST_SLOPE = 0.1  # of rays below the horizon; there, a degree of tilt moves ground by 17 %
MOST_DISPERSION = 0.1  # of the heights that pixels imply; an up that is wrong by 6 degrees has more
LEAST_UPRIGHT = 0.5  # cosine between the image's y axis and down: 60 degrees


def evidence_of_height(
    height: float,
    labels: np.ndarray,
    ground: Collection[int],
    rays: tuple[np.ndarray, np.ndarray],
    depth: np.ndarray,
    up: np.ndarray | None = None,
    uncertainty: np.ndarray | None = None,
) -> Evidence | str:
    """Depth of the ground as the camera's height has it, beside the answer.

    A ray r = (x/z, y/z, 1) meets level ground at the depth height / (r . down).

    Args:
        height: metres from the ground up to the camera's optical centre.
        labels: (H, W) uint8 class ids.
        ground: ids of classes that are the ground, such as floor and road.
        rays: x/z and y/z of pixels, which broadcast to (H, W); NaN where a pixel sees nothing.
        depth: (H, W) float32 metres; NaN invalid, +inf beyond the range.
        up: (3,) unit vector in the camera's optical frame. If it is not known, a plane is fitted to
            the answered ground, which takes its tilt from the network: on NYU Depth v2, the factor
            of one frame's floor then errs by 20 %, and by 3 % if it is known.
        uncertainty: as of ``evidence_of_points``.

    Returns:
        Of pixels of the ground; or, in words, why they do not tell.
    """
    x, y = (np.broadcast_to(ray, depth.shape) for ray in rays)
    is_ground = np.zeros(256, bool)
    is_ground[list(ground)] = True
    rows, columns = np.nonzero(is_ground[labels])
    chosen = evenly(len(rows), MOST_POINTS)
    rows, columns = rows[chosen], columns[chosen]
    pixels = np.stack([columns, rows], axis=1).astype(np.float64)
    directions = np.stack([x[rows, columns], y[rows, columns], np.ones(len(rows))], axis=1)
    down = _down(directions, answered_at(pixels, depth)) if up is None else -np.asarray(up)
    if isinstance(down, str):
        return down
    slope = directions @ down
    measured = height / np.where(slope > LEAST_SLOPE, slope, np.nan)
    evidence = evidence_of_points(measured, pixels, depth, uncertainty)
    return _refusal(evidence) or evidence


def _down(directions: np.ndarray, depth: np.ndarray) -> np.ndarray | str:
    """The unit normal of a plane through (N, 3) directions times (N,) depth, away from the camera.

    On a plane at distance d, point . normal / d = 1, and what is left of that is relative error.
    """
    known = np.isfinite(depth) & np.isfinite(directions).all(axis=1)
    if known.sum() < LEAST_PIXELS:
        return _too_few(known.sum())
    points = directions[known] * depth[known, None]
    normal = fit(points, np.ones(len(points)), np.ones(len(points)))
    normal /= np.linalg.norm(normal)
    if not normal[1] >= LEAST_UPRIGHT:
        return (
            "the plane through the answered ground faces the camera and not up; is it ground? If "
            "the camera looks down, give its up direction"
        )
    return normal


def _refusal(evidence: Evidence) -> str | None:
    """Why the ground does not tell."""
    if len(evidence.weights) < LEAST_PIXELS:
        return _too_few(len(evidence.weights))
    ratios = evidence.log_ratios
    spread = deviation(ratios, evidence.weights, median(ratios, evidence.weights))
    if spread > MOST_DISPERSION:
        return (
            f"the answered ground is no plane: the heights that its pixels imply stray by "
            f"{spread:.0%}, at most {MOST_DISPERSION:.0%} are usable"
        )
    return None


def _too_few(pixels: int) -> str:
    return f"{pixels} usable pixels of ground, at least {LEAST_PIXELS} are needed"
