"""SIGINT and SIGTERM end a training run in order: the mini-batch is finished, the run is saved."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(Exception):  # noqa: N818  it is no error
    """The run was asked to stop by the signal ``number``, and is saved."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


class Signals:
    """Which signal has come: ``number``, 0 while there was none.

    A second one ends the process at once, as usual.
    """

    def __init__(self) -> None:
        self.number = 0
        self._before = {
            number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)
        }

    @contextmanager
    def heard(self) -> Iterator[Signals]:
        for number in self._before:
            signal.signal(number, self._remember)
        try:
            yield self
        finally:
            self._restore()

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        self.number = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
