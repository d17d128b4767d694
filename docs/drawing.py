"""The drawing of ``docs/architecture.md``: rooms, and arrows between them from the imports.

``python docs/generate.py`` writes it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]

# The rooms of each wing: folders, or files that are drawn as one.
WINGS = {
    "core: arrays in, arrays out": {
        "engine": ["sosd_ros/engine"],
        "kernels": ["sosd_ros/kernels"],
        "network": ["sosd_ros/network"],
        "scale": ["sosd_ros/scale"],
        "weights": ["sosd_ros/weights"],
        "outputs": ["sosd_ros/outputs"],
        "recordings": ["sosd_ros/recordings"],
        "camera, lens, labels, device, colours, contact_sheet, encodings, reasons": [
            *("sosd_ros/camera", "sosd_ros/lens", "sosd_ros/labels", "sosd_ros/device"),
            *(
                "sosd_ros/colours",
                "sosd_ros/contact_sheet",
                "sosd_ros/encodings",
                "sosd_ros/reasons",
            ),
        ],
        "commands, progress, share, atomic, ahead": [
            *("sosd_ros/commands", "sosd_ros/progress", "sosd_ros/share", "sosd_ros/atomic"),
            "sosd_ros/ahead",
        ],
    },
    "node: here ROS begins": {"ros": ["sosd_ros/ros"]},
    "tools": {
        "build": ["sosd_ros/build"],
        "demo": ["sosd_ros/demo"],
        "infer": ["sosd_ros/infer"],
        "bag": ["sosd_ros/bag"],
        "measure": ["sosd_ros/measure"],
        "doctor": ["sosd_ros/doctor"],
        "benchmark": ["sosd_ros/benchmark"],
        "checks": ["sosd_ros/checks"],
        "testbed": ["sosd_ros/testbed"],
    },
    "training": {
        "train, evaluate, export, report, ...": ["training"],
        "learning": ["training/learning"],
        "measuring": ["training/measuring"],
        "metrics": ["training/metrics"],
        "networks": ["training/networks"],
        "data": ["training/data"],
        "strategies, config": ["training/strategies", "training/config", "training/distributed"],
    },
}
ROOM_OF = {
    place: room for rooms in WINGS.values() for room, places in rooms.items() for place in places
}
Arrows = dict[str, set[str]]


def drawing() -> str:
    """A Mermaid flow chart of all rooms."""
    names = {room: f"room{number}" for number, room in enumerate(dict.fromkeys(ROOM_OF.values()))}
    lines = ["flowchart TD"]
    for number, (wing, rooms) in enumerate(WINGS.items()):
        lines.append(f'    subgraph wing{number}["{wing}"]')
        lines += [f'        {names[room]}["{room}"]' for room in rooms]
        lines.append("    end")
    for room, others in without_what_follows(imports()).items():
        lines += [f"    {names[room]} --> {names[other]}" for other in sorted(others)]
    return "\n".join(lines)


def imports() -> Arrows:
    """The rooms that each room imports."""
    arrows: Arrows = {room: set() for room in ROOM_OF.values()}
    for module, path in modules().items():
        if room := room_of(module):
            names = set(imported(path)) - {"sosd_ros", "training"}  # from which names come as well
            arrows[room] |= {other for name in names if (other := room_of(name))} - {room}
    return arrows


def modules() -> dict[str, Path]:
    """The files of both packages, by the name of their module."""
    paths = [path for top in ("sosd_ros", "training") for path in (ROOT / top).rglob("*.py")]
    return {".".join(p.relative_to(ROOT).with_suffix("").parts): p for p in sorted(paths)}


def without_what_follows(arrows: Mapping[str, set[str]]) -> Arrows:
    """Of a to b, b to c and a to c, not the last one."""
    return {
        room: {other for other in others if not _leads(arrows, others - {other}, other)}
        for room, others in arrows.items()
    }


def _leads(arrows: Mapping[str, set[str]], starts: set[str], end: str) -> bool:
    return any(end in arrows[start] or _leads(arrows, arrows[start], end) for start in starts)


def room_of(name: str) -> str | None:
    """The room of a module or of a name in it, ``sosd_ros.engine.Engine``; ``None`` of others."""
    parts = name.split(".")
    places = ("/".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((ROOM_OF[place] for place in places if place in ROOM_OF), None)


def imported(path: Path) -> Iterator[str]:
    """Absolute names of all that a file imports."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, node.module) if node.module else base)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
