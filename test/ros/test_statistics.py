"""Counts, rates and latencies, by a clock that the test turns."""

import threading
import time
import tracemalloc

import pytest

from sosd_ros.ros.statistics import KEPT_ANSWERS, KEPT_SECONDS, SLICES, WINDOW, Statistics

SLICE = WINDOW / SLICES


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


def left(statistics):
    return statistics.snapshot().cameras["left"]


def test_every_frame_is_counted_once(statistics):
    """By camera and by cause."""
    for _ in range(5):
        statistics.received("left")
    statistics.info_received("left")
    statistics.answered("left", {"total": 0.1})
    statistics.dropped("left", "superseded", 3)
    statistics.dropped("left", "encoding")
    statistics.without_scale("left", "no_camera_info")
    of_left, of_right = (statistics.snapshot().cameras[name] for name in ("left", "right"))
    assert (of_left.received, of_left.infos, of_left.answered) == (5, 1, 1)
    assert of_left.dropped == {"superseded": 3, "encoding": 1}
    assert of_left.without_scale == {"no_camera_info": 1}
    assert (of_right.received, of_right.dropped, of_right.without_scale) == (0, {}, {})


def test_a_camera_that_is_not_known_is_an_error(statistics):
    """Its frames would be missing in the sum."""
    with pytest.raises(KeyError):
        statistics.received("rear")


@pytest.mark.parametrize("rate", [0.5, 10, 30, 1000])
def test_rates_are_of_the_last_seconds(statistics, clock, rate):
    """Half of the images are answered for 20 s; then nothing for as long as the window: 0."""
    one = 1 / (WINDOW - SLICE)  # an image more or less at the window's ends
    for number in range(int(20 * rate)):
        clock.now += 1 / rate
        statistics.received("left")
        if number % 2:
            statistics.answered("left", {})
    assert left(statistics).input_rate == pytest.approx(rate, abs=one)
    assert left(statistics).output_rate == pytest.approx(rate / 2, abs=one)
    clock.now += WINDOW
    assert (left(statistics).input_rate, left(statistics).output_rate) == (0, 0)


def test_a_young_rate_is_of_the_time_since_the_start(statistics, clock):
    """20 images in the first two seconds are 10 Hz, and a first image at once is no flood."""
    statistics.received("left")
    assert left(statistics).input_rate <= 1 / SLICE
    for _ in range(19):
        clock.now += 0.1
        statistics.received("left")
    clock.now += 0.1
    assert left(statistics).input_rate == pytest.approx(10)
    assert statistics.snapshot().age == pytest.approx(2)


def test_silence_is_measured_from_the_start_or_the_last(statistics, clock):
    """Two seconds after the start nothing has come; then an image, and a CameraInfo later."""
    clock.now += 2
    assert (left(statistics).since_image, left(statistics).since_info) == (2, 2)
    statistics.received("left")
    clock.now += 1
    statistics.info_received("left")
    clock.now += 1
    assert (left(statistics).since_image, left(statistics).since_info) == (2, 1)


def test_what_is_long_past_is_not_recent(statistics, clock):
    """It stays counted; how many were lost at once counts, and not how often."""
    statistics.dropped("left", "transport", 40)
    statistics.without_scale("left", "intrinsics")
    clock.now += WINDOW - SLICE
    assert left(statistics).recently_dropped == {"transport": 40}
    assert left(statistics).recently_without_scale == {"intrinsics": 1}
    clock.now += SLICE
    assert left(statistics).recently_dropped == left(statistics).recently_without_scale == {}
    assert left(statistics).dropped == {"transport": 40}
    assert left(statistics).without_scale == {"intrinsics": 1}


def test_percentiles_are_of_the_last_answers(statistics):
    """100 ms for long, then 200 ms: only the latter are kept. Of all cameras together."""
    for milliseconds in (100, 200):
        for _ in range(KEPT_ANSWERS):
            statistics.answered("left", {"total": milliseconds / 1000})
    assert statistics.snapshot().latencies["total"] == pytest.approx((0.2, 0.2, 0.2))
    for _ in range(10):
        statistics.answered("right", {"total": 1.0})
    assert statistics.snapshot().latencies["total"] == pytest.approx((0.2, 0.2, 1.0))


def test_percentiles_are_of_the_last_minute(statistics, clock):
    """However few the answers since: a bad spell is over after it."""
    statistics.answered("left", {"total": 5.0})
    clock.now += KEPT_SECONDS
    statistics.answered("left", {"total": 0.1})
    assert statistics.snapshot().answers == 2
    clock.now += 1
    snapshot = statistics.snapshot()
    assert (snapshot.answers, snapshot.latencies["total"].p99) == (1, pytest.approx(0.1))
    clock.now += KEPT_SECONDS
    assert (statistics.snapshot().answers, statistics.snapshot().latencies) == (0, {})


def test_retries_are_counted_and_recent_for_a_while(statistics, clock):
    """Of the engine, not of a camera."""
    statistics.retried()
    statistics.retried()
    assert statistics.snapshot()[1:3] == (2, 2)
    clock.now += WINDOW
    assert statistics.snapshot()[1:3] == (2, 0)


def test_percentiles_are_by_stage(statistics):
    """1 to 100 ms in steps of one: the percentiles lie between neighbours."""
    for milliseconds in range(1, 101):
        statistics.answered("left", {"wait": milliseconds / 1000, "total": 1.0})
    latencies = statistics.snapshot().latencies
    assert latencies["wait"] == pytest.approx((0.0505, 0.09505, 0.09901))
    assert list(latencies) == ["wait", "total"]


def test_a_snapshot_does_not_change(statistics):
    """What happens later is in a later one."""
    statistics.dropped("left", "step")
    before = left(statistics)
    statistics.dropped("left", "step")
    assert before.dropped == before.recently_dropped == {"step": 1}


class Yielding(str):
    """A cause that lets another thread run whenever it is looked up: between reading and adding."""

    def __hash__(self):
        time.sleep(0)
        return super().__hash__()


def test_threads_lose_no_count(statistics):
    """Four threads count the same while one looks."""
    number, cause = 500, Yielding("step")

    def count():
        for _ in range(number):
            statistics.dropped("left", cause)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        statistics.snapshot()
    assert left(statistics).dropped == {"step": 4 * number}


def test_memory_is_bounded(statistics, clock):
    """Once the window and the latencies are full, 50,000 events more take no more room."""

    def play(number, period):
        for _ in range(number):
            clock.now += period
            statistics.received("left")
            statistics.answered("left", {"total": clock.now % 1})
            statistics.dropped("left", "step")

    tracemalloc.start()
    try:
        play(KEPT_ANSWERS, WINDOW / 100)
        before, _ = tracemalloc.get_traced_memory()
        play(10_000, WINDOW / 10_000)  # a flood within one window
        play(40_000, WINDOW / 100)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 10_000  # bytes; a list of the events would have a hundred times that
