"""How many images a second the input gives and the network takes, each stage by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from typing import NamedTuple

import numpy as np
import torch

from sosd_ros.progress import progress_bar

from ..config import Config
from ..data.loader import TrainingBatches
from ..data.sample import DataSet, Sample, Samples
from ..data.transforms import augment
from ..networks.imagenet import create_network, normalisation
from .step import Trainer

DECODING, AUGMENTATION, NETWORK = "decoding", "augmentation", "network in training"


class Stage(NamedTuple):
    """Something to measure: ``run()`` works on ``images`` images."""

    name: str
    images: int
    run: Callable[[], None]


class Rate(NamedTuple):
    """Images per second: percentiles over the repetitions."""

    p10: float
    median: float
    p90: float


def measure(stages: list[Stage], repetitions: int) -> dict[str, Rate]:
    """The rate of every stage, by its name.

    Each runs once to warm up. Then they take turns, so that what else the machine does meanwhile
    slows all of them.
    """
    rates: dict[str, list[float]] = {stage.name: [] for stage in stages}
    for repetition in progress_bar(range(repetitions + 1), "throughput", leave=False):
        for stage in stages:
            start = time.perf_counter()
            stage.run()
            seconds = time.perf_counter() - start
            if repetition > 0:
                rates[stage.name].append(stage.images / seconds)
    return {name: Rate(*np.percentile(values, (10, 50, 90))) for name, values in rates.items()}


def input_stages(config: Config, data: DataSet, samples: Samples) -> list[Stage]:
    """Decoding and augmentation on one core, and batches from 0, 1, 2 and the config's workers."""
    size, indices = config.data.size, range(len(samples))
    decoded = [samples[index] for index in indices]

    def augmented(sample: Sample, index: int) -> Sample:
        return augment(sample, size, data, np.random.default_rng(index))

    def stage(name: str, indices: range, treat: Callable[[int], object]) -> Stage:
        def run() -> None:
            for index in indices:
                treat(index)

        return Stage(name, len(indices), run)

    return [
        stage(DECODING, indices, lambda index: samples[index]),
        stage(AUGMENTATION, indices, lambda index: augmented(decoded[index], index)),
        stage("both", indices, lambda index: augmented(samples[index], index)),
        *(
            _loader_stage(config, data, samples, workers)
            for workers in sorted({0, 1, 2, config.data.workers})
        ),
    ]


def _loader_stage(config: Config, data: DataSet, samples: Samples, workers: int) -> Stage:
    batches = _batches(config, data, samples, workers)
    epochs = count()

    def run() -> None:
        for _ in batches.epoch(next(epochs)):
            pass

    return Stage(_loader_name(workers), len(batches) * config.batch_size, run)


def _loader_name(workers: int) -> str:
    return f"loader, {workers} worker{'s' * (workers != 1)}"


def _batches(config: Config, data: DataSet, samples: Samples, workers: int) -> TrainingBatches:
    return TrainingBatches(
        samples,
        data,
        config.data.size,
        config.batch_size,
        seed=config.seed,
        workers=workers,
        pin_memory=torch.cuda.is_available(),
    )


def network_stage(config: Config, data: DataSet, samples: Samples, device: str) -> Stage:
    """Training steps on one batch: what the input has to keep up with."""
    batch = next(_batches(config, data, samples, workers=0).epoch(0))
    network = create_network(config.network, len(data.labels.names), imagenet=False)
    trainer = Trainer(config, network, normalisation(config.network.backbone), device)
    iterations = count()
    steps = 2  # Algorithm 1 alternates between two kinds

    def run() -> None:
        for _ in range(steps):
            trainer.step(batch, next(iterations), 0, config.optimiser.learning_rate)
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)

    return Stage(NETWORK, steps * config.batch_size, run)


def table(rates: dict[str, Rate]) -> str:
    """Every stage's rate, and how many times what the network consumes it is; for people."""
    network = rates.get(NETWORK)
    lines = [f"{'images/s':22}{'p10':>9}{'median':>9}{'p90':>9}{'ms/image':>11}{'x network':>11}"]
    for name, rate in rates.items():
        times = f"{rate.median / network.median:11.1f}" if network else f"{'-':>11}"
        speed = "".join(f"{value:9.1f}" for value in rate)
        lines.append(f"{name:22}{speed}{1000 / rate.median:11.2f}{times}")
    return "\n".join(lines)


def loader_to_network(rates: dict[str, Rate], workers: int) -> float | None:
    """How many times what the network consumes a loader with ``workers`` gives, by medians."""
    if NETWORK not in rates:
        return None
    return rates[_loader_name(workers)].median / rates[NETWORK].median


def verdict(times: float, workers: int) -> str:
    """That ratio in words."""
    return f"The loader with data.workers={workers} gives {times:.1f} times what the network " + (
        "consumes." if times >= 1 else "consumes: it is the bottleneck; add workers."
    )
