"""What came of all parts: ``report.md`` for people, ``figures.json`` for everything else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ... import atomic
from .place import table


def records(out: Path, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What is known of each part, in their order."""
    paths = {name: out / f"{name}.json" for name in names}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.is_file()}


def write(out: Path, names: Sequence[str]) -> None:
    """Write both files anew; parts that have not begun are named as such."""
    known = records(out, names)
    atomic.write(out / "figures.json", json.dumps(known, indent=1))
    atomic.write(out / "report.md", text(known, names))


def text(known: dict[str, dict[str, Any]], names: Sequence[str]) -> str:
    """The report as Markdown."""
    rows = []
    for name in names:
        part = known.get(name, {"status": "not begun"})
        rows.append((name, part["status"], f"{part.get('seconds', 0):.0f} s", _why(part)))
    sections = ["# What ran\n", table(("part", "status", "time", ""), rows)]
    for name, part in known.items():
        if problems := part["problems"]:
            listed = "\n".join(f"* {problem}" for problem in problems)
            sections.append(f"\n## {name}: problems\n\n{listed}")
        if part["markdown"]:
            sections.append(f"\n## {name}\n\n{part['markdown']}")
    return "\n".join(sections) + "\n"


def _why(part: dict[str, Any]) -> str:
    if problems := part.get("problems"):
        return f"{len(problems)} problems" if len(problems) > 1 else str(problems[0])
    return str(part.get("why", ""))
