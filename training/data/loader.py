"""Batches of augmented samples, the same for the same seed, epoch and position."""

from __future__ import annotations

import math
import os
import signal
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from threading import Thread
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from sosd_ros.network import TASKS

from .. import distributed
from .drawing import Draw, Mixture, OneSet
from .errors import DataError
from .labelled_photographs import Mix, Photographs, SoftSample, certain
from .sample import DataSet, Sample, Samples
from .sources import Sources
from .transforms import augment, cut_and_mix

_SHARED_MEMORY = "/dev/shm"
# Where batches lie that workers have made: so many of each, and one in use while the next is taken.
_OF_A_WORKER, _IN_USE = 2, 2


class Batch(NamedTuple):
    """Samples as tensors.

    Attributes:
        images: (N, H, W, 3) uint8 RGB.
        depth: (N, H, W) float32 in the data set's unit, NaN where unknown.
        labels: (N, H, W) uint8, 255 unlabelled.
        names: of the samples, for messages to people.
        soft: (N, H, W, 4) uint8, if some are photographs: see ``labelled_photographs.SoftSample``.
        photograph: (N,) bool, which are.
    """

    images: torch.Tensor
    depth: torch.Tensor
    labels: torch.Tensor
    names: tuple[str, ...] = ()
    soft: torch.Tensor | None = None
    photograph: torch.Tensor | None = None

    def to(self, device: str | torch.device) -> Batch:
        """The same on a device."""
        return self._each(lambda part: part.to(device, non_blocking=True), self.names)

    def split(self, parts: int) -> list[Batch]:
        """As ``parts`` batches of the same length."""
        length = len(self.images) // parts
        slices = (slice(start, start + length) for start in range(0, len(self.images), length))
        return [self._each(itemgetter(s), self.names[s]) for s in slices]

    def _each(
        self, change: Callable[[torch.Tensor], torch.Tensor], names: tuple[str, ...]
    ) -> Batch:
        images, depth, labels = (change(part) for part in self[:3])
        soft = None if self.soft is None else change(self.soft)
        photograph = None if self.photograph is None else change(self.photograph)
        return Batch(images, depth, labels, names, soft, photograph)


class _Key(NamedTuple):
    """A sample in its place: its randomness depends on epoch and position, not on the worker."""

    epoch: int
    position: int
    sample: int


class _Order:
    """The batches of one epoch as lists of keys: this process's share of every batch.

    Photographs are counted behind the samples.
    """

    def __init__(
        self, samples: int, batch_size: int, draw: Draw, rank: int, processes: int, mix: Mix
    ):
        self.samples, self.batch_size, self.draw = samples, batch_size, draw
        self.share = range(rank * batch_size // processes, (rank + 1) * batch_size // processes)
        self.mix = mix
        self.epoch = self.start = 0

    def __len__(self) -> int:
        return len(self.draw)

    def __iter__(self) -> Iterator[list[_Key]]:
        drawn = self.draw.batches(self.epoch, self.start)
        for batch, own in enumerate(drawn, self.start):
            yield [
                _Key(self.epoch, batch * self.batch_size + place, self._sample(own, batch, place))
                for place in self.share
            ]

    def _sample(self, own: Sequence[int], batch: int, place: int) -> int:
        photograph = self.mix.photograph(self.epoch * len(self) + batch, place)
        if photograph is not None:
            return self.samples + photograph
        return own[place - self.mix.before(place)]


class _Augmented(Dataset):
    def __init__(
        self,
        samples: Samples,
        data: DataSet,
        size: tuple[int, int],
        seed: int,
        photographs: Photographs | None,
    ) -> None:
        self.samples, self.data, self.size, self.seed = samples, data, size, seed
        self.photographs = photographs

    def __getitem__(self, key: _Key) -> tuple[Sample | SoftSample, str] | DataError:
        random = np.random.default_rng((self.seed, key.epoch, key.position))
        try:
            sample, name = self._augmented(key.sample, random)
            if self.data.cutmix and random.random() < self.data.cutmix:
                other, _ = self._augmented(self._alike(key.sample, random), random)
                if isinstance(other, SoftSample) and other.photograph:
                    # A second camera: no one factor would fit the depth of both.
                    other = other._replace(depth=np.full_like(other.depth, np.nan))
                sample = cut_and_mix(sample, other, random)
        except DataError as error:
            return error
        return sample, name

    def _alike(self, index: int, random: np.random.Generator) -> int:
        """Any of the samples of the same kind: of the same source, or photographs."""
        count = len(self.samples)
        if self.photographs is None or index < count:
            whole = range(count)
            kind = self.samples.beside(index) if isinstance(self.samples, Sources) else whole
            return kind[int(random.integers(len(kind)))]
        return count + int(random.integers(len(self.photographs)))

    def _augmented(
        self, index: int, random: np.random.Generator
    ) -> tuple[Sample | SoftSample, str]:
        count = len(self.samples)
        if self.photographs is not None and index >= count:
            photograph = self.photographs.augmented(index - count, self.size, self.data, random)
            return photograph, self.photographs.names[index - count]
        sample = augment(self.samples[index], self.size, self.data, random)
        name = self.samples.names[index]
        return (sample if self.photographs is None else certain(sample)), name


class TrainingBatches:
    """Shuffled, augmented mini-batches of any epoch, made by the same workers throughout.

    The incomplete last batch of an epoch is left out: a batch of a few samples would upset the
    batch norm statistics.

    Args:
        samples: to draw from; ``Sources`` are drawn from as ``drawing.Mixture`` does.
        data: what they are of.
        size: (height, width) of the batches.
        batch_size: of all processes together; each gets its share of every batch.
        seed: of the order and the augmentation.
        workers: processes that decode and augment; 0 to do it in this one.
        pin_memory: for the way to a GPU.
        rank, processes: which share is wanted.
        photographs: of which each mini-batch has some besides; an epoch is one of the samples.
        photographs_share: of a mini-batch.
        tasks_at: what a step learns, by iteration and epoch: which sources it is drawn from.

    Raises:
        ValueError: if that share is none or all of a mini-batch, or that of a source is none.
    """

    def __init__(
        self,
        samples: Samples,
        data: DataSet,
        size: tuple[int, int],
        batch_size: int,
        *,
        seed: int,
        workers: int,
        pin_memory: bool = False,
        rank: int = 0,
        processes: int = 1,
        photographs: Photographs | None = None,
        photographs_share: float = 0.0,
        tasks_at: Callable[[int, int], Sequence[str]] = lambda iteration, epoch: TASKS,
    ) -> None:
        if photographs is None:
            mix = Mix(batch_size, 0, 0, seed)
        else:
            mix = Mix(batch_size, len(photographs), photographs_share, seed)
        own = batch_size - mix.in_batch
        draw: Draw = OneSet(len(samples), own, seed)
        if isinstance(samples, Sources):
            draw = Mixture(samples.shares(), own, seed, tasks_at)
        self._order = _Order(len(samples), batch_size, draw, rank, processes, mix)
        bytes_ = _bytes(len(self._order.share), *size, soft=photographs is not None)
        workers = _fitting(workers, bytes_)
        self._loader = _loader(
            _Augmented(samples, data, size, seed, photographs),
            workers,
            batch_sampler=self._order,
            pin_memory=pin_memory,
            persistent_workers=workers > 0,
        )

    def __len__(self) -> int:
        """How many batches an epoch has."""
        return len(self._order)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from number ``start`` on.

        Raises:
            DataError: if a sample cannot be read.
        """
        self._order.epoch, self._order.start = epoch, start
        return _or_raise(self._loader)


class _Plain(Dataset):
    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Sample, str] | DataError:
        try:
            return self.samples[index], self.samples.names[index]
        except DataError as error:
            return error


def evaluation_batches(samples: Samples, batch_size: int, *, workers: int) -> Iterator[Batch]:
    """Every sample once, in order, as it is.

    Raises:
        DataError: if a sample cannot be read.
    """
    if workers and len(samples):
        workers = _fitting(workers, _bytes(batch_size, *samples[0].labels.shape))
    return _or_raise(_loader(_Plain(samples), workers, batch_size=batch_size))


def workers_that_fit(workers: int, batch: int, free: float) -> int:
    """How many of ``workers`` find room for their batches.

    Without room they are ended by SIGBUS, or wait for ever, and the training with them.

    Args:
        workers: that are wanted.
        batch: bytes of a batch.
        free: bytes of shared memory.
    """
    return max(0, math.floor(min(workers, (free / batch - _IN_USE) / _OF_A_WORKER)))


def _fitting(workers: int, batch: int) -> int:
    """As many of ``workers`` as fit into this process's part of the shared memory; says if fewer.

    Docker gives a container 64 MB of it, unless it is told otherwise.
    """
    free = free_shared_memory() / distributed.processes_here()
    fitting = workers_that_fit(workers, batch, free)
    if fitting < workers:
        needed = (workers * _OF_A_WORKER + _IN_USE) * batch
        warnings.warn(
            f"{_SHARED_MEMORY} has {free / 1e6:.0f} MB for this process, but {workers} workers "
            f"with batches of {batch / 1e6:.1f} MB need {needed / 1e6:.0f}: going on with "
            f"{fitting}, which is slower; start the container with --shm-size=2g or --ipc=host, or "
            f"ask for {fitting} workers (data.workers, or --workers)",
            stacklevel=3,
        )
    return fitting


def free_shared_memory() -> float:
    """Bytes; infinite where shared memory is no file system of its own."""
    try:
        found = os.statvfs(_SHARED_MEMORY)
    except OSError:
        return math.inf
    return found.f_bavail * found.f_frsize


def _bytes(samples: int, height: int, width: int, *, soft: bool = False) -> int:
    """Of a batch: three of the image, four of depth and one of the label for every pixel.

    And four of two more classes, if there are some.
    """
    return (12 if soft else 8) * samples * height * width


def _loader(dataset: Dataset, workers: int, **options: Any) -> DataLoader:
    # Workers are forked without the threads of OpenCV, for which they would wait for ever.
    cv2.setNumThreads(0)
    # With a generator of its own, a loader leaves torch's state as it is.
    generator = torch.Generator()
    return DataLoader(
        dataset,
        num_workers=workers,
        # Python 3.14 would begin each from nothing: seconds for torch, and no samples that do not
        # pickle.
        multiprocessing_context="fork" if workers else None,
        collate_fn=_collate,
        worker_init_fn=_obey_the_first_process_alone,
        generator=generator,
        **options,
    )


_ENDING = {signal.SIGINT, signal.SIGTERM}


def _obey_the_first_process_alone(_worker: int) -> None:
    """Ctrl-C goes to the whole group, and ``pkill -f training.train`` to all processes of a run.

    The first process ends in order, and needs its workers for that.
    """
    os.setpgid(0, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    Thread(target=_end_when_the_first_process_says_so, daemon=True).start()


def _end_when_the_first_process_says_so() -> None:
    while signal.sigwaitinfo(_ENDING).si_pid != os.getppid():
        pass
    os._exit(0)


def _collate(items: list[tuple[Sample | SoftSample, str] | DataError]) -> Batch | DataError:
    """A batch, or the first error: raised in a worker, it would come with that one's traceback."""
    samples, names = [], []
    for item in items:
        if isinstance(item, DataError):
            return item
        samples.append(item[0])
        names.append(item[1])
    images, depth, labels, *more = (
        torch.from_numpy(np.stack(part)) for part in zip(*samples, strict=True)
    )
    soft, photograph = more or (None, None)
    return Batch(images, depth, labels, tuple(names), soft, photograph)


def _or_raise(items: Iterable[Batch | DataError]) -> Iterator[Batch]:
    for item in items:
        if isinstance(item, DataError):
            raise item
        yield item
