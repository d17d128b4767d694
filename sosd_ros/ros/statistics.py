"""What happens to every frame: counts, rates and latencies."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

WINDOW = 5.0  # seconds over which rates are computed and drops count as recent
SLICES = 10  # of the window
KEPT_ANSWERS = 300  # how many answers' latencies are kept
KEPT_SECONDS = 60.0  # and for how long

_SLICE = WINDOW / SLICES


class Percentiles(NamedTuple):
    """Percentiles of a stage's latency, in seconds."""

    p50: float
    p95: float
    p99: float


class CameraSnapshot(NamedTuple):
    """A camera's figures at one moment.

    Attributes:
        received: images that came.
        infos: CameraInfos that came and were usable.
        answered: images whose answers went out.
        dropped: images that were not answered, by cause.
        without_scale: images without depth and points, and unusable CameraInfos, by cause.
        recently_dropped: of ``dropped``, those of the last ``WINDOW`` seconds.
        recently_without_scale: of ``without_scale``, those of the last ``WINDOW`` seconds.
        input_rate: images/s over the last ``WINDOW``.
        output_rate: answered images/s over the last ``WINDOW``.
        since_image: seconds since the last image; since the start, if none has come.
        since_info: the same for the last CameraInfo.
        doubts: sentences about the last image and its CameraInfo.
    """

    received: int
    infos: int
    answered: int
    dropped: Mapping[str, int]
    without_scale: Mapping[str, int]
    recently_dropped: Mapping[str, int]
    recently_without_scale: Mapping[str, int]
    input_rate: float
    output_rate: float
    since_image: float
    since_info: float
    doubts: Sequence[str] = ()


class Snapshot(NamedTuple):
    """All figures at one moment.

    Attributes:
        age: seconds since counting began; rates are over this time until it reaches ``WINDOW``.
        retries: batches on which the engine failed and that were retried.
        recent_retries: those of the last ``WINDOW`` seconds.
        latencies: by stage, over all cameras' answers of the last ``KEPT_SECONDS``, at most
            ``KEPT_ANSWERS``.
        answers: how many answers these are.
        cameras: by name.
    """

    age: float
    retries: int
    recent_retries: int
    latencies: Mapping[str, Percentiles]
    answers: int
    cameras: Mapping[str, CameraSnapshot]


class _Event(NamedTuple):
    """A kind of event to count; drops have a cause."""

    kind: str
    cause: str = ""


_RECEIVED, _INFO, _ANSWERED = _Event("received"), _Event("info"), _Event("answered")
_RETRIED = _Event("retried")


class _Counts:
    """Counts of events: in total, and over the last ``WINDOW`` seconds.

    The latter are kept in slices, so that a flood of messages takes no more memory than a few. The
    oldest slice is dropped whole, so the counts may cover up to one slice less than the window.
    """

    def __init__(self, start: float) -> None:
        self._start = start
        self._total: Counter[_Event] = Counter()
        self._slices: deque[tuple[int, Counter[_Event]]] = deque(maxlen=SLICES)
        self._last: dict[_Event, float] = {}
        self.doubts: dict[str, Sequence[str]] = {}

    def count(self, event: _Event, now: float, number: int) -> None:
        index = int(now / _SLICE)
        if not self._slices or self._slices[-1][0] != index:
            self._slices.append((index, Counter()))
        self._slices[-1][1][event] += number
        self._total[event] += number
        self._last[event] = now

    def total(self, event: _Event) -> int:
        return self._total[event]

    def recent(self, now: float) -> Counter[_Event]:
        """Those of the last ``WINDOW`` seconds."""
        recent: Counter[_Event] = Counter()
        for index, counts in self._slices:
            if index >= _oldest_slice(now):
                recent.update(counts)
        return recent

    def snapshot(self, now: float) -> CameraSnapshot:
        """The figures of a camera's events."""
        recent = self.recent(now)
        # Right after the start, too little time has passed for a rate.
        seconds = max(now - max(self._start, _oldest_slice(now) * _SLICE), _SLICE)
        return CameraSnapshot(
            received=self._total[_RECEIVED],
            infos=self._total[_INFO],
            answered=self._total[_ANSWERED],
            dropped=_by_cause(self._total, "dropped"),
            without_scale=_by_cause(self._total, "without_scale"),
            recently_dropped=_by_cause(recent, "dropped"),
            recently_without_scale=_by_cause(recent, "without_scale"),
            input_rate=recent[_RECEIVED] / seconds,
            output_rate=recent[_ANSWERED] / seconds,
            since_image=now - self._last.get(_RECEIVED, self._start),
            since_info=now - self._last.get(_INFO, self._start),
            doubts=[doubt for doubts in self.doubts.values() for doubt in doubts],
        )


def _oldest_slice(now: float) -> int:
    """Index of the first slice that is within the window."""
    return int(now / _SLICE) - SLICES + 1


def _by_cause(counts: Counter[_Event], kind: str) -> dict[str, int]:
    return {event.cause: number for event, number in counts.items() if event.kind == kind}


class Statistics:
    """Counts for all cameras since its creation; thread-safe.

    Its memory does not grow with time or with the rate of messages.

    Args:
        cameras: their names.
        clock: seconds of a monotonic clock.
    """

    def __init__(self, cameras: Sequence[str], clock: Callable[[], float]) -> None:
        self._clock = clock
        self._start = clock()
        self._lock = threading.Lock()
        self._cameras = {name: _Counts(self._start) for name in cameras}
        self._engine = _Counts(self._start)
        self._latencies: deque[tuple[float, Mapping[str, float]]] = deque(maxlen=KEPT_ANSWERS)

    def received(self, camera: str) -> None:
        """An image has come."""
        self._count(camera, _RECEIVED)

    def info_received(self, camera: str) -> None:
        """A CameraInfo has come and is kept."""
        self._count(camera, _INFO)

    def dropped(self, camera: str, cause: str, count: int = 1) -> None:
        """Images will not be answered."""
        self._count(camera, _Event("dropped", cause), count)

    def without_scale(self, camera: str, cause: str) -> None:
        """An image has no metric depth for lack of a CameraInfo, or a CameraInfo is unusable."""
        self._count(camera, _Event("without_scale", cause))

    def doubted(self, camera: str, subject: str, doubts: Sequence[str]) -> None:
        """Set the doubts about a camera's CameraInfo, or another subject: sentences, maybe none."""
        with self._lock:
            self._cameras[camera].doubts[subject] = doubts

    def answered(self, camera: str, latencies: Mapping[str, float]) -> None:
        """The answers of an image have gone out; ``latencies`` are seconds by stage."""
        with self._lock:
            self._latencies.append((self._clock(), latencies))
        self._count(camera, _ANSWERED)

    def retried(self) -> None:
        """The engine failed on a batch, which is retried."""
        with self._lock:
            self._engine.count(_RETRIED, self._clock(), 1)

    def snapshot(self) -> Snapshot:
        """The current figures."""
        with self._lock:
            now = self._clock()
            cameras = {name: camera.snapshot(now) for name, camera in self._cameras.items()}
            kept = [stages for when, stages in self._latencies if now - when <= KEPT_SECONDS]
            retries, lately = self._engine.total(_RETRIED), self._engine.recent(now)[_RETRIED]
        # Outside of the lock: sorting should keep no image waiting.
        percentiles = {
            stage: Percentiles(*np.percentile([s[stage] for s in kept], (50, 95, 99)).tolist())
            for stage in (kept[0] if kept else ())
        }
        return Snapshot(now - self._start, retries, lately, percentiles, len(kept), cameras)

    def _count(self, camera: str, event: _Event, number: int = 1) -> None:
        with self._lock:
            self._cameras[camera].count(event, self._clock(), number)
