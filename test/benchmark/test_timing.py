"""Times taken in turn, by a clock of our own."""

import itertools

from sosd_ros.benchmark.timing import Times, in_turn


def test_a_subject_is_called_three_times_a_round_and_timed_twice():
    """Once before all rounds, and the first call of each round is not counted."""
    calls = []
    ticks = itertools.count()
    times = in_turn(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")},
        rounds=2,
        clock=lambda: float(next(ticks)),
    )
    assert "".join(calls) == "ab" + 2 * "aaabbb"
    assert times == {name: Times(1000, 1000, 1000, 4) for name in "ab"}


def test_percentiles_are_in_milliseconds():
    """0 to 100 ms in steps of one: the median is 50 ms."""
    assert Times.of([i / 1000 for i in range(101)]) == Times(50, 95, 99, 101)
