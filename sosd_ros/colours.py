"""Depth and labels in colours, for people."""

from __future__ import annotations

import cv2
import numpy as np

from .labels import UNLABELLED, LabelSet


def depth_colours(depth: np.ndarray, farthest: float) -> np.ndarray:
    """(H, W) metres as (H, W, 3) uint8 RGB: red is near, blue is far, black is unknown."""
    known = np.isfinite(depth)
    nearness = 1 - np.clip(np.where(known, depth, 0) / farthest, 0, 1)
    bgr = cv2.applyColorMap((255 * nearness).astype(np.uint8), cv2.COLORMAP_TURBO)
    bgr[~known] = 0
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def overlay(
    image: np.ndarray, labels: np.ndarray, label_set: LabelSet, opacity: float
) -> np.ndarray:
    """The labels' colours over the image: (H, W, 3) uint8 RGB.

    Args:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8 class ids; where a pixel is unlabelled, the image shows.
        opacity: of the colours; 0 is the image alone, 1 the colours alone.
    """
    blend = cv2.addWeighted(
        np.ascontiguousarray(image), 1 - opacity, label_set.colours(labels), opacity, 0
    )
    unlabelled = labels == UNLABELLED
    blend[unlabelled] = image[unlabelled]
    return blend
