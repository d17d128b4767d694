"""The order of a camera's stamps, and their age."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from builtin_interfaces.msg import Time


class StampOrder:
    """Detects stamps that go back.

    Their frames are answered like all others. The middleware keeps one publisher's messages in
    order, so a stamp goes back when a bag starts over, a clock is set back, or a second publisher
    sends. Each camera has its own order, since the clocks of two need not agree.
    """

    def __init__(self) -> None:
        self._last: int | None = None

    def step_back(self, stamp: int) -> int:
        """How far a stamp lies before the last one; 0 if it does not. All in nanoseconds."""
        last, self._last = self._last, stamp
        return 0 if last is None else max(0, last - stamp)


class AgeLimit:
    """Detects a camera's frames that are too old by a clock.

    A simulation's clock stands still between two ticks. When a bag starts over, its first frames
    may come before the tick that sets the clock back: until then they are not compared with it.

    Args:
        now: of the clock, in nanoseconds.
        is_simulated: whether the clock is a simulation's.
    """

    def __init__(self, now: Callable[[], int], is_simulated: Callable[[], bool]) -> None:
        self._now = now
        self._is_simulated = is_simulated
        self._order = StampOrder()
        self._outdated: int | None = None  # the clock's time when the stamps went back

    def is_exceeded(self, stamp: int, max_age: float) -> bool:
        """Whether a stamp in nanoseconds is more than ``max_age`` s old; 0 allows every age."""
        now = self._now()
        if self._order.step_back(stamp) and self._is_simulated():
            self._outdated = now
        return max_age > 0 and now != self._outdated and now - stamp > max_age * 1e9


def nanoseconds(stamp: Time) -> int:
    """A stamp as one number."""
    return int(stamp.sec * 1_000_000_000 + stamp.nanosec)
