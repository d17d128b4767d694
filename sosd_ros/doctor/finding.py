"""What was found, and how people read it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "look", "broken"]
_LEVELS: tuple[Level, ...] = ("broken", "look", "ok")
_WIDTH = 100
_INDENT = 10


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: what it is.
        level: ``broken``: the node, or what was asked for, cannot work; ``look``: it may not work
            as expected.
        what: what was found.
        cure: what to do, empty if ``ok``.
    """

    subject: str
    level: Level
    what: str
    cure: str = ""


def lines(findings: Iterable[Finding]) -> Iterator[str]:
    """For a terminal: level, subject and what was found; below it, what to do."""
    for finding in findings:
        text = f"{finding.subject}: {finding.what}"
        yield from _wrapped(f"{finding.level:<8}  ", text)
        if finding.cure:
            yield from _wrapped(f"{'':<8}  -> ", finding.cure)


def summary(findings: Iterable[Finding]) -> str:
    """How many there are of each level."""
    levels = [finding.level for finding in findings]
    words = {"broken": "broken", "look": "to look at", "ok": "fine"}
    return ", ".join(f"{levels.count(level)} {words[level]}" for level in _LEVELS)


def _wrapped(start: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=start,
        subsequent_indent=" " * _INDENT + ("   " if start.endswith("> ") else ""),
        break_long_words=False,
        break_on_hyphens=False,
    )
