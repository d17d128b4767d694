"""Networks that say together what they see in photographs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from sosd_ros.labels import LabelSet

from ..data.labelled_photographs import BEST, PseudoLabels
from ..metrics.log_depth import LOSS_FLOOR
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
    """

    predictors: Sequence[Predictor]
    labels: LabelSet
    views: Sequence[View]
    sha256: Sequence[str]
    bfloat16: bool = False

    @torch.inference_mode()
    def answer(self, image: np.ndarray, size: tuple[int, int]) -> PseudoLabels:
        """What they say of (H, W, 3) uint8 RGB, at (height, width)."""
        images = torch.from_numpy(image)[None].to(self.predictors[0].device)
        scores, log_depths = [], []
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.bfloat16):
            for predictor in self.predictors:
                for view in predictor.answers(images, self.views, size):
                    scores.append(view["semantic"][0].float().softmax(0))
                    log_depths.append(view["depth"][0].float().clamp(min=LOSS_FLOOR).log())
        spread, mean = torch.std_mean(torch.stack(log_depths), 0, correction=0)
        values, classes = torch.stack(scores).mean(0).topk(BEST, 0)
        return PseudoLabels(
            classes.permute(1, 2, 0).byte().cpu().numpy(),
            values.permute(1, 2, 0).cpu().numpy(),
            mean.exp().cpu().numpy(),
            spread.cpu().numpy(),
        )


def shows_a_room(answer: PseudoLabels, labels: LabelSet) -> bool:
    """Whether the teachers see enough of walls, floor and ceiling."""
    room = [labels.names.index(name) for name in _ROOM]
    seen = answer.scores[np.isin(answer.classes, room)].sum() / answer.depth.size
    return bool(seen >= _LEAST_ROOM)


def open_teachers(
    paths: Sequence[Path], views: Sequence[View], device: str, *, bfloat16: bool = False
) -> Teachers:
    """Read the teachers' files.

    Raises:
        ValueError: if one cannot be read, or they cannot label photographs together.
    """
    models = [load(path) for path in paths]
    first = models[0].manifest
    for path, model in zip(paths, models, strict=True):
        manifest = model.manifest
        if manifest.depth.kind != "metres" or set(model.network.tasks) != {"depth", "semantic"}:
            raise ValueError(
                f"{path} is no teacher: it must answer labels and depth in metres, but answers "
                f"{' and '.join(model.network.tasks)}, {manifest.depth.kind}"
            )
        if manifest.labels.names != first.labels.names:
            raise ValueError(
                f"{path} answers other classes than {paths[0]}; teachers must agree on them"
            )
    if missing := {*_ROOM} - {*first.labels.names}:
        raise ValueError(
            f"{paths[0]} has no class {sorted(missing)[0]}, by which rooms are told; use teachers "
            "of NYU Depth v2"
        )
    sha256 = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    predictors = [model.predictor(device) for model in models]
    return Teachers(predictors, first.labels, views, sha256, bfloat16)
