"""The demo's answers as one HTML page, which fetches nothing: clouds to turn, latencies, the sheet.

Arrays in, text out.
"""

from __future__ import annotations

import base64
import html
import json
import string
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from ..camera import Intrinsics
from ..contact_sheet import Answer, most_frequent
from ..labels import LabelSet

_TEMPLATE = Path(__file__).with_name("page.html")
_STEPS = 4000  # of depth: quantised to a 4000th of the greatest
_JPEG_QUALITY = 85
_PLOT = (1200, 220)  # width and height, in pixels


class Shown(NamedTuple):
    """What the page tells beside pictures.

    Attributes:
        title, verdict: a line each.
        report: rates and latencies, as a table of fixed width.
        latencies: (seconds since the first frame, seconds until it was answered) of each frame.
    """

    title: str
    verdict: str
    report: str
    latencies: Sequence[tuple[float, float]]


def page(
    shown: Shown,
    answers: Sequence[Answer],
    cameras: Sequence[Intrinsics],
    sheet: np.ndarray,
    labels: LabelSet,
) -> str:
    """The page, as the text of an HTML file.

    Args:
        answers: of (H, W, 3) uint8 RGB, (H, W) float32 metres, (H, W) uint8 class ids.
        cameras: of each answer, at its size.
        sheet: the contact sheet, (height, width, 3) uint8 RGB.
    """
    pixels = np.concatenate([ids.ravel() for _, _, ids in answers])
    clouds = [_cloud(*pair, labels) for pair in zip(answers, cameras, strict=True)]
    return string.Template(_TEMPLATE.read_text()).substitute(
        title=html.escape(shown.title),
        verdict=html.escape(shown.verdict),
        report=html.escape(shown.report),
        classes=_legend(most_frequent(np.bincount(pixels, minlength=256), labels), labels),
        plot=_plot(shown.latencies),
        sheet=_picture(sheet, ".jpg"),
        clouds=json.dumps(clouds),
    )


def _cloud(answer: Answer, camera: Intrinsics, labels: LabelSet) -> dict[str, Any]:
    """An answer as the page's program reads it."""
    image, depth, ids = answer
    known = np.isfinite(depth)
    farthest = float(depth[known].max()) if known.any() else 1.0
    steps = np.where(known, np.rint(depth * (_STEPS / farthest)), 0).astype("<u2")
    # Differences of neighbours are small numbers, which zlib shortens; they wrap around.
    differences = np.diff(steps.ravel(), prepend=steps.dtype.type(0))
    away = float(np.median(depth[known])) if known.any() else farthest
    return {
        "width": camera.width,
        "height": camera.height,
        "lens": [round(number, 3) for number in (camera.fx, camera.fy, camera.cx, camera.cy)],
        "metres": farthest / _STEPS,  # of one step
        "middle": [0, 0, round(away, 3)],  # on the axis, so that the cloud lies in the middle
        "depth": base64.b64encode(zlib.compress(differences.tobytes(), 9)).decode(),
        "image": _picture(image, ".jpg"),
        "classes": _picture(labels.colours(ids), ".png"),
    }


def _picture(rgb: np.ndarray, suffix: str) -> str:
    """As the address of an ``img`` that has the picture in itself."""
    bgr, is_jpeg = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), suffix == ".jpg"
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if is_jpeg else []
    _, coded = cv2.imencode(suffix, bgr, options)
    kind = "jpeg" if is_jpeg else "png"
    return f"data:image/{kind};base64,{base64.b64encode(coded.tobytes()).decode()}"


def _legend(classes: Sequence[int], labels: LabelSet) -> str:
    return "".join(
        f'<li><span style="background: rgb{labels.palette[index]}"></span>'
        f"{html.escape(labels.names[index])}</li>"
        for index in classes
    )


def _plot(latencies: Sequence[tuple[float, float]]) -> str:
    """Latencies over time as an SVG, with lines at the median and at 95 % of them."""
    width, height = _PLOT
    left, right, top, bottom = 60, width - 130, 16, height - 34
    times, values = np.array(latencies).T
    median, most = np.percentile(values, (50, 95))
    ceiling, end = 1.1 * float(values.max()), max(float(times.max()), 1e-3)

    def at(seconds: float, value: float) -> tuple[float, float]:
        return (
            left + (right - left) * seconds / end,
            bottom - (bottom - top) * value / ceiling,
        )

    parts = [
        f'<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="#555761"/>',
        f'<text x="{left - 8}" y="{top + 8}" text-anchor="end">{1000 * ceiling:.0f} ms</text>',
        f'<text x="{left - 8}" y="{bottom + 4}" text-anchor="end">0</text>',
        f'<text x="{right}" y="{bottom + 22}" text-anchor="end">{end:.1f} s</text>',
        f'<text x="{left}" y="{bottom + 22}">0 s</text>',
    ]
    for value, name, colour, lower in (
        (median, "median", "#3fb6ab", 13),
        (most, "95 %", "#e39a4f", -3),
    ):
        _, y = at(0, float(value))
        parts.append(f'<path d="M{left} {y:.1f}H{right}" stroke="{colour}" stroke-dasharray="4"/>')
        written = f"{name}: {1000 * value:.0f} ms"
        parts.append(f'<text x="{right + 8}" y="{y + lower:.1f}">{written}</text>')
    for point in latencies:
        x, y = at(*point)
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.2" fill="#8ab4f8"/>')
    inside = "".join(parts)
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="latencies">{inside}</svg>'
