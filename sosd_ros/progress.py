"""How far a command has come: a bar on a terminal, and elsewhere a line now and then."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

INTERVAL = 5.0  # seconds between two lines, of all bars together
_LINE = "{desc}: {n_fmt} of {total_fmt} {unit}, {rate_fmt}{postfix}, {remaining} left"


def progress_bar(iterable: Iterable[Any] | None = None, desc: str = "", **options: Any) -> tqdm:
    """tqdm's bar on stderr, for people at a terminal.

    Where stderr is a file, a pipe or a log, it writes a line every few seconds, and none for what
    takes less; tqdm itself would write ten times a second, all in one line that never ends.

    Args:
        iterable: what is gone through, if it is.
        desc: what is done with it.
        options: of tqdm.
    """
    if sys.stderr.isatty():
        return tqdm(iterable, desc, **options)
    return _Lines(iterable, desc, **{**options, "leave": False}, bar_format=_LINE)


class _Lines(tqdm):
    last = float("-inf")  # when any of them wrote

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        now = self._time()
        started = getattr(self, "start_t", now)  # tqdm shows itself before it has one
        if msg is None and now - max(started, _Lines.last) >= INTERVAL:
            _Lines.last = now
            self.fp.write(f"{self}\n")
            self.fp.flush()
        return False  # there is nothing to be wiped away

    def clear(self, nolock: bool = False) -> None:
        """What has been written stays."""
