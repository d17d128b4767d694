"""The drawings in ``docs/network.md``: boxes on a grid and arrows between them.

``python docs/generate.py`` writes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

COLUMN, ROW, WIDTH, HEIGHT, MARGIN = 174, 82, 146, 52, 20  # in pixels
COLOURS = {
    "map": "#ffffff",
    "shared": "#cfe8d5",
    "semantic": "#f6d5b8",
    "depth": "#cfdcf5",
    "unit": "#f3e3a9",
    "held": "#dcdce2",
}
INK, FAINT = "#223", "#667"


class Box(NamedTuple):
    """A box whose middle is at (column, row) of the grid.

    Attributes:
        kind: of ``COLOURS``.
        title: in bold.
        note: in small letters below.
    """

    column: float
    row: float
    kind: str
    title: str
    note: str = ""


class Figure(NamedTuple):
    """Boxes and arrows.

    Attributes:
        boxes: by names of their own.
        arrows: ``from to``, by these names; words beside the arrow follow a colon.
        legend: what each kind of box means.
        headings: (column, row, words).
    """

    boxes: Mapping[str, Box]
    arrows: Sequence[str]
    legend: Mapping[str, str]
    headings: Sequence[tuple[float, float, str]] = ()


TASKS = {"shared": "for both tasks", "semantic": "for classes", "depth": "for depth"}

NETWORK = Figure(
    {
        "image": Box(0, 1, "map", "image", "H x W"),
        "backbone": Box(1, 1, "shared", "backbone", "features of the image"),
        "context": Box(2.3, 1, "shared", "context", "1280 channels, stride 32"),
        "semantic": Box(3.4, 0, "semantic", "Semantic Feature", "256 channels, stride 8"),
        "common": Box(3.4, 1, "shared", "Common Repr.", "256 channels, stride 8"),
        "depth": Box(3.4, 2, "depth", "Depth Feature", "64 channels, stride 8"),
        "to_semantic": Box(4.6, 0.4, "unit", "depth to semantic", "unit of Fig. 7"),
        "to_depth": Box(4.6, 1.6, "unit", "semantic to depth", "unit of Fig. 6"),
        "scores": Box(5.6, 0.4, "map", "class scores", "H x W for each class"),
        "metres": Box(5.6, 1.6, "map", "depth", "H x W, metres"),
    },
    [
        "image backbone",
        "backbone context",
        "backbone semantic: stride 8",
        "backbone depth: stride 8",
        "context common",
        "common semantic",
        "common depth",
        *(
            f"{path} {unit}"
            for path in ("semantic", "common", "depth")
            for unit in ("to_semantic", "to_depth")
        ),
        "to_semantic scores",
        "to_depth metres",
    ],
    TASKS | {"unit": "where one task informs the other"},
)

CONTEXT = Figure(
    {
        "deepest": Box(0, 2, "map", "deepest features", "stride 32"),
        **{
            f"atrous{rate}": Box(1.4, row, "shared", "Conv 256, 3 x 3", f"dilation {rate}")
            for row, rate in enumerate((3, 6, 9))
        },
        "cross": Box(1.4, 3, "shared", "Conv 256, 1 x 1", "across channels"),
        "full": Box(1.4, 4, "shared", "mean, Conv 256", "of the whole image"),
        "concat": Box(2.8, 2, "map", "side by side", "1280 channels, stride 32"),
    },
    [
        arrow
        for part in ("atrous3", "atrous6", "atrous9", "cross", "full")
        for arrow in (f"deepest {part}", f"{part} concat")
    ],
    {},
)
DECODER = Figure(
    {
        "fine_s": Box(0, 0, "map", "features", "stride 8"),
        "conv_s": Box(1, 0, "semantic", "Conv 48, 1 x 1"),
        "concat_s": Box(2.1, 0, "map", "side by side", "304 channels"),
        "wide_s": Box(3.1, 0, "semantic", "Conv 256, 3 x 3"),
        "semantic": Box(5.1, 0, "semantic", "Semantic Feature", "256 channels, stride 8"),
        "context": Box(0, 1, "map", "context", "1280 channels, stride 32"),
        "conv": Box(1, 1, "shared", "Conv 256, 1 x 1"),
        "up": Box(2.1, 1, "shared", "upsample by 4"),
        "common": Box(5.1, 1, "shared", "Common Repr.", "256 channels, stride 8"),
        "fine_d": Box(0, 2, "map", "features", "stride 8, the same"),
        "conv_d": Box(1, 2, "depth", "Conv 48, 1 x 1"),
        "concat_d": Box(2.1, 2, "map", "side by side", "304 channels"),
        "wide_d": Box(3.1, 2, "depth", "Conv 256, 3 x 3"),
        "narrow_d": Box(4.1, 2, "depth", "Conv 64, 3 x 3"),
        "depth": Box(5.1, 2, "depth", "Depth Feature", "64 channels, stride 8"),
    },
    [
        *("fine_s conv_s", "conv_s concat_s", "concat_s wide_s", "wide_s semantic"),
        *("context conv", "conv up", "up common", "up concat_s", "up concat_d"),
        *("fine_d conv_d", "conv_d concat_d", "concat_d wide_d", "wide_d narrow_d"),
        "narrow_d depth",
    ],
    TASKS,
)

TO_DEPTH = Figure(
    {
        "common": Box(0, 0, "shared", "Common Repr.", "256 channels"),
        "semantic": Box(0, 1, "semantic", "Semantic Feature", "256 channels"),
        "depth": Box(0, 2, "depth", "Depth Feature", "64 channels"),
        "space": Box(1, 0, "unit", "area in space", "Conv 2, Conv 1, 3 x 3"),
        "plane": Box(1, 1, "unit", "1 / area in the image", "Conv 2, Conv 1, 3 x 3"),
        "cue": Box(2.1, 0.5, "unit", "cue: depth", "root of the product"),
        "concat": Box(3.1, 1.25, "map", "side by side", "1 + 64 channels"),
        "conv": Box(4.1, 1.25, "depth", "Conv 1, 5 x 5", "upsample by 8"),
        "answer": Box(5.1, 1.25, "map", "depth", "H x W"),
    },
    [
        *("common space", "semantic plane", "space cue", "plane cue", "cue concat"),
        *("depth concat", "concat conv", "conv answer"),
    ],
    TASKS | {"unit": "the geometry"},
)

TO_SEMANTIC = Figure(
    {
        "common": Box(0, 0, "shared", "Common Repr.", "256 channels"),
        "depth": Box(0, 1, "depth", "Depth Feature", "64 channels"),
        "semantic": Box(0, 2, "semantic", "Semantic Feature", "256 channels"),
        "space": Box(1, 0, "unit", "area in space", "Conv 64, Conv 32, 3 x 3"),
        "inverse": Box(1, 1, "unit", "1 / depth squared", "Conv 64, Conv 32, 3 x 3"),
        "cue": Box(2.1, 0.5, "unit", "cue: size in image", "product, Conv 32, 1 x 1"),
        "concat": Box(3.1, 1.25, "map", "side by side", "256 + 32 channels"),
        "conv": Box(4.1, 1.25, "semantic", "Conv, 3 x 3", "upsample by 8"),
        "answer": Box(5.1, 1.25, "map", "class scores", "H x W for each class"),
    },
    [
        *("common space", "depth inverse", "space cue", "inverse cue", "cue concat"),
        *("semantic concat", "concat conv", "conv answer"),
    ],
    TASKS | {"unit": "the geometry"},
)


def _step(row: float, name: str, kinds: tuple[str, str], unit: str, loss: str) -> dict[str, Box]:
    """One kind of step of Algorithm 1, its boxes named with ``name``."""
    notes = ["held fixed" if kind == "held" else "learns" for kind in kinds]
    return {
        f"{name}_shared": Box(0, row + 0.5, "shared", "shared", "learns"),
        f"{name}_semantic": Box(1.3, row, kinds[0], "semantic path", notes[0]),
        f"{name}_depth": Box(1.3, row + 1, kinds[1], "depth path", notes[1]),
        f"{name}_unit": Box(2.6, row + 0.5, "unit", unit, "learns"),
        f"{name}_loss": Box(3.7, row + 0.5, "map", loss),
    }


ALGORITHM = Figure(
    {
        **_step(0, "d", ("held", "depth"), "semantic to depth", "error of depth"),
        **_step(2.6, "s", ("semantic", "held"), "depth to semantic", "error of classes"),
    },
    [
        f"{step}_{start} {step}_{end}"
        for step in "ds"
        for start, end in (
            *(("loss", "unit"), ("unit", "semantic"), ("unit", "depth"), ("unit", "shared")),
            *(("semantic", "shared"), ("depth", "shared")),
        )
    ],
    {"held": "passes the gradient on, but does not change"},
    [
        (0, -0.6, "One mini-batch learns depth. The arrows are gradients."),
        (0, 2.0, "The next one learns classes."),
    ],
)

FRAME = Figure(
    {
        "image": Box(0, 0, "map", "image", "sensor_msgs/Image"),
        "newest": Box(1, 0, "shared", "newest image", "ros/worker.py"),
        "array": Box(2, 0, "shared", "RGB array", "encodings.py"),
        "ready": Box(3, 0, "unit", "resized, normalised", "engine/on_cpu, on_gpu"),
        "network": Box(4, 0, "unit", "network", "a backend of engine/"),
        "answers": Box(5, 0.65, "unit", "metres, labels", "at the image's size"),
        "info": Box(0, 1.5, "map", "camera_info", "sensor_msgs/CameraInfo"),
        "camera": Box(2, 1.5, "shared", "camera of the image", "camera_info/view.py"),
        "rays": Box(5, 1.5, "shared", "ray of each pixel", "lens.py"),
        "messages": Box(6.1, 0.65, "shared", "messages", "ros/messages.py"),
        "topics": Box(6.1, 1.75, "map", "/sosd/...", "stamp of the image"),
    },
    [
        "image newest",
        "newest array",
        "array ready",
        "ready network",
        "network answers",
        "info camera",
        "camera rays",
        "camera answers: focal length",
        "rays messages",
        "answers messages",
        "messages topics",
    ],
    {"map": "a topic", "shared": "the node", "unit": "the engine, without ROS"},
)

FIGURES = {
    "network": NETWORK,
    "context": CONTEXT,
    "decoder": DECODER,
    "to_depth": TO_DEPTH,
    "to_semantic": TO_SEMANTIC,
    "algorithm1": ALGORITHM,
    "frame": FRAME,
}


def svg(figure: Figure) -> str:
    """The drawing, on paper of its own, so that it can be read on a dark page too."""
    boxes = figure.boxes.values()
    top = min([*(box.row for box in boxes), *(row for _, row, _ in figure.headings)])
    right, bottom = max(box.column for box in boxes), max(box.row for box in boxes)
    left_edge, top_edge = -WIDTH / 2 - MARGIN, top * ROW - HEIGHT / 2 - MARGIN
    width = right * COLUMN + WIDTH / 2 + MARGIN - left_edge
    below = bottom * ROW + HEIGHT / 2 + MARGIN
    height = below + (30 if figure.legend else 0) - top_edge
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="{left_edge:.0f} {top_edge:.0f} {width:.0f} {height:.0f}" '
        f'font-family="sans-serif" font-size="14" fill="{INK}">',
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="M0 0L10 5L0 10z" fill="{FAINT}"/></marker>'
        "</defs>",
        f'<rect x="{left_edge:.0f}" y="{top_edge:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" rx="10" fill="#fbfbfa"/>',
    ]
    for arrow in figure.arrows:
        ends, _, words = arrow.partition(": ")
        start, end = (figure.boxes[name] for name in ends.split())
        lines += _arrow(start, end, words)
    lines += [_box(box) for box in boxes]
    lines += [
        f'<text x="{column * COLUMN - WIDTH / 2:.0f}" y="{row * ROW:.0f}" font-weight="bold">'
        f"{words}</text>"
        for column, row, words in figure.headings
    ]
    return "\n".join([*lines, *_legend(figure.legend, below), "</svg>"])


def _box(box: Box) -> str:
    x, y = box.column * COLUMN, box.row * ROW
    title = y - 3 if box.note else y + 5
    note = f'<text x="{x:.0f}" y="{y + 15:.0f}" font-size="12">{box.note}</text>'
    return (
        f'<g text-anchor="middle"><rect x="{x - WIDTH / 2:.0f}" y="{y - HEIGHT / 2:.0f}" '
        f'width="{WIDTH}" height="{HEIGHT}" rx="7" fill="{COLOURS[box.kind]}" stroke="{FAINT}"/>'
        f'<text x="{x:.0f}" y="{title:.0f}" font-weight="600">{box.title}</text>'
        f"{note if box.note else ''}</g>"
    )


def _arrow(start: Box, end: Box, words: str) -> list[str]:
    """From side to side, or from above to below where the boxes stand in one column."""
    across, down = (end.column - start.column) * COLUMN, (end.row - start.row) * ROW
    is_sideways = abs(across) > WIDTH / 2
    out_x, out_y = (WIDTH / 2, 0.0) if is_sideways else (0.0, HEIGHT / 2)
    forward = 1 if (across if is_sideways else down) > 0 else -1
    x, y = start.column * COLUMN + forward * out_x, start.row * ROW + forward * out_y
    to_x, to_y = end.column * COLUMN - forward * out_x, end.row * ROW - forward * out_y
    # A long arrow turns soon, before it meets what stands between.
    turn_x = x + (to_x - x) / (4 if abs(across) > 1.5 * COLUMN else 2)
    turn_y = (y + to_y) / 2
    turns = f"{turn_x:.0f} {y:.0f} {turn_x:.0f} {to_y:.0f}"
    if not is_sideways:
        turns = f"{x:.0f} {turn_y:.0f} {to_x:.0f} {turn_y:.0f}"
    curve = f"M{x:.0f} {y:.0f}C{turns} {to_x:.0f} {to_y:.0f}"
    lines = [f'<path d="{curve}" fill="none" stroke="{FAINT}" marker-end="url(#tip)"/>']
    if words:
        at = (x + 6 * turn_x + to_x) / 8, (y + to_y) / 2  # the middle of the curve
        lines.append(
            f'<text x="{at[0]:.0f}" y="{at[1] - 6:.0f}" font-size="12" text-anchor="middle" '
            f'stroke="#fbfbfa" stroke-width="5" paint-order="stroke">{words}</text>'
        )
    return lines


def _legend(legend: Mapping[str, str], top: float) -> list[str]:
    lines, left = [], -WIDTH / 2
    for kind, words in legend.items():
        lines += [
            f'<rect x="{left:.0f}" y="{top:.0f}" width="15" height="15" rx="3" '
            f'fill="{COLOURS[kind]}" stroke="{FAINT}"/>',
            f'<text x="{left + 21:.0f}" y="{top + 12:.0f}" font-size="12">{words}</text>',
        ]
        left += 45 + 6.6 * len(words)
    return lines
