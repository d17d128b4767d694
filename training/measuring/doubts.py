"""How sure a network is of pixels, how right it was, and what makes the one fit the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from sosd_ros.labels import UNLABELLED
from sosd_ros.progress import progress_bar

from ..data.loader import evaluation_batches
from ..data.sample import Samples
from ..metrics import Calibration
from ..metrics.log_depth import log_errors
from ..metrics.spread import COVERAGES
from ..networks.predictor import Predictor

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


def by_other_half(
    fit: Callable[[torch.Tensor, torch.Tensor], float], *pixels: torch.Tensor
) -> torch.Tensor:
    """For each pixel the number that fits the half of the pixels which it is not in: (pixels,).

    Halves in their order, so that neighbouring frames, which resemble each other, are together.
    """
    first, second = zip(*(values.tensor_split(2) for values in pixels), strict=True)
    numbers = torch.tensor([fit(*second), fit(*first)])
    return numbers.repeat_interleave(torch.tensor([len(first[0]), len(second[0])]))


@torch.no_grad()
def ask(predictor: Predictor, samples: Samples) -> Doubts:
    """Ask a network about all samples.

    Raises:
        DataError: if one cannot be read.
    """
    rows: dict[str, list[torch.Tensor]] = {name: [] for name in Doubts._fields}
    with progress_bar(desc="ask", total=len(samples), unit="img", leave=False) as bar:
        for batch in evaluation_batches(samples, 1, workers=1):
            [answer] = predictor.answers(batch.images)
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


def calibration_error(scores: torch.Tensor, labels: torch.Tensor) -> float:
    """The ECE of these scores: see ``metrics.Calibration``."""
    sure, best = scores.softmax(1).max(1)
    calibration = Calibration()
    calibration.add(best.numpy().astype(np.uint8), labels.numpy(), sure.numpy())
    return float(calibration.pooled()["ECE"])


def coverage(errors: torch.Tensor, spread: torch.Tensor) -> str:
    """Which shares of the truth lie in the intervals of ``COVERAGES``, in words."""
    inside = (errors <= -spread * np.log1p(-share) for share in COVERAGES)
    return ", ".join(f"{float(hit.float().mean()):.0%}" for hit in inside)
