"""Which Python packages are installed."""

from __future__ import annotations

import importlib.metadata


def version(distribution: str) -> str | None:
    """Of a package by its name on PyPI; ``None`` if it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
