"""A training run: what it consists of, and what of it a checkpoint keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from sosd_ros.network import tasks_of

from .. import distributed
from ..config import Config
from ..data.labelled_photographs import Photographs
from ..data.loader import TrainingBatches
from ..data.sample import DataSet, Samples, median_depth
from ..data.sets import data_set, default_root, open_training
from ..metrics import DEPTH_METRICS, SEMANTIC_METRICS
from ..networks import checkpoint, trained
from ..networks.imagenet import create_network, normalisation
from .step import Trainer, refuse_what_cannot_run


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        epoch: epochs that are complete, evaluation included.
        batch: mini-batches of the next one that are done.
        losses: of these mini-batches, by task.
        best: the best value so far of the metric that chooses ``best.pt``.
        worse: measurements since then.
    """

    epoch: int = 0
    batch: int = 0
    losses: dict[str, list[float]] = field(default_factory=dict)
    best: float | None = None
    worse: int = 0


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
            tasks_at=_tasks_drawn(trainer),
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
            "random_on_gpu": self._random_on_gpu(),
            **self.trainer.state_dict(),
        }

    def _random_on_gpu(self) -> torch.Tensor | None:
        """The state of the generator that dropout and stochastic depth draw from, if on a GPU."""
        device = self.trainer.device
        return torch.cuda.get_rng_state(device) if device.startswith("cuda") else None

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where the run of a checkpoint was.

        Raises:
            ValueError: if that run had other settings that the result depends on.
        """
        refuse_another_run(self.config, state)
        self.progress = Progress(**state["progress"])
        torch.set_rng_state(state["random"])
        if self._random_on_gpu() is not None and state.get("random_on_gpu") is not None:
            torch.cuda.set_rng_state(state["random_on_gpu"], self.trainer.device)
        self.trainer.load_state_dict(state)


def _tasks_drawn(trainer: Trainer) -> Callable[[int, int], Sequence[str]]:
    """What a mini-batch is drawn for, by iteration and epoch."""
    if trainer.config.data.draw == "task":
        return trainer.strategy.tasks_at
    return lambda iteration, epoch: trainer.network.tasks


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
            "must not be trained on: correct the lists of names"
        )


def open_run(
    config: Config, out: Path, device: str, *, root: Path | None = None, resume: Path | None = None
) -> Run:
    """A run as it begins, or as a checkpoint has left it.

    What is wrong with the request is said first, then what is wrong with the data; what takes time
    or downloads comes last.

    Args:
        out: the folder of checkpoints and logs.
        device: of torch.
        root: the folder of the data set; where it is expected if empty.
        resume: the checkpoint.

    Raises:
        ValueError: if the settings cannot be followed here, or that run had others.
        DataError: if the data cannot be used.
    """
    refuse_what_cannot_run(config, device)
    data = data_set(config.data)
    best_metric(config, data)
    state = None if resume is None else checkpoint.load(resume)
    if state is not None:
        refuse_another_run(config, state)
    start = config.network.start if state is None else None
    started = None if start is None else trained.load(start)

    root = root or default_root(config.data.name)
    training = open_training(config.data, root)
    validation = data.open(root, config.data.validation)
    check_splits(config, training, validation)
    labelled = config.data.photographs
    photographs = None if labelled is None else Photographs(labelled, data)

    torch.manual_seed(config.seed)
    fresh = start is None and state is None
    network = create_network(
        config.network,
        len(data.labels.names),
        pretrained=fresh,
        seed=config.seed,
    )
    _check_size(config, network.backbone.multiple)
    if start is not None and started is not None:
        trained.copy_into(network, started, start, data.labels.names)
        if "depth" in network.tasks:
            network.scale_depth(trained.camera_factor(started, data, config.data.size))
    elif fresh and config.network.depth_form == "log" and "depth" in network.tasks:
        network.begin_at(median_depth(training))
    trainer = Trainer(config, network, normalisation(config.network.backbone), device)
    run = Run(trainer, data, training, validation, out, photographs)
    if state is not None:
        run.load_state_dict(state)
    return run


def _check_size(config: Config, multiple: int) -> None:
    for name, size in (("size", config.data.size), ("crop", config.data.seen)):
        if any(side % multiple for side in size):
            raise ValueError(
                f"data.{name} is {[*size]}, but backbone {config.network.backbone} takes "
                f"multiples of {multiple}; change data.{name}"
            )


def best_metric(config: Config, data: DataSet) -> str:
    """The metric that ``config`` names, or the first of the network's.

    Raises:
        ValueError: if the network has no such metric on this data.
    """
    tasks = {*tasks_of(config.network.variant)} & {*data.tasks}
    names: tuple[str, ...] = SEMANTIC_METRICS if "semantic" in tasks else ()
    if "depth" in tasks:
        names += DEPTH_METRICS[data.depth.kind]
    if not names:
        raise ValueError(
            f"{config.network.variant} cannot be measured on {data.title}, which has no such "
            "truth; choose another data.name"
        )
    if config.best is None:
        return names[0]
    if config.best not in names:
        raise ValueError(
            f"best is {config.best!r}, but {config.network.variant} on {data.title} has the "
            f"metrics {', '.join(names)}; choose one of them"
        )
    return config.best


# What may change when a run goes on: how far it goes, and what does not touch the result.
_FREE = {"epochs", "evaluate_every", "keep", "compile", "data.workers"}


def refuse_another_run(now: Config, state: dict[str, Any]) -> None:
    """Refuse to go on from a checkpoint of a run with other settings.

    Raises:
        ValueError: naming the settings that the result depends on, with both values.
    """
    if "progress" not in state:
        raise ValueError(
            "the checkpoint is of an older version, which cannot be resumed; export it, "
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
            f"these settings differ from those of the run to resume: {'; '.join(changed)}; use its "
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
