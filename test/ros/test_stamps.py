"""Stamps: those that go back, and those that are too old."""

import pytest

from sosd_ros.stamps import AgeLimit, StampOrder

SECOND = 1_000_000_000


def steps_back(*stamps):
    order = StampOrder()
    return [order.step_back(stamp) for stamp in stamps]


def test_a_stamp_that_goes_back_is_noticed():
    """By how much; time goes on from there."""
    assert steps_back(1, 3, 2, 4) == [0, 0, 1, 0]
    assert steps_back(3600 * SECOND, 5, 7) == [0, 3600 * SECOND - 5, 0]


def test_equal_stamps_follow_each_other():
    """A driver without a clock sends zero, and a clock may stand still."""
    assert steps_back(0, 0, 0) == [0, 0, 0]


@pytest.mark.parametrize(
    ("age", "max_age", "too_old"),
    [(2.0, 1.0, True), (1.0, 1.0, False), (2.0, 0.0, False), (-5.0, 1.0, False)],
)
@pytest.mark.parametrize("is_simulated", [False, True])
def test_age_is_by_the_nodes_clock(age, max_age, too_old, is_simulated):
    """Older than max_age is too old; 0 allows all; a stamp of the future is not old."""
    now = 1_700_000_000 * SECOND
    limit = AgeLimit(lambda: now, lambda: is_simulated)
    assert limit.is_exceeded(now - int(age * SECOND), max_age) is too_old


def test_a_bag_that_begins_anew_loses_no_frame_to_the_clock_of_before():
    """The lap is 60 s; the clock follows two frames later, and counts from then on."""
    clock = 1060 * SECOND
    limit = AgeLimit(lambda: clock, lambda: True)
    assert not limit.is_exceeded(1060 * SECOND, 1.0)
    assert not limit.is_exceeded(1000 * SECOND, 1.0)
    assert not limit.is_exceeded(1000 * SECOND + 1, 1.0)
    clock = 1002 * SECOND
    assert not limit.is_exceeded(1001 * SECOND, 1.0)
    clock = 1003 * SECOND
    assert limit.is_exceeded(1001 * SECOND, 1.0)


def test_old_frames_of_a_second_publisher_are_too_old():
    """By a clock that is not a simulation's, each of them, though its stamp goes back."""
    clock = 1060 * SECOND
    limit = AgeLimit(lambda: clock, lambda: False)
    assert [limit.is_exceeded(s * SECOND, 1.0) for s in (1060, 1000, 1060, 1000)] == [
        False,
        True,
        False,
        True,
    ]
