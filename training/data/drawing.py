"""Which samples come into which mini-batch, before photographs are mixed in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np

# Stands for an epoch where sources are shuffled, beside ``labelled_photographs._SHUFFLE``.
_SHUFFLE = 2**32 - 2


class Draw(Protocol):
    """The samples of every mini-batch, by their indices."""

    def __len__(self) -> int:
        """How many mini-batches an epoch has."""

    def batches(self, epoch: int, start: int) -> Iterator[Sequence[int]]:
        """Those of an epoch, from number ``start`` on."""


class OneSet:
    """Every sample of a set once in an epoch, in an order of its own.

    Args:
        samples: how many there are.
        in_batch: of them in a mini-batch.
        seed: of the orders.
    """

    def __init__(self, samples: int, in_batch: int, seed: int) -> None:
        self.samples, self.in_batch, self.seed = samples, in_batch, seed

    def __len__(self) -> int:
        return self.samples // self.in_batch

    def batches(self, epoch: int, start: int) -> Iterator[Sequence[int]]:
        order = np.random.default_rng((self.seed, epoch)).permutation(self.samples)
        for batch in range(start, len(self)):
            yield order[batch * self.in_batch : (batch + 1) * self.in_batch].tolist()


class SourceShare(NamedTuple):
    """What drawing knows of a source.

    Attributes:
        samples: how many it has; they are counted behind those of the sources before.
        tasks: that it teaches.
        share: how often it is drawn from, relative to the others that a mini-batch draws from.
    """

    samples: int
    tasks: frozenset[str]
    share: float


class Mixture:
    """Mini-batches that draw from those sources that teach what the step learns.

    Each has the same number of samples of each of them, by their shares, spread evenly over its
    places. So batch norms see all sources of a task in every mini-batch, as do its parts, and the
    processes that share it. All samples of a source come before one comes again, over as many
    epochs as that takes. An epoch is as many mini-batches as all sources together fill once.

    Args:
        sources: to draw from.
        in_batch: samples in a mini-batch.
        seed: of the orders.
        tasks_at: what a step learns, by ``(iteration, epoch)``, both counted from 0.

    Raises:
        ValueError: if a source has no sample in the mini-batches that draw from it.
    """

    def __init__(
        self,
        sources: Sequence[SourceShare],
        in_batch: int,
        seed: int,
        tasks_at: Callable[[int, int], Sequence[str]],
    ) -> None:
        self.sources, self.in_batch, self.seed = sources, in_batch, seed
        self.tasks_at = tasks_at
        self._places: dict[frozenset[str], list[int]] = {}
        for task in frozenset().union(*(source.tasks for source in sources)):
            self._source_of_places(frozenset({task}))

    def __len__(self) -> int:
        return sum(source.samples for source in self.sources) // self.in_batch

    def batches(self, epoch: int, start: int) -> Iterator[Sequence[int]]:
        firsts = np.cumsum([0, *(source.samples for source in self.sources)]).tolist()
        streams = [
            _Stream(source.samples, (self.seed, _SHUFFLE, number))
            for number, source in enumerate(self.sources)
        ]
        for iteration in range((epoch + 1) * len(self)):
            places = self._source_of_places(
                frozenset(self.tasks_at(iteration, iteration // len(self)))
            )
            if iteration < epoch * len(self) + start:
                for source in places:
                    streams[source].drawn += 1
            else:
                yield [firsts[source] + next(streams[source]) for source in places]

    def _source_of_places(self, tasks: frozenset[str]) -> list[int]:
        """The source of each place of a mini-batch that teaches ``tasks``."""
        if tasks not in self._places:
            self._places[tasks] = self._spread(tasks)
        return self._places[tasks]

    def _spread(self, tasks: frozenset[str]) -> list[int]:
        chosen = [i for i, source in enumerate(self.sources) if source.tasks & tasks]
        counts = apportioned([self.sources[i].share for i in chosen], self.in_batch)
        if 0 in counts:
            number = chosen[counts.index(0)]
            raise ValueError(
                f"data.sources.{number}.share {self.sources[number].share:g} gives this source no "
                f"sample of {self.in_batch} in a mini-batch; raise it, or batch_size"
            )
        places = [
            ((2 * k + 1) / count, source)
            for source, count in zip(chosen, counts, strict=True)
            for k in range(count)
        ]
        return [source for _, source in sorted(places)]


class _Stream:
    """All samples of a source in one order after the other."""

    def __init__(self, samples: int, seed: tuple[int, ...]) -> None:
        self.samples, self.seed = samples, seed
        self.drawn = 0
        self._order: tuple[int, list[int]] = (-1, [])

    def __next__(self) -> int:
        passes, rest = divmod(self.drawn, self.samples)
        if self._order[0] != passes:
            random = np.random.default_rng((*self.seed, passes))
            self._order = passes, random.permutation(self.samples).tolist()
        self.drawn += 1
        return self._order[1][rest]


def apportioned(shares: Sequence[float], total: int) -> list[int]:
    """``total`` in whole numbers by shares; what rounding leaves goes to the largest remainders."""
    exact = [total * share / sum(shares) for share in shares]
    counts = [int(number) for number in exact]
    # Rounded, so that equal shares have equal remainders; the first of them gets one then.
    remainders = [round(counts[i] - number, 9) for i, number in enumerate(exact)]
    for index in sorted(range(len(shares)), key=remainders.__getitem__)[: total - sum(counts)]:
        counts[index] += 1
    return counts
