"""Times that may be compared: taken in turn, so that a machine's moods meet all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from ..testbed.times import Times

LOW_RATE = 5.0  # Hz, at which no frame meets another


def in_turn(
    subjects: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Times]:
    """Time each subject in each round.

    A subject is called three times in a row, of which the first is not counted: it finds another's
    data in the caches, and another's threads on the cores.
    """
    seconds: dict[str, list[float]] = {name: [] for name in subjects}
    for subject in subjects.values():
        subject()  # what is made at the first call
    for _ in range(rounds):
        for name, subject in subjects.items():
            subject()
            for _ in range(2):
                started = clock()
                subject()
                seconds[name].append(clock() - started)
    return {name: Times.of(values) for name, values in seconds.items()}


def at_rate(subject: Callable[[], object], rate: float, calls: int) -> Times:
    """Time calls at a rate in Hz, as a slow camera causes them: the machine rests in between.

    It is not awake at once: its caches were given to others, and its cores were slowed down.
    """
    seconds, begin = [], time.perf_counter()
    for number in range(calls):
        time.sleep(max(0.0, begin + number / rate - time.perf_counter()))
        started = time.perf_counter()
        subject()
        seconds.append(time.perf_counter() - started)
    return Times.of(seconds)
