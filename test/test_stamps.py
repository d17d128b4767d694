"""Stamps: what may follow, and what is too old."""

import pytest

from sosd_ros.stamps import CLOCK_JUMP, StampOrder, is_too_old

SECOND = 1_000_000_000


def accepted(*stamps):
    order = StampOrder()
    return [stamp for stamp in stamps if order.accepts(stamp)], order.jumps


def test_a_frame_that_was_overtaken_is_not_accepted():
    """3 came before 2; what follows is not hurt."""
    assert accepted(1, 3, 2, 4) == ([1, 3, 4], 0)


def test_equal_stamps_follow_each_other():
    """A driver without a clock sends zero."""
    assert accepted(0, 0, 0) == ([0, 0, 0], 0)


def test_a_clock_that_is_set_back_is_followed():
    """An hour back: time goes on from there, in order, and it is counted."""
    late = 3600 * SECOND
    assert accepted(late, 5, 7, 6, 8) == ([late, 5, 7, 8], 1)


def test_a_second_divides_the_two():
    """Exactly CLOCK_JUMP is still late, one nanosecond more is a jump."""
    assert accepted(5 * SECOND, 5 * SECOND - CLOCK_JUMP) == ([5 * SECOND], 0)
    assert accepted(5 * SECOND, 5 * SECOND - CLOCK_JUMP - 1)[1] == 1


@pytest.mark.parametrize(
    ("age", "max_age", "too_old"),
    [(2.0, 1.0, True), (1.0, 1.0, False), (2.0, 0.0, False), (-5.0, 1.0, False)],
)
def test_age_is_by_the_nodes_clock(age, max_age, too_old):
    """Older than max_age is too old; 0 allows all; a stamp of the future is not old."""
    now = 1_700_000_000 * SECOND
    assert is_too_old(now - int(age * SECOND), now, max_age) is too_old
