"""What becomes of every frame: counts, rates and latencies."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

WINDOW = 5.0  # seconds over which rates are taken and troubles count as recent
KEPT_ANSWERS = 300  # of the last so many answers, latencies are kept
KEPT_EVENTS = 1000  # a camera: more than 5 s of any camera's images


class Percentiles(NamedTuple):
    """Of a stage's latency, in seconds."""

    p50: float
    p95: float
    p99: float


class CameraSnapshot(NamedTuple):
    """A camera's figures at one moment.

    Attributes:
        received: images that came.
        infos: CameraInfos that came.
        answered: images whose answers went out.
        dropped: images that were not answered, by cause.
        without_scale: images answered without depth and points, by cause.
        recent: of ``dropped`` and ``without_scale``, those of the last ``WINDOW`` seconds.
        input_rate: images/s over the last ``WINDOW``.
        output_rate: answered images/s over the last ``WINDOW``.
        since_image: seconds since the last image; since the start, if none has come.
        since_info: the same of the last CameraInfo.
    """

    received: int
    infos: int
    answered: int
    dropped: Mapping[str, int]
    without_scale: Mapping[str, int]
    recent: Mapping[str, int]
    input_rate: float
    output_rate: float
    since_image: float
    since_info: float


class Snapshot(NamedTuple):
    """All figures at one moment; latencies by stage."""

    latencies: Mapping[str, Percentiles]
    cameras: Mapping[str, CameraSnapshot]


class _Camera:
    def __init__(self, start: float) -> None:
        self.counts: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.without_scale: Counter[str] = Counter()
        self.last_image = self.last_info = self.start = start
        self.images: deque[float] = deque(maxlen=KEPT_EVENTS)
        self.answers: deque[float] = deque(maxlen=KEPT_EVENTS)
        self.troubles: deque[tuple[float, str]] = deque(maxlen=KEPT_EVENTS)


class Statistics:
    """Counts of all cameras since its making; may be used by several threads.

    Args:
        cameras: their names.
        clock: seconds of a clock that is never set.
    """

    def __init__(self, cameras: Sequence[str], clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._cameras = {name: _Camera(clock()) for name in cameras}
        self._latencies: defaultdict[str, deque[float]] = defaultdict(
            lambda: deque(maxlen=KEPT_ANSWERS)
        )

    def received(self, camera: str) -> None:
        """An image has come."""
        with self._lock:
            of, now = self._cameras[camera], self._clock()
            of.counts["images"] += 1
            of.last_image = now
            of.images.append(now)

    def info_received(self, camera: str) -> None:
        """A CameraInfo has come."""
        with self._lock:
            of = self._cameras[camera]
            of.counts["infos"] += 1
            of.last_info = self._clock()

    def dropped(self, camera: str, cause: str, count: int = 1) -> None:
        """Images will not be answered."""
        with self._lock:
            of = self._cameras[camera]
            of.dropped[cause] += count
            of.troubles.append((self._clock(), cause))

    def without_scale(self, camera: str, cause: str) -> None:
        """An image has no depth in metres, for want of a CameraInfo that can be used."""
        with self._lock:
            of = self._cameras[camera]
            of.without_scale[cause] += 1
            of.troubles.append((self._clock(), cause))

    def answered(self, camera: str, latencies: Mapping[str, float]) -> None:
        """The answers of an image have gone out; ``latencies`` are seconds by stage."""
        with self._lock:
            of = self._cameras[camera]
            of.counts["answered"] += 1
            of.answers.append(self._clock())
            for stage, seconds in latencies.items():
                self._latencies[stage].append(seconds)

    def snapshot(self) -> Snapshot:
        """The figures of this moment."""
        with self._lock:
            now = self._clock()
            latencies = {
                stage: Percentiles(*(float(p) for p in np.percentile(seconds, (50, 95, 99))))
                for stage, seconds in self._latencies.items()
            }
            cameras = {name: _figures(of, now) for name, of in self._cameras.items()}
        return Snapshot(latencies, cameras)


def _figures(of: _Camera, now: float) -> CameraSnapshot:
    # Younger than the window, only the time since the start counts.
    span = max(min(WINDOW, now - of.start), 1e-3)

    def rate(times: deque[float]) -> float:
        return sum(now - time < span for time in times) / span

    return CameraSnapshot(
        received=of.counts["images"],
        infos=of.counts["infos"],
        answered=of.counts["answered"],
        dropped=dict(of.dropped),
        without_scale=dict(of.without_scale),
        recent=Counter(cause for time, cause in of.troubles if now - time < WINDOW),
        input_rate=rate(of.images),
        output_rate=rate(of.answers),
        since_image=now - of.last_image,
        since_info=now - of.last_info,
    )
