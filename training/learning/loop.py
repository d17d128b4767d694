"""A training run: epochs, learning rate, checkpoints and evaluation."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from sosd_ros.network import tasks_of
from sosd_ros.progress import progress_bar

from .. import distributed
from ..config import Config
from ..data.labelled_photographs import Photographs
from ..data.loader import Batch, TrainingBatches
from ..data.sample import DataSet, Samples
from ..measuring.result import measure
from ..metrics import DEPTH_METRICS
from ..networks import checkpoint
from ..networks.predictor import Predictor
from .log import Log
from .overview import overview
from .signals import Interrupted, Signals
from .step import Trainer

_LESS_IS_BETTER = {"rel", "rms", "log10", "px"}


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        epoch: epochs that are complete, evaluation included.
        batch: mini-batches of the next one that are done.
        losses: of these mini-batches, by task.
        best: the best value so far of the metric that chooses ``best.pt``.
    """

    epoch: int = 0
    batch: int = 0
    losses: dict[str, list[float]] = field(default_factory=dict)
    best: float | None = None


class Run:
    """A training run: what it consists of, and what of it a checkpoint keeps.

    Args:
        trainer: of the network.
        data: the data set.
        training, validation: its splits.
        out: the folder of checkpoints and logs.
        photographs: that are learned from besides.

    Raises:
        ValueError: if there are fewer samples than make a batch, a sample is in both splits, or
            ``best`` is no metric of this network on this data set.
    """

    def __init__(
        self,
        trainer: Trainer,
        data: DataSet,
        training: Samples,
        validation: Samples,
        out: Path,
        photographs: Photographs | None = None,
    ) -> None:
        self.trainer, self.config, self.data = trainer, trainer.config, data
        self.validation, self.out = validation, out
        check_splits(self.config, training, validation)
        self.best_metric = best_metric(self.config, data)
        self.batches = TrainingBatches(
            training,
            data,
            self.config.data.size,
            self.config.batch_size,
            seed=self.config.seed,
            workers=self.config.data.workers,
            pin_memory=trainer.device.startswith("cuda"),
            rank=distributed.rank(),
            processes=distributed.processes(),
            photographs=photographs,
            photographs_share=self.config.data.photographs_share,
        )
        self.progress = Progress()

    @property
    def iteration(self) -> int:
        """Mini-batches done since the start of the training."""
        return self.progress.epoch * len(self.batches) + self.progress.batch

    def state_dict(self) -> dict[str, Any]:
        return {
            "config": self.config.model_dump(mode="json"),
            "epoch": self.progress.epoch,
            "progress": asdict(self.progress),
            "random": torch.get_rng_state(),
            **self.trainer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where the run of a checkpoint was.

        Raises:
            ValueError: if that run had other settings that the result depends on.
        """
        refuse_another_run(self.config, state)
        self.progress = Progress(**state["progress"])
        torch.set_rng_state(state["random"])
        self.trainer.load_state_dict(state)


def check_splits(config: Config, training: Samples, validation: Samples) -> None:
    """Refuse samples that cannot be learned from and measured on.

    Raises:
        ValueError: if there are fewer than make a batch, or one is in both splits.
    """
    if len(training) < config.batch_size:
        raise ValueError(
            f"{len(training)} training samples are fewer than batch_size {config.batch_size}; "
            "lower batch_size"
        )
    shared = sorted({*training.names} & {*validation.names})
    if shared:
        raise ValueError(
            f"{len(shared)} samples are in both splits, {shared[0]} first; what is measured "
            "must not be trained on: mend the lists of names"
        )


def fit(run: Run, log: Log, signals: Signals) -> None:
    """Train to the last epoch.

    Writes ``last.pt`` and ``best.pt`` into ``run.out``, and every epoch into the log.

    Raises:
        Interrupted: if a signal has come; the run is saved in ``last.pt``.
        NotFiniteError: if a loss is not finite; the last checkpoint is left as it was.
        DataError: if a sample cannot be read.
    """
    config, progress = run.config, run.progress
    while progress.epoch < config.epochs:
        row: dict[str, float] = {"epoch": progress.epoch + 1}
        if progress.batch < len(run.batches):
            row |= _train_epoch(run, log, signals)
        row |= {f"{task}_loss": sum(v) / len(v) for task, v in progress.losses.items()}
        better = False
        if (progress.epoch + 1) % config.evaluate_every == 0 or progress.epoch + 1 == config.epochs:
            # An evaluation that is interrupted is made again.
            _save(run, checkpoint.LAST)
            row |= _measure(run, log, signals)
            better = is_better(run.best_metric, row[run.best_metric], progress.best)
            if better:
                progress.best = row[run.best_metric]
        progress.epoch, progress.batch, progress.losses = progress.epoch + 1, 0, {}
        log.epoch(row)
        # Last is last: what a run that goes on from it relies on has been written.
        kept = [checkpoint.of_epoch(progress.epoch)] if config.keep else []
        _save(run, *kept, *[checkpoint.BEST] * better, checkpoint.LAST)


def learning_rate(config: Config, iteration: int, iterations: int) -> float:
    """The learning rate of ``iteration`` of ``iterations``."""
    optimiser = config.optimiser
    rate, rising = optimiser.learning_rate, optimiser.warm_up * iterations
    if iteration < rising:
        rate *= (iteration + 1) / (rising + 1)
    if optimiser.schedule == "poly":
        rate *= (1 - iteration / iterations) ** optimiser.poly_power
    return rate


def _train_epoch(run: Run, log: Log, signals: Signals) -> dict[str, float]:
    """The mini-batches that remain of an epoch; how fast they were."""
    config, progress = run.config, run.progress
    iterations = config.epochs * len(run.batches)
    done = progress.batch * config.batch_size
    bar = progress_bar(
        desc=f"epoch {progress.epoch + 1}/{config.epochs}",
        total=len(run.batches) * config.batch_size,
        initial=done,
        unit="img",
        leave=False,
        disable=distributed.rank() != 0,
    )
    watch = _Watch()
    for batch in watch.waits(run.batches.epoch(progress.epoch, progress.batch)):
        rate = learning_rate(config, run.iteration, iterations)
        losses = run.trainer.step(batch, run.iteration, progress.epoch, rate)
        progress.batch += 1
        for task, loss in losses.items():
            progress.losses.setdefault(task, []).append(loss)
        log.step(run.iteration, losses, rate)
        bar.update(config.batch_size)
        bar.set_postfix({task: f"{loss:.3f}" for task, loss in losses.items()})
        _save_if_asked_to_stop(run, signals)
    bar.close()
    seen = len(run.batches) * config.batch_size - done
    return {"images_per_s": seen / watch.total, "waiting": watch.waited / watch.total}


class _Watch:
    """How long a loop over batches took, and how much of it was waiting for them."""

    def __init__(self) -> None:
        self.waited = self.total = 0.0

    def waits(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        start = time.perf_counter()
        before = start
        for batch in batches:
            self.waited += time.perf_counter() - before
            yield batch
            before = time.perf_counter()
        self.total = time.perf_counter() - start


def _measure(run: Run, log: Log, signals: Signals) -> dict[str, float]:
    """Metrics on the validation split."""
    config, trainer = run.config, run.trainer

    def stop_if_asked() -> None:
        if signals.number:
            raise Interrupted(signals.number)

    distributed.share_buffers(trainer.measured)  # all measure the network that is saved
    predictor = Predictor(
        trainer.measured, run.data, config.data.size, trainer.normalisation, trainer.device
    )
    result = measure(
        predictor,
        run.validation,
        run.data,
        workers=config.data.workers,
        after_batch=stop_if_asked,
    )
    if distributed.rank() == 0:
        log.pictures(overview(predictor, run.validation))
    return result.pooled()


def _save(run: Run, *names: str) -> None:
    """One checkpoint under some names, in their order."""
    if distributed.rank() == 0:
        checkpoint.save(run.state_dict(), *(run.out / name for name in names))
        checkpoint.keep_last(run.out, run.config.keep)


def _save_if_asked_to_stop(run: Run, signals: Signals) -> None:
    """All processes stop after the same mini-batch, whichever of them heard the signal first."""
    number = distributed.largest(signals.number, run.trainer.device)
    if number:
        _save(run, checkpoint.LAST)
        raise Interrupted(number)


def best_metric(config: Config, data: DataSet) -> str:
    """The metric that ``config`` names, or the first of the network's.

    Raises:
        ValueError: if the network has no such metric on this data.
    """
    tasks = tasks_of(config.network.variant)
    names: tuple[str, ...] = ("mIoU", "mAcc", "pAcc") if "semantic" in tasks else ()
    if "depth" in tasks:
        names += DEPTH_METRICS[data.depth.kind]
    if config.best is None:
        return names[0]
    if config.best not in names:
        raise ValueError(
            f"best is {config.best!r}, but {config.network.variant} on {data.title} has the "
            f"metrics {', '.join(names)}; choose one of them"
        )
    return config.best


def is_better(metric: str, value: float, best: float | None) -> bool:
    """Whether ``value`` of a metric is better than the ``best`` so far, if there is one."""
    if math.isnan(value):
        return False
    if best is None:
        return True
    return value < best if metric in _LESS_IS_BETTER else value > best


# What may change when a run goes on: how far it goes, and what does not touch the result.
_FREE = {"epochs", "evaluate_every", "keep", "compile", "data.workers"}


def refuse_another_run(now: Config, state: dict[str, Any]) -> None:
    """Refuse to go on from a checkpoint of a run with other settings.

    Raises:
        ValueError: naming the settings that the result depends on, with both values.
    """
    if "progress" not in state:
        raise ValueError(
            "the checkpoint is of an older version, which cannot be gone on with; export it, "
            "or start again"
        )
    then = Config.model_validate(state["config"])
    # The polynomial rule depends on where it ends, and so does a warm-up, which is a share of it.
    depends = now.optimiser.schedule == "poly" or now.optimiser.warm_up
    free = _FREE - ({"epochs"} if depends else set())
    settings, before = _flat(now.model_dump()), _flat(then.model_dump())
    changed = [
        f"{key} was {before.get(key)!r} and is {settings.get(key)!r}"
        for key in dict.fromkeys([*settings, *before])
        if key not in free and settings.get(key) != before.get(key)
    ]
    if changed:
        raise ValueError(
            f"this is another run than the one to go on with: {'; '.join(changed)}; use its "
            "settings, or choose another --out"
        )


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
