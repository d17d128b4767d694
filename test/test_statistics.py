"""Counts, rates and latencies, by a clock that the test turns."""

import pytest

from sosd_ros.statistics import KEPT_ANSWERS, WINDOW, Statistics


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    """It stands still until it is turned."""
    return Clock()


@pytest.fixture
def statistics(clock):
    """Of two cameras."""
    return Statistics(["left", "right"], clock)


def test_every_frame_is_counted_once(statistics):
    """By camera and by cause."""
    for _ in range(5):
        statistics.received("left")
    statistics.answered("left", {"total": 0.1})
    statistics.dropped("left", "superseded", 3)
    statistics.dropped("left", "encoding")
    statistics.without_scale("left", "no_camera_info")
    left, right = (statistics.snapshot().cameras[name] for name in ("left", "right"))
    assert (left.received, left.answered) == (5, 1)
    assert left.dropped == {"superseded": 3, "encoding": 1}
    assert left.without_scale == {"no_camera_info": 1}
    assert right.received == 0 and right.dropped == {}


def test_rates_are_of_the_last_seconds(statistics, clock):
    """10 Hz in and 5 Hz out for 20 s; nothing for as long as the window: 0."""
    for number in range(200):
        clock.now += 0.1
        statistics.received("left")
        if number % 2:
            statistics.answered("left", {})
    left = statistics.snapshot().cameras["left"]
    assert left.input_rate == pytest.approx(10, abs=0.3)
    assert left.output_rate == pytest.approx(5, abs=0.3)
    clock.now += WINDOW
    assert statistics.snapshot().cameras["left"].input_rate == 0


def test_silence_is_measured_from_the_start_or_the_last(statistics, clock):
    """Two seconds after the start nothing has come; then an image, and a CameraInfo later."""
    clock.now += 2
    assert statistics.snapshot().cameras["left"].since_image == 2
    statistics.received("left")
    clock.now += 1
    statistics.info_received("left")
    clock.now += 1
    left = statistics.snapshot().cameras["left"]
    assert (left.since_image, left.since_info) == (2, 1)


def test_what_is_long_past_is_not_recent(statistics, clock):
    """It stays counted."""
    statistics.dropped("left", "step")
    assert statistics.snapshot().cameras["left"].recent == {"step": 1}
    clock.now += WINDOW
    left = statistics.snapshot().cameras["left"]
    assert left.recent == {} and left.dropped == {"step": 1}


def test_percentiles_are_of_the_last_answers(statistics):
    """100 ms for long, then 200 ms: only the latter are kept."""
    for milliseconds in (100, 200):
        for _ in range(KEPT_ANSWERS):
            statistics.answered("left", {"total": milliseconds / 1000})
    assert statistics.snapshot().latencies["total"] == pytest.approx((0.2, 0.2, 0.2))
    for _ in range(10):
        statistics.answered("right", {"total": 1.0})
    p50, p95, p99 = statistics.snapshot().latencies["total"]
    assert (p50, p95, p99) == pytest.approx((0.2, 0.2, 1.0))
