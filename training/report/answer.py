"""One frame's answers, and what the semantic-to-depth unit computed on the way to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, cast

import numpy as np
import torch

from sosd_ros.network import LAPLACE_DEVIATION, SOSDNet, upsample
from sosd_ros.network.objectness import SemanticToDepth

from ..networks.predictor import Predictor


class UnitMaps(NamedTuple):
    """The semantic-to-depth unit (Fig. 6) at work on one image, as Fig. 8 shows it.

    The depth at stride 8 is ``from_cue + pure``, up to rounding: the unit's last convolution is
    linear. Where it answers the logarithm of depth, what the cue adds depends on the rest.

    Attributes:
        area_3d: (h, w) float32 at stride 8, the latent dX dY.
        area_2d: (h, w) float32 at stride 8, the latent 1 / (du dv).
        cue: (h, w) float32 at stride 8, sqrt(area_3d * area_2d).
        from_cue: (H, W) float32 in the unit of depth: what the cue adds to the answer. The paper's
            "semantic-to-depth branch".
        pure: (H, W) float32 in the unit of depth: the answer with a cue of zero. The paper's
            "pure depth branch".
    """

    area_3d: np.ndarray
    area_2d: np.ndarray
    cue: np.ndarray
    from_cue: np.ndarray
    pure: np.ndarray


class Answer(NamedTuple):
    """What a network says of one image; ``None`` for what it lacks.

    Attributes:
        depth: (H, W) float32 in the data set's unit.
        uncertainty: (H, W) float32 in the unit of depth, its standard deviation.
        labels: (H, W) uint8 class ids.
        unit: how the depth came about.
    """

    depth: np.ndarray | None = None
    uncertainty: np.ndarray | None = None
    labels: np.ndarray | None = None
    unit: UnitMaps | None = None


@torch.inference_mode()
def answer(predictor: Predictor, image: np.ndarray) -> Answer:
    """Answer one (H, W, 3) uint8 RGB image as the evaluation does, at a single scale."""
    with _watched(predictor) as seen:
        [said] = predictor.answers(torch.from_numpy(image)[None])
    return Answer(
        depth=_numpy(said["depth"]) if "depth" in said else None,
        uncertainty=(
            _numpy(LAPLACE_DEVIATION * said["spread"] * said["depth"]) if "spread" in said else None
        ),
        labels=_numpy(said["semantic"].argmax(1).byte()) if "semantic" in said else None,
        unit=_unit_maps(predictor, seen, (image.shape[0], image.shape[1])) if seen else None,
    )


@contextmanager
def _watched(predictor: Predictor) -> Iterator[dict[str, torch.Tensor]]:
    """What the semantic-to-depth unit computes meanwhile; nothing if the network has none."""
    seen: dict[str, torch.Tensor] = {}
    unit = getattr(predictor.network, "depth_head", None)
    if not isinstance(unit, SemanticToDepth):
        yield seen
        return
    with (
        unit.area_3d.register_forward_hook(lambda _, __, area: seen.update(area_3d=area)),
        unit.area_2d.register_forward_hook(lambda _, __, area: seen.update(area_2d=area)),
        unit.depth.register_forward_hook(
            lambda _, inputs, depth: seen.update(fused=inputs[0], depth=depth)
        ),
    ):
        yield seen


def _unit_maps(
    predictor: Predictor, seen: dict[str, torch.Tensor], size: tuple[int, int]
) -> UnitMaps:
    """The maps of a unit that was watched while it answered an image of ``size``."""
    network = cast(SOSDNet, predictor.network)
    unit = cast(SemanticToDepth, network.depth_head)
    without_cue = seen["fused"].clone()
    without_cue[:, 0] = 0
    pure = network.metric(unit.depth(without_cue)[:, :1])
    depth = network.metric(seen["depth"][:, :1])
    factor = predictor.correction(size)
    return UnitMaps(
        area_3d=_numpy(seen["area_3d"][:, 0]),
        area_2d=_numpy(seen["area_2d"][:, 0]),
        cue=_numpy(seen["fused"][:, 0]),
        from_cue=_numpy(upsample(depth - pure, size)[:, 0]) * factor,
        pure=_numpy(upsample(pure, size)[:, 0]) * factor,
    )


def _numpy(maps: torch.Tensor) -> np.ndarray:
    """The first of a batch."""
    return maps[0].cpu().numpy()
