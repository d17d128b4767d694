"""Coming up without a lifecycle manager, again and again until it succeeds."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.lifecycle import LifecycleNode
from rclpy.timer import Timer

from .generations import steady_clock

LONGEST_PAUSE = 60.0  # seconds


def pause(failures: int) -> float:
    """Seconds to wait after so many failures in a row: 1, 2, 4 and so on, but 60 at most."""
    return min(2.0 ** (min(failures, 10) - 1), LONGEST_PAUSE)


class Autostart:
    """Brings a node up, and tries again later when that fails: a device may be late at boot.

    Once anyone else triggers a transition, there are no further attempts.

    Args:
        node: provides the timer and the log.
        bring_up: takes the remaining steps to configure and activate the node; returns whether it
            is active now.
        attempts: how many may fail before it gives up; 0: it tries for ever.
        give_up: called after the last of them has failed.
    """

    def __init__(
        self,
        node: LifecycleNode,
        bring_up: Callable[[], bool],
        attempts: int,
        give_up: Callable[[], None],
    ) -> None:
        self._node = node
        self._bring_up = bring_up
        self._attempts = attempts
        self._give_up = give_up
        self._clock = steady_clock()
        self._failures = 0
        self._is_trying = False
        self._timer: Timer | None = None
        self._next = 0.0  # by time.monotonic

    def attempt(self) -> None:
        """Try once, and schedule the next attempt if that fails."""
        self._cancel()
        self._is_trying, is_up, logger = True, False, self._node.get_logger()
        try:
            is_up = self._bring_up()
        except Exception as error:  # from rclpy; our own callbacks catch theirs
            logger.error(f"{type(error).__name__}: {error}")
        finally:
            self._is_trying = False
        if is_up:
            return
        self._failures += 1
        if self._failures == self._attempts:
            logger.fatal(f"giving up after {self._failures} attempts (autostart_attempts)")
            self._give_up()
            return
        seconds = pause(self._failures)
        logger.warning(f"attempt {self._failures} failed, the next one is in {seconds:g} s")
        self._next = time.monotonic() + seconds
        self._timer = self._node.create_timer(seconds, self.attempt, clock=self._clock)

    def step_aside(self) -> None:
        """A transition begins: if it is not ours, cancel further attempts."""
        if not self._is_trying:
            self._cancel()

    @property
    def next_attempt(self) -> float | None:
        """Seconds until the next attempt; ``None`` if there is none. For any thread."""
        return None if self._timer is None else max(0.0, self._next - time.monotonic())

    def _cancel(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            self._node.destroy_timer(timer)
