"""The network as backends run it: batch norms are part of convolutions, and all else stays."""

import copy
import dataclasses

import pytest
import torch
from support import SHARP, SMALL
from torch import nn

from sosd_ros import weights
from sosd_ros.engine import inference
from sosd_ros.engine.inference import fold_batch_norms, inference_network
from sosd_ros.engine.rounding import keep_sums
from sosd_ros.network import SOSDNet, prepare
from sosd_ros.network.__main__ import BACKBONES
from sosd_ros.network.layers import PADDINGS
from sosd_ros.share import DEFAULT_WEIGHTS, sample_frames, share


def norms(network):
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def drawn(network, seed=20261127):
    """In evaluation mode, with batch norms that do something."""
    print("seed", seed)
    generator = torch.Generator().manual_seed(seed)
    for norm in norms(network):
        for tensor in (norm.weight.data, norm.running_var):
            tensor.uniform_(0.5, 1.5, generator=generator)
        for tensor in (norm.bias.data, norm.running_mean):
            tensor.normal_(0, 0.1, generator=generator)
    return network.eval()


@torch.inference_mode()
def assert_same(network, other, images):
    """To float32's rounding over some eighty layers."""
    ours, theirs = (n(images, size=n.answer_size(images)) for n in (network, other))
    for name in ("depth", "logits", "spread"):
        one, expected = getattr(ours, name), getattr(theirs, name)
        assert (one is None) == (expected is None)
        if one is not None:
            torch.testing.assert_close(one, expected, rtol=2e-5, atol=2e-5 * expected.std())


def test_the_shipped_network_answers_the_same():
    """On a real image, to 1e-5 of depth, and no batch norm is left."""
    file = weights.read(share("weights", DEFAULT_WEIGHTS))
    picture = torch.from_numpy(sample_frames()[0])
    images = prepare(picture[None], (288, 384), file.manifest.mean, file.manifest.std)
    network, plain = inference_network(file), weights.build_network(file)
    assert norms(plain) and not norms(network)
    assert_same(network, plain, images)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("form", [SMALL, SHARP], ids=["small", "sharp"])
def test_however_it_pads(form, padding, random):
    """What a convolution sees beyond the borders comes before what a batch norm does."""
    network = drawn(weights.create_network(dataclasses.replace(form, padding=padding)))
    plain = copy.deepcopy(network)
    assert fold_batch_norms(network)
    images = torch.from_numpy(random.normal(size=(2, 3, 96, 160))).float()
    assert not norms(network)
    assert_same(network, plain, images)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_whatever_the_backbone(backbone, random):
    """Activations stay where they were, before or behind, and so do batch norms behind those."""
    torch.manual_seed(0)
    network = drawn(SOSDNet("esosd", backbone, 7))
    plain = copy.deepcopy(network)
    assert fold_batch_norms(network)
    assert len(norms(network)) < len(norms(plain)) / 2
    assert_same(network, plain, torch.from_numpy(random.normal(size=(1, 3, 64, 96))).float())


def test_a_batch_norm_behind_something_else_stays():
    """An activation in between, or the image itself."""
    parts = [nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4)]
    network = drawn(nn.Sequential(*parts, nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)))
    images, plain = torch.ones(1, 3, 8, 8), copy.deepcopy(network)
    assert fold_batch_norms(network)
    assert [type(part) for part in network[-3:]] == [nn.BatchNorm2d, nn.Conv2d, nn.Identity]
    assert len(norms(network)) == 2
    torch.testing.assert_close(network(images), plain(images))


class Branching(nn.Module):
    """A convolution whose answer a batch norm takes, and a sum as well."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)

    def forward(self, images):
        features = self.conv(images)
        return self.norm(features) + features


def test_a_convolution_whose_answer_goes_elsewhere_too_is_noticed():
    """It cannot be folded, and no comparison with a folded network would tell."""
    assert not fold_batch_norms(drawn(Branching()))


def test_a_network_that_cannot_be_folded_keeps_its_batch_norms(sharp, monkeypatch):
    monkeypatch.setattr(inference, "_same", lambda answer, before: False)
    assert len(norms(inference_network(sharp))) == len(norms(weights.build_network(sharp)))


def test_filters_are_folded_before_they_are_rounded(sharp):
    """Depthwise ones so that they keep their sums, others to the nearest; the last not at all."""
    exact, rounded = inference_network(sharp), inference_network(sharp, torch.bfloat16)
    kinds = set()
    for one, other in zip(exact.modules(), rounded.modules(), strict=True):
        if isinstance(one, nn.Conv2d):
            is_deep, weight = one.groups > 1, one.weight.detach()
            if other.weight.dtype == torch.float32:
                assert one is exact.depth_head.depth and torch.equal(other.weight, weight)
                continue
            expected = keep_sums(weight) if is_deep else weight
            assert torch.equal(other.weight, expected.bfloat16())
            kinds.add(is_deep)
    assert kinds == {True, False}
