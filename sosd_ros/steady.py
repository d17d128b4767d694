"""Answers that do not flicker: those to a camera's images, steadied by those to the image before.

Neighbouring images differ by noise, compression and light, and the network's answers with them.
What was answered for a surface a moment ago is as good a guess as what is answered now, if it is
known where the surface has moved. So each answer is drawn towards the last one, which moves along
with the camera (``egomotion``): depth by a weighted mean, labels by hysteresis. What was before is
brought nearer by what the camera has moved ahead, so that depth does not lag behind it.

What was before counts for nothing where it is not the same surface: where the images differ after
the motion, where depth differs too much, and where it was outside the image. After a cut and after
a gap in time, nothing counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import Any

import cv2
import numpy as np

from . import kernels
from .egomotion import Egomotion, egomotion

WEIGHT = 0.75  # of the depth before, where it surely is the same surface
VOTE = 0.68  # the same of labels
TOLERANCE = 1.0  # share of the nearer depth; what was farther off than that counts for nothing
EDGE = 1.05  # the farthest of a pixel and its eight neighbours over the nearest
DIFFERENCE = 48.0  # of 255; what looks more different after it has moved counts for nothing
SAME = 0.5  # share of the image that must look the same; else it is a cut
GAP = 1.0  # seconds after which what was before counts for nothing

_LONG = 160  # pixels of the longer side of the images between which the motion is looked for
_SHORT = 32  # pixels that the shorter side has at least, so that a quarter of it is an image
_BESIDE = np.ones((3, 3), np.uint8)
_PATCH = (7, 7)  # pixels of a small image, which look the same together
_AROUND = (21, 21)  # the same, over which a gain is the mean


@dataclass(frozen=True, eq=False)
class _Look:
    """What is remembered of an image: its (height, width), and it small. Compared by identity."""

    grey: np.ndarray
    size: tuple[int, ...]
    seconds: float

    def middle(self, answer: np.ndarray) -> np.ndarray:
        """What was answered (H, W) in the middle of each pixel of ``grey``."""
        height, width = self.grey.shape
        return cv2.resize(answer, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)


class Steady:
    """Steadies the answers to the images of one camera, one after the other.

    Some images may be answered without depth, or without labels: each is steadied by its own last.
    """

    def __init__(self) -> None:
        self._depth: tuple[_Look, np.ndarray] | None = None
        self._labels: tuple[_Look, np.ndarray, np.ndarray] | None = None

    def __call__(
        self,
        image: np.ndarray,
        seconds: float,
        depth: np.ndarray | None,
        labels: np.ndarray | None,
        confidence: np.ndarray | None,
        limits: tuple[float, float] = (0.0, np.inf),
    ) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
        """Steady the answers to an image.

        Args:
            image: (H, W, 3) uint8 RGB.
            seconds: when it was taken, by any clock.
            depth: (H, W) float32 metres, NaN invalid, +inf beyond the range; both stay.
            labels, confidence: (H, W) uint8, the classes and how sure they are; 255 is unlabelled,
                and stays. Labels without confidence are not steadied.
            limits: metres; what is a number stays between them.

        Returns:
            The three. Labels are remembered: neither those given nor these may be written to.
        """
        look = _Look(_small_grey(image), image.shape[:2], seconds)
        depth = None if depth is None else kernels.plain(depth)
        grid = np.ones(look.grey.shape, np.float32) if depth is None else look.middle(depth)
        motion_since = cache(partial(self._motion, look, depth=grid))  # mostly the same for both
        calls = []
        if depth is not None:
            if self._depth and (motion := motion_since(self._depth[0])):
                gain = motion.gain(self._depth[1], grid)
                given, depth, grid = depth, np.empty_like(depth), grid * gain
                calls.append(_multiplication(given, gain, limits, depth))
            self._depth = look, grid
        if labels is not None and confidence is not None:
            now = kernels.plain(labels), kernels.plain(confidence)
            labels, confidence = now
            if self._labels and (motion := motion_since(self._labels[0])):
                labels, confidence = np.empty_like(now[0]), np.empty_like(now[1])
                calls.append(motion.vote(*self._labels[1:], *now, labels, confidence))
            self._labels = look, labels, confidence
        if calls:
            kernels.in_bands(look.size[0], *calls)
        return depth, labels, confidence

    def _motion(self, look: _Look, before: _Look, depth: np.ndarray) -> _Motion | None:
        """``None`` if it is a cut, or too long ago."""
        if look.size != before.size or not 0 < look.seconds - before.seconds <= GAP:
            return None
        motion = _Motion(look, before, egomotion(look.grey, before.grey, depth))
        return motion if motion.is_sure else None


def warm_up() -> None:
    """Steady two images, so that the first real ones do not wait for compilation."""
    steady, labels = Steady(), np.zeros((64, 64), np.uint8)
    for seconds in (0.0, 0.1):
        image, depth = np.zeros((64, 64, 3), np.uint8), np.ones((64, 64), np.float32)
        steady(image, seconds, depth, labels, labels)


class _Motion:
    """Where the surfaces of an image were in the image before, and whether they are the same."""

    def __init__(self, look: _Look, before: _Look, ego: Egomotion) -> None:
        self._look, self._ego = look, ego
        difference = cv2.subtract(look.grey, self._moved(before.grey), dtype=cv2.CV_32F)
        # Lamps may flicker and exposure change: a difference that all pixels share is none.
        off = (difference - ego.lighter) * np.float32(1 / DIFFERENCE)
        # One pixel may look alike by chance, and many do not.
        likeness = np.maximum(1 - cv2.blur(off * off, _PATCH), 0)
        height, width = off.shape
        inside = (ego.columns >= 0) & (ego.columns <= width - 1)
        self._trust = likeness * (inside & (ego.rows >= 0) & (ego.rows <= height - 1))
        self.is_sure = bool(np.count_nonzero(self._trust) >= SAME * off.size)

    def _moved(self, past: np.ndarray) -> np.ndarray:
        """What was there; in floating point, NaN where a place was outside the image."""
        border = cv2.BORDER_CONSTANT if past.dtype == np.float32 else cv2.BORDER_REPLICATE
        places = self._ego.columns, self._ego.rows
        return cv2.remap(past, *places, cv2.INTER_LINEAR, None, border, np.nan)

    def gain(self, past: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """What depth is multiplied by: (h, w) float32, as past and depth are.

        It varies slowly and is not asked for at edges, so that they stay sharp and where they are.
        Where depth is another surface's, labels are not trusted from now on either.
        """
        seen = np.where(np.isfinite(depth), depth, np.float32(np.inf))
        change = np.empty_like(seen)
        then = (self._moved(past) - self._ego.nearer) / self._ego.turned
        kernels.compare_depth(then, seen, np.float32(TOLERANCE), self._trust, change)
        inner = cv2.dilate(seen, _BESIDE) < np.float32(EDGE) * cv2.erode(seen, _BESIDE)
        lean = np.float32(WEIGHT) * self._trust * change * inner
        share = cv2.blur(inner.astype(np.float32), _AROUND)
        return 1 / (1 - cv2.blur(lean, _AROUND) / np.maximum(share, np.float32(0.2)))

    def vote(self, *past_now_and_out: np.ndarray) -> tuple[Any, ...]:
        """The call that writes labels and confidence, of those of the past and those of now."""
        cells = _cells(self._look.size, self._trust.shape)
        places = self._ego.columns, self._ego.rows
        return (
            kernels.steady_labels,
            *cells,
            *places,
            np.float32(VOTE) * self._trust,
            *past_now_and_out,
        )


def _small_grey(image: np.ndarray) -> np.ndarray:
    """The image (H, W, 3) RGB as (h, w) uint8, the longer side at most ``_LONG``."""
    scale = min(_LONG / max(image.shape[:2]), 1)
    height, width = (max(_SHORT, round(side * scale)) for side in image.shape[:2])
    if image.shape[1] >= 2 * width:  # fewer pixels to make grey; OpenCV is quick at halves
        image = cv2.resize(image, (2 * width, 2 * height), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    grey = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(grey, (5, 5), 1)


def _multiplication(
    depth: np.ndarray, gain: np.ndarray, limits: tuple[float, float], out: np.ndarray
) -> tuple[Any, ...]:
    """The call that writes depth (H, W) times a gain (h, w); numbers stay between the limits."""
    to_image = map(kernels.neighbours, gain.shape, depth.shape)
    return kernels.multiply, gain, *to_image, depth, *map(np.float32, limits), out


@lru_cache(maxsize=16)
def _cells(size: tuple[int, ...], small: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Which row of a small image each row of a large one lies in, and the edges of its columns."""
    rows = np.arange(size[0]) * small[0] // size[0]
    edges = -(-np.arange(small[1] + 1) * size[1] // small[1])
    return rows.astype(np.int32), edges.astype(np.int32)
