"""What is said of each picture: a line for people, or one of JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from .cameras import view_angle
from .files import Answered

_MOST = 3  # classes in a line for people


def facts(name: str, answered: Answered, how: str, seconds: float, files: list[Path]) -> str:
    """A line of JSON.

    Its keys: ``image``; ``width``, ``height``, ``fx``, ``fy``, ``cx``, ``cy`` in pixels;
    ``camera``: how that is known; ``depth``: percentiles 1, 50 and 99 of finite metres, or null;
    ``labels``: shares of the image by class; ``seconds`` that the network took; ``files``.
    """
    camera, (depth, *_) = answered.camera, answered.answer
    line: dict[str, Any] = {"image": name, "width": camera.width, "height": camera.height}
    line |= {key: round(getattr(camera, key), 3) for key in ("fx", "fy", "cx", "cy")}
    spread = None if depth is None else _spread(depth)
    line |= {"camera": how, "depth": spread and [round(metres, 3) for metres in spread]}
    line["labels"] = {label: round(share, 4) for label, share in _shares(answered)}
    line |= {"seconds": round(seconds, 4), "files": [str(path) for path in files]}
    return json.dumps(line)


def broken(name: str, error: str) -> str:
    """The line of JSON of a picture without an answer: ``image`` and ``error``."""
    return json.dumps({"image": name, "error": error})


def summary(name: str, answered: Answered, files: list[Path]) -> str:
    """For people: how far, what, and where it was written."""
    parts = []
    if answered.answer.depth is not None:
        spread = _spread(answered.answer.depth)
        parts.append(f"{spread[0]:.1f} to {spread[2]:.1f} m" if spread else "no depth")
    parts += [f"{label} {share:.0%}" for label, share in _shares(answered)[:_MOST]]
    return f"{name}: {', '.join(parts)}" + (f" -> {files[0]}" if files else "")


def assumed(name: str, answered: Answered) -> str:
    """That a picture's camera is not known, and what follows."""
    return (
        f"{name} tells no focal length, so its depth is that of the training camera, with a field "
        f"of view of {view_angle(answered.camera):.0f} degrees; for the metres of yours give "
        "--camera fx,fy,cx,cy (said once)"
    )


def _spread(depth: np.ndarray) -> list[float] | None:
    finite = depth[np.isfinite(depth)]
    return np.percentile(finite, [1, 50, 99]).tolist() if finite.size else None


def _shares(answered: Answered) -> list[tuple[str, float]]:
    """Classes and their shares of the image, the largest first."""
    ids, names = answered.answer.labels, answered.labels.names
    if ids is None:
        return []
    counts = np.bincount(ids.ravel(), minlength=256)[: len(names)]
    order = [int(i) for i in np.argsort(-counts, kind="stable") if counts[i]]
    return [(names[i], float(counts[i] / ids.size)) for i in order]
