"""One frame's answers, and what the semantic-to-depth unit computed on the way to them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from sosd_ros.network import Output, SOSDNet, input_size, prepare
from sosd_ros.network.layers import upsample
from sosd_ros.network.objectness import SemanticToDepth

from ..data.sample import DataSet
from ..measuring.result import correction
from ..networks.trained import Model


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
        labels: (H, W) uint8 class ids.
        unit: how the depth came about.
    """

    depth: np.ndarray | None
    labels: np.ndarray | None
    unit: UnitMaps | None


@torch.inference_mode()
def answer(model: Model, image: np.ndarray, data: DataSet, *, device: str = "cpu") -> Answer:
    """Answer one (H, W, 3) uint8 RGB image as the evaluation does, at a single scale."""
    manifest, network = model.manifest, model.network.to(device)
    size = (image.shape[0], image.shape[1])
    seen = input_size(size, manifest.input_size)
    images = torch.from_numpy(image)[None].to(device)
    inputs = prepare(images, seen, manifest.mean, manifest.std)
    output, unit = _watched(network, inputs, size)
    factor = correction(data, seen, manifest.input_size)
    if unit is not None:
        unit = unit._replace(from_cue=unit.from_cue * factor, pure=unit.pure * factor)
    return Answer(
        depth=None if output.depth is None else _numpy(output.depth * factor),
        labels=None if output.logits is None else _numpy(output.logits.argmax(1).byte()),
        unit=unit,
    )


def _watched(
    network: SOSDNet, inputs: torch.Tensor, size: tuple[int, int]
) -> tuple[Output, UnitMaps | None]:
    """The network's output for a batch of one, and the maps of its unit, if it has one."""
    unit = getattr(network, "depth_head", None)
    if not isinstance(unit, SemanticToDepth):
        return network(inputs, size=size), None
    seen: dict[str, torch.Tensor] = {}
    with (
        unit.area_3d.register_forward_hook(lambda _, __, area: seen.update(area_3d=area)),
        unit.area_2d.register_forward_hook(lambda _, __, area: seen.update(area_2d=area)),
        unit.depth.register_forward_hook(
            lambda _, inputs, depth: seen.update(fused=inputs[0], depth=depth)
        ),
    ):
        output = network(inputs, size=size)
    without_cue = seen["fused"].clone()
    without_cue[:, 0] = 0
    pure = network.metric(unit.depth(without_cue)[:, :1])
    depth = network.metric(seen["depth"][:, :1])
    return output, UnitMaps(
        area_3d=_numpy(seen["area_3d"][:, 0]),
        area_2d=_numpy(seen["area_2d"][:, 0]),
        cue=_numpy(seen["fused"][:, 0]),
        from_cue=_numpy(upsample(depth - pure, size)[:, 0]),
        pure=_numpy(upsample(pure, size)[:, 0]),
    )


def _numpy(maps: torch.Tensor) -> np.ndarray:
    """The first of a batch."""
    return maps[0].cpu().numpy()
