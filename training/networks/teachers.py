"""Networks that say together what they see in photographs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

from sosd_ros.labels import UNLABELLED, LabelSet
from sosd_ros.share import DEFAULT_WEIGHTS, share

from ..data.labelled_photographs import BEST, PseudoLabels
from ..metrics.log_depth import LOSS_FLOOR
from .borrowed import NEAREST, BorrowedDepth, BorrowedLabels, tied
from .predictor import Predictor, View
from .trained import load

# Of which a room shows something. A picture in which the teachers see less is none.
_ROOM, _LEAST_ROOM = ("wall", "floor", "ceiling"), 0.12


class Teachers(NamedTuple):
    """Networks that answer together.

    Attributes:
        predictors: of the same classes, with depth in metres.
        labels: these classes.
        views: in which each of them gets to see a picture.
        sha256: of their files.
        bfloat16: whether they compute in it, which is quicker where the processor has it.
        depths: models of others that answer depth.
        segmenters: models of others that answer labels.
        yardstick: ties relative depth to metres where neither a sensor nor a predictor knows them.
        temperature: above 1 the probabilities become softer, below 1 sharper.
    """

    predictors: Sequence[Predictor]
    labels: LabelSet
    views: Sequence[View]
    sha256: Sequence[str]
    bfloat16: bool = False
    depths: Sequence[BorrowedDepth] = ()
    segmenters: Sequence[BorrowedLabels] = ()
    yardstick: Predictor | None = None
    temperature: float = 1.0

    @torch.inference_mode()
    def answer(
        self, image: np.ndarray, size: tuple[int, int], measured: np.ndarray | None = None
    ) -> PseudoLabels:
        """What they say of (H, W, 3) uint8 RGB, at (height, width).

        Args:
            measured: (H, W) float32 metres that a sensor has seen, NaN where unknown.
        """
        scores, log_depths = [], []
        for predictor in self.predictors:
            for view in self._views_of(predictor, image, self.views, size):
                scores.append(view["semantic"][0].float().softmax(0))
                log_depths.append(view["depth"][0].float().clamp(min=LOSS_FLOOR).log())
        scores += [segmenter.answer(image, size) for segmenter in self.segmenters]
        if self.depths:
            log_depths += self._borrowed(image, size, measured, log_depths)
        classes, likely = _best(scores, self.temperature, size)
        depth, spread = _mean(log_depths, size)
        return PseudoLabels(classes, likely, depth, spread)

    def _views_of(
        self,
        predictor: Predictor,
        image: np.ndarray,
        views: Sequence[View],
        size: tuple[int, int],
    ) -> list[dict[str, torch.Tensor]]:
        images = torch.from_numpy(image)[None].to(predictor.device)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.bfloat16):
            return list(predictor.answers(images, views, size))

    def _borrowed(
        self,
        image: np.ndarray,
        size: tuple[int, int],
        measured: np.ndarray | None,
        ours: Sequence[torch.Tensor],
    ) -> list[torch.Tensor]:
        """Log depth of the models of others, NaN where they know none."""
        found = []
        for model in self.depths:
            answer = model.answer(image, size).cpu().numpy()
            metres: np.ndarray | None = np.where(answer >= NEAREST, answer, np.nan)
            if model.meaning == "inverse":
                metres = tied(answer, self._metres(image, size, measured, ours))
            if metres is not None:
                found.append(torch.from_numpy(np.log(metres)).float().to(model.model.device))
        return found

    def _metres(
        self,
        image: np.ndarray,
        size: tuple[int, int],
        measured: np.ndarray | None,
        ours: Sequence[torch.Tensor],
    ) -> np.ndarray:
        """What relative depth is tied to: a sensor, or else a network that answers metres."""
        if measured is not None:
            return cv2.resize(measured, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        if not ours:
            assert self.yardstick is not None
            (view,) = self._views_of(self.yardstick, image, [View()], size)
            return view["depth"][0].float().cpu().numpy()
        return torch.stack([*ours]).mean(0).exp().cpu().numpy()


def _best(
    scores: Sequence[torch.Tensor], temperature: float, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The likeliest classes and their probabilities; unlabelled where no class has half of it."""
    if not scores:
        return np.full((*size, BEST), UNLABELLED, np.uint8), np.zeros((*size, BEST), np.float32)
    mean = torch.stack([*scores]).mean(0)
    known = mean.sum(0)
    if temperature != 1:
        mean = mean ** (1 / temperature)
        mean = mean * (known / mean.sum(0).clamp(min=1e-12))
    values, classes = mean.topk(BEST, 0)
    classes[0] = torch.where(known < 0.5, UNLABELLED, classes[0])
    return classes.permute(1, 2, 0).byte().cpu().numpy(), values.permute(1, 2, 0).cpu().numpy()


def _mean(
    log_depths: Sequence[torch.Tensor], size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Geometric mean, and the spread of its logarithm; infinite where nobody knows a depth."""
    if not log_depths:
        return np.zeros(size, np.float32), np.full(size, np.inf, np.float32)
    depths = torch.stack([*log_depths])
    mean = depths.nanmean(0)
    spread = (depths - mean).square().nanmean(0).sqrt()
    return mean.exp().nan_to_num().cpu().numpy(), spread.nan_to_num(nan=torch.inf).cpu().numpy()


def shows_a_room(answer: PseudoLabels, labels: LabelSet) -> bool:
    """Whether the teachers see enough of walls, floor and ceiling; those of depth alone may."""
    if not answer.scores.any():
        return True
    room = [labels.names.index(name) for name in _ROOM]
    seen = answer.scores[np.isin(answer.classes, room)].sum() / answer.depth.size
    return bool(seen >= _LEAST_ROOM)


def open_teachers(
    paths: Sequence[Path], views: Sequence[View], device: str, *, bfloat16: bool = False
) -> Teachers:
    """Read the teachers' files.

    Args:
        paths: of weights and checkpoints. Without any, the classes are those of the shipped
            weights, by which relative depth is tied to metres then.

    Raises:
        ValueError: if one cannot be read, or they cannot label photographs together.
    """
    read = [*paths] or [share("weights", DEFAULT_WEIGHTS)]
    models = [load(path) for path in read]
    first = models[0].manifest
    for path, model in zip(read, models, strict=True):
        manifest = model.manifest
        if manifest.depth.kind != "metres" or set(model.network.tasks) != {"depth", "semantic"}:
            raise ValueError(
                f"{path} is no teacher: it must answer labels and depth in metres, but answers "
                f"{' and '.join(model.network.tasks)}, {manifest.depth.kind}"
            )
        if manifest.labels.names != first.labels.names:
            raise ValueError(
                f"{path} answers other classes than {read[0]}; teachers must agree on them"
            )
    if missing := {*_ROOM} - {*first.labels.names}:
        raise ValueError(
            f"{read[0]} has no class {sorted(missing)[0]}, by which rooms are told; use teachers "
            "of NYU Depth v2"
        )
    sha256 = [hashlib.sha256(path.read_bytes()).hexdigest() for path in read]
    predictors = [model.predictor(device) for model in models]
    if not paths:
        return Teachers([], first.labels, views, sha256, bfloat16, yardstick=predictors[0])
    return Teachers(predictors, first.labels, views, sha256, bfloat16)
