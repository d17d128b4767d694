"""Rates of publishing: on average as asked for, in step, and followed when they change."""

import random

import pytest

from sosd_ros.ros.topics import Turns


def chosen(turns, rates, times):
    """Of ``times`` in seconds, those at which a frame was chosen, by rate."""
    by_rate = {rate: [] for rate in rates}
    for now in times:
        due = turns.due(rates, round(now * 1e9))
        if due:
            turns.take(round(now * 1e9))
        for rate in due:
            by_rate[rate].append(now)
    return by_rate


def passes(turns, rate, times):
    return chosen(turns, [rate], times)[rate]


def camera(rate, seconds, jitter=0.0, begin=0.0):
    """Times of a camera's frames, each up to ``jitter`` of a period late."""
    noise = random.Random(20240607)
    return [begin + (n + noise.random() * jitter) / rate for n in range(round(rate * seconds))]


@pytest.mark.parametrize("jitter", [0.0, 0.3, 0.9])
@pytest.mark.parametrize(
    ("rate", "expected"), [(10, 100), (7, 70), (29, 290), (30, 300), (100, 300)]
)
def test_a_camera_of_30_hz_gives_the_rate(rate, expected, jitter):
    """Over ten seconds, to one frame; never more than there are."""
    for begin in (0.0, 1000.0, 1000.0166, 1000.0333):
        times = camera(30, 10, jitter, begin)
        assert len(passes(Turns(), rate, times)) == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("jitter", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("camera_rate", [7, 12, 29.97, 30, 60])
def test_rates_are_in_step(camera_rate, jitter):
    """Equal rates share every frame, and the slower's are among the faster's that they divide."""
    rates = [0, 30, 15, 10, 5, 2.5, 1]
    by_rate = chosen(Turns(), rates, camera(camera_rate, 60, jitter))
    for slow in rates:
        for fast in rates:
            if fast == 0 or (slow and fast % slow == 0):
                assert set(by_rate[slow]) <= set(by_rate[fast]), (slow, fast)
    assert len(by_rate[5]) == pytest.approx(5 * 60, abs=1)


def test_a_rate_that_changes_is_in_step_at_once():
    """With those that stay, though the camera has left them slots to make up for."""
    turns, times = Turns(), camera(11, 60, jitter=0.9)
    chosen(turns, [10, 5], times[:300])
    for fast, slow in ((20, 5), (20, 10), (5, 2.5), (0, 10)):
        by_rate = chosen(turns, [fast, slow], times[300:])
        assert set(by_rate[slow]) <= set(by_rate[fast])


def test_cameras_that_are_in_step_stay_so():
    """One came three frames later: from the next slot on, the same moments are chosen."""
    times = camera(30, 10)
    first, second = passes(Turns(), 10, times), passes(Turns(), 10, times[3:])
    assert set(second[1:]) <= set(first) and len(second) >= 98


def test_a_rate_of_0_lets_all_through():
    """Whatever was before."""
    turns = Turns()
    passes(turns, 0.001, [0.0])
    assert passes(turns, 0, [0.1, 0.2, 0.2]) == [0.1, 0.2, 0.2]


def test_a_rate_that_is_raised_counts_at_once():
    """A thousandth of a hertz, then ten: the next slot begins within a tenth of a second."""
    turns = Turns()
    assert passes(turns, 0.001, [5.0, 6.0]) == [5.0]
    assert passes(turns, 10, [5.05, 5.11]) == [5.11]


def test_a_rate_that_is_lowered_counts_at_once():
    """The frame before was one of it, too."""
    turns = Turns()
    assert passes(turns, 0, [5.0, 6.0]) == [5.0, 6.0]
    assert passes(turns, 0.001, [7.0, 8.0]) == []


def test_a_pause_is_not_made_up_for():
    """After an hour without frames they come at the rate, but for one that had no slot."""
    turns = Turns()
    passes(turns, 1, [0.0])
    times = [3600.0, 3600.1, 3600.2, 3600.3, 3601.0, 3601.1]
    assert passes(turns, 1, times) == [3600.0, 3600.1, 3601.0]


def test_being_asked_takes_no_turn():
    """What is refused after all leaves the turn to the next."""
    turns = Turns()
    assert turns.due([1], 0) and turns.due([1], 100_000_000)
