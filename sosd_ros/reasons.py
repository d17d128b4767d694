"""Why something failed, in a line: libraries' messages may have hundreds."""

from __future__ import annotations

import textwrap


def first_line(error: BaseException) -> str:
    """Of its message; the error's type if it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def in_short(error: BaseException) -> str:
    """The beginning of its message, for errors whose first line says too little."""
    return textwrap.shorten(str(error), 300, placeholder=" ...") or type(error).__name__
