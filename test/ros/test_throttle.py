"""Rates of publishing: on average as asked for, and followed when they change."""

import pytest

from sosd_ros.topics import Throttle


def passes(throttle, rate, times):
    """Of ``times`` in seconds, those at which something was let through."""
    passed = []
    for now in times:
        if throttle.is_due(rate, now):
            throttle.passed(rate, now)
            passed.append(now)
    return passed


@pytest.mark.parametrize(
    ("rate", "expected"), [(10, 100), (7, 70), (29, 290), (30, 300), (100, 300)]
)
def test_a_camera_of_30_hz_gives_the_rate(rate, expected):
    """Over ten seconds, to one frame; never more than there are."""
    times = [1000 + n / 30 for n in range(300)]
    assert len(passes(Throttle(), rate, times)) == pytest.approx(expected, abs=1)


def test_a_rate_of_0_lets_all_through():
    """Whatever was before."""
    throttle = Throttle()
    passes(throttle, 0.001, [0.0])
    assert passes(throttle, 0, [0.1, 0.2, 0.2]) == [0.1, 0.2, 0.2]


def test_a_rate_that_is_raised_counts_at_once():
    """A thousandth of a hertz, then ten: the next is due a tenth of a second after the last."""
    throttle = Throttle()
    assert passes(throttle, 0.001, [5.0, 6.0]) == [5.0]
    assert passes(throttle, 10, [5.05, 5.11]) == [5.11]


def test_a_pause_is_not_made_up_for():
    """After an hour without frames they come at the rate, and not all at once."""
    throttle = Throttle()
    passes(throttle, 1, [0.0])
    assert passes(throttle, 1, [3600.0, 3600.1, 3600.2, 3601.0]) == [3600.0, 3601.0]


def test_being_asked_takes_no_turn():
    """What is refused after all leaves the turn to the next."""
    throttle = Throttle()
    assert throttle.is_due(1, 0.0) and throttle.is_due(1, 0.1)
