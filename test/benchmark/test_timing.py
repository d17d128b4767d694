"""Times taken in turn, by a clock of our own."""

import itertools

import pytest

from sosd_ros.benchmark import timing
from sosd_ros.benchmark.timing import at_rate, in_turn
from sosd_ros.testbed.times import Times


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


def test_calls_at_a_rate_begin_by_its_schedule(monkeypatch):
    """Each takes 0.1 s, at 5 Hz; the second one 0.3 s, after which there is no rest."""

    class Time:
        now = 0.0

        def perf_counter(self):
            return self.now

        def sleep(self, seconds):
            self.now += seconds

    clock, begun = Time(), []

    def call():
        begun.append(clock.now)
        clock.now += 0.3 if len(begun) == 2 else 0.1

    monkeypatch.setattr(timing, "time", clock)
    times = at_rate(call, rate=5, calls=4)
    assert begun == pytest.approx([0, 0.2, 0.5, 0.6])
    assert (times.median, times.calls) == (pytest.approx(100), 4)
