"""Maps of numbers in colours."""

from __future__ import annotations

import matplotlib
import numpy as np

UNKNOWN = (96, 96, 96)
# Colour maps by the kind of depth: what is near is bright.
DEPTH_COLOURS = {"metres": "viridis_r", "disparity": "viridis"}
# A few pixels that lie far from all others must not take the colours away from them.
_WITHIN = (1, 99)
# A map that is the same everywhere still needs two ends.
_LEAST_RANGE = 1e-3


def ends(*maps: np.ndarray) -> tuple[float, float]:
    """Where the scale of some maps begins and ends."""
    known = np.concatenate([values[np.isfinite(values)] for values in maps])
    low, high = np.percentile(known, _WITHIN) if known.size else (0, 0)
    return float(low), max(float(high), float(low) + _LEAST_RANGE)


def paint(values: np.ndarray, low: float, high: float, colours: str) -> np.ndarray:
    """Paint a map of numbers.

    Args:
        values: (H, W).
        low, high: the ends of the scale; what lies beyond has the colour of the end.
        colours: name of a Matplotlib colour map.

    Returns:
        (H, W, 3) uint8 RGB, grey where a value is not finite.
    """
    known = np.isfinite(values)
    share = (np.where(known, values, low) - low) / (high - low)
    pixels = matplotlib.colormaps[colours](share.clip(0, 1), bytes=True)[..., :3]
    pixels[~known] = UNKNOWN
    return pixels
