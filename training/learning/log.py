"""What a run leaves for people: a table of epochs, TensorBoard, and lines on the terminal."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from sosd_ros import atomic

from .. import distributed


class Log:
    """``log.csv`` with a row for every epoch, and TensorBoard files beside it.

    In all processes but the first it writes nothing.

    Args:
        out: the folder; ``log.csv`` and ``tensorboard`` lie in it.
        iteration: that the run starts from; what an earlier one wrote beyond it is hidden.
    """

    def __init__(self, out: Path, iteration: int = 0) -> None:
        self._path = out / "log.csv"
        self._iteration = iteration
        self._writes = distributed.rank() == 0
        if self._writes:
            self._board = SummaryWriter(str(out / "tensorboard"), purge_step=iteration + 1)

    def step(self, iteration: int, losses: dict[str, float], rate: float) -> None:
        """The losses of a mini-batch, and the learning rate that it was learned at."""
        self._iteration = iteration
        if self._writes:
            for task, loss in losses.items():
                self._board.add_scalar(f"loss/{task}", loss, iteration)
            self._board.add_scalar("learning_rate", rate, iteration)

    def epoch(self, row: dict[str, float]) -> None:
        """The numbers of an epoch, ``epoch`` being one of them."""
        if self._writes:
            _append(self._path, row)
            for name, value in row.items():
                self._board.add_scalar(f"epoch/{name}", value, self._iteration)
            self._board.flush()
            tqdm.write("  ".join(f"{name} {value:.4g}" for name, value in row.items()))

    def pictures(self, picture: np.ndarray) -> None:
        """(H, W, 3) uint8 RGB of what the network answers now."""
        if self._writes:
            self._board.add_image("validation", picture, self._iteration, dataformats="HWC")

    def close(self) -> None:
        if self._writes:
            self._board.close()


def _append(path: Path, row: dict[str, float]) -> None:
    """Append a row, whole or not at all; without an evaluation, its cells stay empty."""
    rows: list[dict[str, str]] = []
    if path.exists():
        with path.open(newline="") as file:
            rows = [old for old in csv.DictReader(file) if int(old["epoch"]) < row["epoch"]]
    rows.append({name: f"{value:.6g}" for name, value in row.items()})
    names = list(dict.fromkeys(name for old in rows for name in old))
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, names)
    writer.writeheader()
    writer.writerows(rows)
    atomic.write(path, table.getvalue())
