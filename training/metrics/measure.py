"""What all measures share: rows of sums, one for each image, and metrics that they make."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from sosd_ros.labels import UNLABELLED

Self = TypeVar("Self", bound="Measure")
# Metrics by name. Of sums of shape (..., *row), each is (...), or (..., bins) if it has several.
Values = dict[str, np.ndarray]


class Measure(ABC):
    """Sums over pixels, a row of them for each image, and the metrics that rows add up to.

    A metric is a function of the rows' total and of nothing else. So parts of a set, measured
    apart and added, are the whole; a metric of one image is that of its row; and images that are
    drawn anew, some twice and some not at all, need no pixel again. Rows are totalled by
    ``math.fsum``, which rounds once and so gives the same value in any order: the numbers of parts
    that were added are exactly those of the whole.

    Attributes:
        shape: of a row.
        dtype: of a row.
        rows: of each image, in the order in which they were added.
    """

    shape: tuple[int, ...]
    dtype: type = np.float64
    add: Callable[..., None]  # one image: answer, truth, and what else the measure takes

    def __init__(self) -> None:
        self.rows: list[np.ndarray] = []

    @abstractmethod
    def metrics(self, sums: np.ndarray) -> Values:
        """Of sums (..., *shape); NaN where nothing was counted."""

    def __add__(self: Self, other: Self) -> Self:
        return self.of(self.rows + other.rows)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({[row.tolist() for row in self.rows]})"

    def of(self: Self, rows: list[np.ndarray]) -> Self:
        """The same measure of other images."""
        other = copy.copy(self)
        other.rows = rows
        return other

    def stacked(self) -> np.ndarray:
        """All rows, (images, *shape)."""
        return np.array(self.rows, self.dtype).reshape(-1, *self.shape)

    def total(self) -> np.ndarray:
        """The sum of all rows, ``shape``."""
        rows = self.stacked()
        if self.dtype is np.int64:
            return rows.sum(0)
        columns = rows.reshape(len(rows), math.prod(self.shape)).T.tolist()
        return np.array([math.fsum(column) for column in columns]).reshape(self.shape)

    def pooled(self) -> dict[str, Any]:
        """The metrics over all images: a float each, or a list of floats."""
        return {name: value.tolist() for name, value in self.metrics(self.total()).items()}

    def resampled(self, draws: np.ndarray) -> Values:
        """The metrics of (resamples, images) draws, which say how often each image is in each."""
        return self.metrics(np.tensordot(draws, self.stacked().astype(np.float64), 1))


def ratio(numerator: Any, denominator: Any) -> np.ndarray:
    """Their quotient, which is NaN where both are zero, without a warning."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.true_divide(numerator, denominator)


def value_and_count(values: Any) -> np.ndarray:
    """A row of a mean over images: (..., 2), the value and 1, or two zeros where it is None."""
    pairs = [(0.0, 0.0) if value is None else (float(value), 1.0) for value in values]
    return np.array(pairs)


def mean_of_defined(values: np.ndarray) -> np.ndarray:
    """Over the last axis, without what is NaN."""
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0).sum(-1), defined.sum(-1))


def labelled(truth: np.ndarray) -> np.ndarray:
    """Where a class is known."""
    return truth != UNLABELLED


def known(truth: np.ndarray) -> np.ndarray:
    """Where metres of depth are: NaN and zero are unknown."""
    return np.isfinite(truth) & (truth > 0)
