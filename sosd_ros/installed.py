"""Which Python packages are installed."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable


def versions(distributions: Iterable[str]) -> dict[str, str]:
    """The version of each that is installed, by its name on PyPI."""
    found = {}
    for name in distributions:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
