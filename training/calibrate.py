"""Find what makes a network's doubts right: ``python -m training.calibrate FILE``.

On images that a network was trained on it is too sure of itself, and right nevertheless. So both
numbers are found on scenes that it has not seen, and given to the export of the same training on
all of them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from sosd_ros import commands
from sosd_ros.device import checked_device
from sosd_ros.labels import UNLABELLED
from sosd_ros.progress import progress_bar

from . import options
from .data.loader import evaluation_batches
from .data.sample import DataSet, Samples
from .data.sets import data_set, default_root
from .measuring.result import Protocol, check_classes, setting, view_answers
from .metrics import Calibration
from .metrics.log_depth import log_errors
from .metrics.spread import COVERAGES
from .networks import trained
from .networks.imagenet import Normalisation
from .networks.trained import Model

STEP = 8  # one pixel out of so many is looked at, in rows and in columns


class Doubts(NamedTuple):
    """What a network said of some pixels, and how right it was.

    Attributes:
        scores: (pixels, classes) float32 logits of labelled pixels; ``None`` without classes.
        labels: (pixels,) int64, their true classes.
        errors: (pixels,) float32, |log depth - log truth| where that is known; ``None`` without a
            spread.
        spread: (pixels,) float32, what the network says of these.
    """

    scores: torch.Tensor | None
    labels: torch.Tensor | None
    errors: torch.Tensor | None
    spread: torch.Tensor | None


def temperature(scores: torch.Tensor, labels: torch.Tensor) -> float:
    """What scores are to be divided by, so that the truth is likeliest (Guo et al., ICML 2017)."""
    sharpness = torch.ones((), requires_grad=True)  # in which the likelihood is convex
    optimiser = torch.optim.LBFGS([sharpness], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = functional.cross_entropy(sharpness * scores, labels)
        loss.backward()
        return loss

    optimiser.step(closure)
    return 1 / float(sharpness.detach())


def spread_factor(errors: torch.Tensor, spread: torch.Tensor) -> float:
    """What the spread is to be multiplied by, so that the truth is likeliest."""
    return float((errors / spread).mean())


@torch.no_grad()
def doubts(measured: Model, samples: Samples, data: DataSet, device: str) -> Doubts:
    """Ask a network about all samples.

    Raises:
        DataError: if one cannot be read.
    """
    network, manifest = measured.network.to(device), measured.manifest
    rows: dict[str, list[torch.Tensor]] = {name: [] for name in Doubts._fields}
    with progress_bar(desc="ask", total=len(samples), unit="img", leave=False) as bar:
        for batch in evaluation_batches(samples, 1, workers=1):
            [answer] = view_answers(
                network,
                batch.images.to(device),
                data,
                manifest.input_size,
                Normalisation(manifest.mean, manifest.std),
                Protocol(),
            )
            if "semantic" in answer:
                labels = _thinned(batch.labels).long()
                known = labels != UNLABELLED
                rows["scores"].append(_thinned(answer["semantic"].cpu()).movedim(1, -1)[known])
                rows["labels"].append(labels[known])
            if "spread" in answer:
                truth = _thinned(batch.depth)
                known = truth.isfinite()
                rows["errors"].append(
                    log_errors(_thinned(answer["depth"].cpu()), truth)[known].abs()
                )
                rows["spread"].append(_thinned(answer["spread"].cpu())[known])
            bar.update()
    return Doubts(*(torch.cat(found) if found else None for found in rows.values()))


def _thinned(maps: torch.Tensor) -> torch.Tensor:
    return maps[..., STEP // 2 :: STEP, STEP // 2 :: STEP]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.calibrate",
        description="Find the temperature of the class scores and the factor of the depth's "
        "spread that fit scenes which the network has not seen, for the options of "
        "python -m training.export. Train with data.split=fit for that, and ask about held_back.",
    )
    parser.add_argument("file", type=Path, help="a .safetensors weights file or a .pt checkpoint")
    options.add_data_option(parser)
    options.add_split_option(parser)
    commands.add_device_option(parser)
    return parser


def run(arguments: argparse.Namespace) -> None:
    device = str(checked_device(arguments.device))
    measured = trained.load(arguments.file)
    data_of, data = measured.data, data_set(measured.data)
    if "semantic" in measured.network.tasks:
        check_classes(len(measured.manifest.labels.names), data)
    if arguments.split is None and data_of.split == "train" and data_of.name == "nyuv2":
        raise ValueError(
            f"{arguments.file} was trained on all scenes of train, and val is not to be fitted to; "
            "calibrate a training with data.split=fit, or say --split val"
        )
    split = arguments.split or data_of.validation
    samples = data.open(arguments.data or default_root(measured.data.name), split)
    print(f"file      {arguments.file}, {measured.origin}")
    print(f"data      {setting(measured, measured.data, samples, split)}\n", flush=True)
    seen = doubts(measured, samples, data, device)
    found = [*filter(None, (_of_classes(seen), _of_depth(seen)))]
    print("\n".join(sentence for sentence, _ in found))
    options = " ".join(option for _, option in found)
    print(f"\npython -m training.export CHECKPOINT {options} --out FILE.safetensors")


def _of_classes(seen: Doubts) -> tuple[str, str] | None:
    """The temperature in a sentence, and as an option of the export."""
    if seen.scores is None or seen.labels is None:
        return None
    found = temperature(seen.scores, seen.labels)
    before, after = (_calibration_error(seen.scores / t, seen.labels) for t in (1.0, found))
    return (
        f"temperature {found:.3f}: the calibration error (ECE) is {before:.3f} without it and "
        f"{after:.3f} with it",
        f"--temperature {found:.3f}",
    )


def _of_depth(seen: Doubts) -> tuple[str, str] | None:
    """The spread's factor in a sentence, and as an option of the export."""
    if seen.errors is None or seen.spread is None:
        return None
    found = spread_factor(seen.errors, seen.spread)
    before, after = (_coverage(seen.errors, factor * seen.spread) for factor in (1.0, found))
    wanted = ", ".join(f"{share:.0%}" for share in COVERAGES)
    return (
        f"spread factor {found:.3f}: the intervals of {wanted} hold {before} of the truth without "
        f"it and {after} with it",
        f"--spread-factor {found:.3f}",
    )


def _calibration_error(scores: torch.Tensor, labels: torch.Tensor) -> float:
    sure, best = scores.softmax(1).max(1)
    calibration = Calibration()
    calibration.add(best.numpy().astype(np.uint8), labels.numpy(), sure.numpy())
    return float(calibration.pooled()["ECE"])


def _coverage(errors: torch.Tensor, spread: torch.Tensor) -> str:
    inside = (errors <= -spread * np.log1p(-share) for share in COVERAGES)
    return ", ".join(f"{float(hit.float().mean()):.0%}" for hit in inside)


if __name__ == "__main__":
    commands.main(_parser(), run)
