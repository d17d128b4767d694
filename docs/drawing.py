"""The drawing in ``docs/architecture.md``: rooms, and arrows between them from the imports.

``python docs/generate.py`` writes it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]

# The rooms of each wing: folders, or files that are drawn as one.
WINGS = {
    "core: arrays in, arrays out": {
        "engine": ["sosd_ros/engine"],
        "kernels": ["sosd_ros/kernels"],
        "network": ["sosd_ros/network"],
        "scale": ["sosd_ros/scale"],
        "steady": ["sosd_ros/steady", "sosd_ros/egomotion"],
        "weights": ["sosd_ros/weights"],
        "outputs": ["sosd_ros/outputs"],
        "recordings": ["sosd_ros/recordings", "sosd_ros/recorded_cameras"],
        "camera_info": ["sosd_ros/camera_info"],
        "camera, lens, labels, device, encodings, colours, ...": [
            *("sosd_ros/camera", "sosd_ros/lens", "sosd_ros/labels", "sosd_ros/device"),
            *("sosd_ros/encodings", "sosd_ros/colours", "sosd_ros/contact_sheet"),
            *("sosd_ros/reasons", "sosd_ros/installed", "sosd_ros/stamps", "sosd_ros/poses"),
            "sosd_ros/clouds",
        ],
        "commands, progress, share, atomic, ahead, many": [
            *("sosd_ros/commands", "sosd_ros/progress", "sosd_ros/share", "sosd_ros/atomic"),
            *("sosd_ros/ahead", "sosd_ros/many"),
        ],
    },
    "node: here ROS begins": {"ros": ["sosd_ros/ros"]},
    "tools": {
        "build": ["sosd_ros/build"],
        "demo": ["sosd_ros/demo"],
        "infer": ["sosd_ros/infer", "sosd_ros/answering"],
        "bag": ["sosd_ros/bag"],
        "measure": ["sosd_ros/measure"],
        "view": ["sosd_ros/view"],
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
        "recording": ["training/recording"],
        "adapting": ["training/adapting"],
        "pages": ["training/pages"],
        "strategies, config": ["training/strategies", "training/config", "training/distributed"],
    },
}
ROOM_OF = {
    place: room for rooms in WINGS.values() for room, places in rooms.items() for place in places
}
Arrows = dict[str, set[str]]


# The drawing. Rooms stand in rows, above all that they import; sizes in pixels.

COLOURS = ("#cfe8d5", "#f6d5b8", "#cfdcf5", "#f3e3a9")  # of the wings
ROW, GAP, HEIGHT, LETTER, PADDING = 92, 18, 34, 6.6, 12
SWEEPS = 20  # in which rooms come to stand near those that they are tied to


def drawing() -> str:
    """An SVG picture of all rooms, coloured by wing, and what they import."""
    arrows = without_what_follows(imports())
    rows = _in_order(_rows(arrows), arrows)
    width = max(sum(map(_width, row)) + GAP * (len(row) + 1) for row in rows)
    places = {room: place for place, room in _placed(rows, width)}
    bottom = ROW * len(rows)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {bottom + 40}" '
        'font-family="sans-serif" font-size="13">',
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L10 5L0 10z" fill="#667"/></marker></defs>',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    lines += [
        _curve(places[room], places[other])
        for room, others in arrows.items()
        for other in sorted(others)
    ]
    wings = [(wing, colour) for wing, colour in zip(WINGS, COLOURS, strict=True)]
    for wing, colour in wings:
        lines += [_box(room, places[room], colour) for room in WINGS[wing]]
    left = float(GAP)
    for wing, colour in wings:
        lines.append(f'<rect x="{left:.0f}" y="{bottom}" width="16" height="16" fill="{colour}"/>')
        lines.append(f'<text x="{left + 22:.0f}" y="{bottom + 13}">{wing}</text>')
        left += 22 + LETTER * len(wing) + 2 * GAP
    return "\n".join([*lines, "</svg>"])


def _rows(arrows: Arrows) -> list[list[str]]:
    """Rooms by the longest way to one that imports nothing, that one in the last row."""
    depth: dict[str, int] = {}
    for room in TopologicalSorter(arrows).static_order():  # what is imported comes first
        depth[room] = 1 + max((depth[other] for other in arrows[room]), default=-1)
    deepest = max(depth.values())
    return [[room for room in arrows if depth[room] == d] for d in range(deepest, -1, -1)]


def _in_order(rows: list[list[str]], arrows: Arrows) -> list[list[str]]:
    """Rows sorted by where the rooms stand that each is tied to (barycentres)."""
    tied = {
        room: {*others, *(above for above, below in arrows.items() if room in below)}
        for room, others in arrows.items()
    }
    for _ in range(SWEEPS):
        at = {room: (n + 0.5) / len(row) for row in rows for n, room in enumerate(row)}

        def mean(room: str, at: Mapping[str, float] = at) -> tuple[float, str]:
            """Rounded, and the name where it is equal: sets have no order of their own."""
            among = tied[room] or {room}
            return round(sum(at[other] for other in among) / len(among), 6), room

        rows = [sorted(row, key=mean) for row in rows]
    return rows


def _placed(rows: list[list[str]], width: float) -> Iterator[tuple[tuple[float, float], str]]:
    """The middle of each room; every row is spread over the width."""
    for number, row in enumerate(rows):
        gap = (width - sum(map(_width, row))) / (len(row) + 1)
        left = gap
        for room in row:
            yield (left + _width(room) / 2, ROW * number + ROW / 2), room
            left += _width(room) + gap


def _width(room: str) -> float:
    return LETTER * len(room) + 2 * PADDING


def _curve(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x, y), (to_x, to_y) = start, end
    y, to_y = y + HEIGHT / 2, to_y - HEIGHT / 2
    bend = (to_y - y) / 2
    points = (x, y + bend), (to_x, to_y - bend), (to_x, to_y)
    curve = " ".join(f"{px:.0f} {py:.0f}" for px, py in points)
    return f'<path d="M{x:.0f} {y:.0f}C{curve}" fill="none" stroke="#667" marker-end="url(#tip)"/>'


def _box(room: str, middle: tuple[float, float], colour: str) -> str:
    (x, y), width = middle, _width(room)
    return (
        f'<rect x="{x - width / 2:.0f}" y="{y - HEIGHT / 2:.0f}" width="{width:.0f}" '
        f'height="{HEIGHT}" rx="6" fill="{colour}" stroke="#667"/>'
        f'<text x="{x:.0f}" y="{y + 4.5:.0f}" text-anchor="middle">{room}</text>'
    )


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
    """Absolute names of all that a file imports; what only its annotations need is not."""
    package = path.relative_to(ROOT).parent.parts
    tree = ast.parse(path.read_text())
    typing = [
        node
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
        for node in branch.body
    ]
    for node in ast.walk(tree):
        if node in typing:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, node.module) if node.module else base)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
