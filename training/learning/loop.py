"""The loop over epochs: learning rate, checkpoints and evaluation."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

from sosd_ros.progress import progress_bar

from .. import distributed
from ..config import Config
from ..data.loader import Batch
from ..measuring.overview import overview
from ..measuring.result import measure
from ..metrics import DEPTH_ERRORS
from ..networks import checkpoint
from ..networks.predictor import Predictor
from .log import Log
from .run import Run
from .signals import Interrupted, Signals


def fit(run: Run, log: Log, signals: Signals) -> None:
    """Train to the last epoch, or until there is no patience left.

    Writes ``last.pt`` and ``best.pt`` into ``run.out``, and every epoch into the log.

    Raises:
        Interrupted: if a signal has come; the run is saved in ``last.pt``.
        NotFiniteError: if a loss is not finite; the last checkpoint is left as it was.
        DataError: if a sample cannot be read.
    """
    config, progress = run.config, run.progress
    while progress.epoch < config.epochs and progress.worse != config.patience:
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
            progress.worse = 0 if better else progress.worse + 1
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


def is_better(metric: str, value: float, best: float | None) -> bool:
    """Whether ``value`` of a metric is better than the ``best`` so far, if there is one."""
    if math.isnan(value):
        return False
    if best is None:
        return True
    return value < best if metric in DEPTH_ERRORS else value > best
