"""Answers that do not flicker: those to a camera's images, steadied by those to the image before.

Neighbouring images differ by noise, compression and light, and the network's answers with them.
What was answered for a surface a moment ago is as good a guess as what is answered now, if it is
known where the surface has moved. So each answer is drawn towards the last one, which moves along
with the optical flow between the images: depth by a weighted mean, labels by hysteresis.

What was before counts for nothing where it is not the same surface: where the images differ after
the motion, where depth differs too much, and where it was outside the image. After a cut and after
a gap in time, nothing counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache, partial

import cv2
import numpy as np

from . import kernels

WEIGHT = 0.6  # of what was before, where it surely is the same surface
TOLERANCE = 0.2  # share of the depth; what was farther off than that counts for nothing
DIFFERENCE = 16.0  # of 255; what looks more different after it has moved counts for nothing
SAME = 0.5  # share of the image that must look the same; else it is a cut
GAP = 1.0  # seconds after which what was before counts for nothing

_WIDTH = 160  # pixels of the images between which the flow is computed
_LEAST = 16  # pixels of their sides, which OpenCV needs
_BESIDE = np.ones((3, 3), np.uint8)


@dataclass(frozen=True, eq=False)
class _Look:
    """What is remembered of an image: its (height, width), and it small. Each is itself alone."""

    grey: np.ndarray
    size: tuple[int, ...]
    seconds: float

    @property
    def centres(self) -> list[np.ndarray]:
        """The rows and columns of the image in the middle of each pixel of ``grey``."""
        sides = zip(self.size, self.grey.shape, strict=True)
        return [(2 * np.arange(small) + 1) * full // (2 * small) for full, small in sides]


class Steady:
    """Steadies the answers to the images of one camera, one after the other.

    Some images may be answered without depth, or without labels: each is steadied by its own last.
    """

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._flow.setFinestScale(1)
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
        motion_since = cache(partial(self._motion, look))  # mostly the same for both
        if depth is not None:
            depth = kernels.plain(depth)
            grid = depth[np.ix_(*look.centres)]
            if self._depth and (motion := motion_since(self._depth[0])):
                gain = motion.gain(self._depth[1], grid)
                depth, grid = _multiplied(depth, gain, limits), grid * gain
            self._depth = look, grid
        if labels is not None and confidence is not None:
            labels, confidence = kernels.plain(labels), kernels.plain(confidence)
            if self._labels and (motion := motion_since(self._labels[0])):
                labels, confidence = motion.labels(*self._labels[1:], labels, confidence)
            self._labels = look, labels, confidence
        return depth, labels, confidence

    def _motion(self, look: _Look, before: _Look) -> _Motion | None:
        """``None`` if it is a cut, or too long ago."""
        if look.size != before.size or not 0 < look.seconds - before.seconds <= GAP:
            return None
        start = np.zeros((*look.grey.shape, 2), np.float32)
        motion = _Motion(look, before, self._flow.calc(look.grey, before.grey, start))
        return motion if motion.is_sure else None


def warm_up() -> None:
    """Steady two images, so that the first real ones do not wait for compilation."""
    steady, labels = Steady(), np.zeros((64, 64), np.uint8)
    for seconds in (0.0, 0.1):
        image, depth = np.zeros((64, 64, 3), np.uint8), np.ones((64, 64), np.float32)
        steady(image, seconds, depth, labels, labels)


class _Motion:
    """Where the surfaces of an image were in the image before, and whether they are the same."""

    def __init__(self, look: _Look, before: _Look, flow: np.ndarray) -> None:
        self._look, self._flow = look, flow
        rows, columns = (np.arange(side, dtype=np.float32) for side in look.grey.shape)
        self._places = flow[..., 0] + columns, flow[..., 1] + rows[:, None]
        difference = cv2.subtract(look.grey, self._moved(before.grey), dtype=cv2.CV_32F)
        # Lamps may flicker and exposure change: a difference that all pixels share is none.
        off = (difference - np.median(difference[::4, ::4])) / DIFFERENCE
        likeness = np.maximum(1 - off * off, 0)
        self.is_sure = bool(np.count_nonzero(likeness) >= SAME * likeness.size)
        # Beside what is not the same, the flow may be of either surface.
        self._weight = np.float32(WEIGHT) * cv2.erode(likeness, _BESIDE)

    def _moved(self, past: np.ndarray) -> np.ndarray:
        """What was there; in floating point, NaN where a place was outside the image."""
        border = cv2.BORDER_CONSTANT if past.dtype == np.float32 else cv2.BORDER_REPLICATE
        return cv2.remap(past, *self._places, cv2.INTER_LINEAR, None, border, np.nan)

    def gain(self, past: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """What depth is multiplied by: (h, w) float32, as past and depth are."""
        with np.errstate(invalid="ignore", divide="ignore"):
            change = self._moved(past) / depth - 1
        off = change / np.float32(TOLERANCE)
        gain = 1 + self._weight * np.maximum(1 - off * off, 0) * change
        return np.where(np.isfinite(gain), gain, np.float32(1))

    def labels(self, *past_and_now: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Labels and confidence, of those of the past and those of now."""
        (height, width), (rows, columns) = self._look.size, self._look.grey.shape
        scale = np.array([width / columns, height / rows], np.float32)
        shift = np.ascontiguousarray(np.moveaxis(np.rint(self._flow * scale), -1, 0), np.int32)
        blocks = _blocks(height, width, rows, columns)
        out = np.empty((height, width), np.uint8), np.empty((height, width), np.uint8)
        arguments = (*blocks, shift, self._weight, *past_and_now, *out)
        kernels.in_bands(height, (kernels.steady_labels, *arguments))
        return out


def _small_grey(image: np.ndarray) -> np.ndarray:
    """The image (H, W, 3) RGB as (h, w) uint8, at most ``_WIDTH`` wide."""
    shrink = min(_WIDTH / image.shape[1], 1)
    height, width = (max(_LEAST, round(side * shrink)) for side in image.shape[:2])
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)


def _multiplied(depth: np.ndarray, gain: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Depth (H, W) times a gain (h, w); numbers stay between the limits, and NaN and inf stay."""
    out = np.empty_like(depth)
    to_image = map(kernels.neighbours, gain.shape, depth.shape)
    arguments = (gain, *to_image, depth, *map(np.float32, limits), out)
    kernels.in_bands(len(depth), (kernels.multiply, *arguments))
    return out


@lru_cache(maxsize=16)
def _blocks(height: int, width: int, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of ``rows`` each row of an image lies in, and where columns begin and end; int32."""
    return (
        (np.arange(height) * rows // height).astype(np.int32),
        (np.arange(columns + 1) * width // columns).astype(np.int32),
    )
