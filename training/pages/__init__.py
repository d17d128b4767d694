"""HTML pages that need nothing but themselves: a template filled in, pictures and all."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

_OPTIONS = {
    ".jpg": (cv2.IMWRITE_JPEG_QUALITY, 85),
    ".png": (cv2.IMWRITE_PNG_COMPRESSION, 9),
}
_MIME = {".jpg": "image/jpeg", ".png": "image/png"}


def templates(folder: Path) -> Environment:
    """The templates of a folder, which may include ``style.css``."""
    return Environment(
        loader=FileSystemLoader([folder, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def data_uri(pixels: np.ndarray, suffix: str) -> str:
    """(H, W, 3) uint8 RGB as an address that holds all of it.

    Args:
        suffix: ``.png`` keeps every bit; ``.jpg`` is a fifth of the size, for photographs.
    """
    _, content = cv2.imencode(suffix, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), _OPTIONS[suffix])
    return f"data:{_MIME[suffix]};base64,{base64.b64encode(content.tobytes()).decode()}"
