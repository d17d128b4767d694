"""Checkpoints of a training run: all that it takes to go on, to measure, or to export."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from sosd_ros import atomic
from sosd_ros.reasons import first_line

LAST, BEST = "last.pt", "best.pt"


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message names the file and what to do."""


def of_epoch(epoch: int) -> str:
    """The name of an epoch's own checkpoint."""
    return f"epoch_{epoch:04d}.pt"


def save(content: dict[str, Any], first: Path, *others: Path) -> None:
    """Write a checkpoint under one or more names, in their order; each whole or not at all."""
    atomic.make(first, lambda partial: torch.save(content, partial))
    for other in others:
        atomic.make(other, lambda partial: atomic.link(first, partial))


def keep_last(folder: Path, count: int) -> None:
    """Remove all epochs' own checkpoints but the last ``count``; none if that is 0."""
    if count:
        for old in sorted(folder.glob("epoch_*.pt"))[:-count]:
            old.unlink()


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint: tensors and plain values; nothing in it is executed.

    Raises:
        CheckpointError: if it is missing, damaged or not a checkpoint of this package.
    """
    if not path.is_file():
        raise CheckpointError(f"checkpoint {path} does not exist; give the path of a last.pt")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"checkpoint {path} cannot be read ({first_line(error)}); copy it again"
        ) from error
    if not isinstance(content, dict) or "config" not in content or "network" not in content:
        raise CheckpointError(f"{path} is not a checkpoint of python -m training.train")
    # What these were before they were settings.
    for section, name, value in (("data", "chance", 0.5), ("network", "init", "sigma01")):
        if isinstance(settings := content["config"].get(section), dict):
            settings.setdefault(name, value)
    return content
