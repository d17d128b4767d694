"""What the layers behind the backbone start from."""

from itertools import combinations

import pytest
import torch

from sosd_ros.network import VARIANTS
from training.config import Network
from training.networks.imagenet import create_network

COMPACT = "mobilenetv4_conv_small"


def start(seed=0, **settings):
    """(name, values) of every convolution behind the backbone of a new network."""
    settings = {"variant": "sosd", "backbone": COMPACT} | settings
    network = create_network(Network(**settings), 40, pretrained=False, seed=seed)
    return {n: p for n, p in network.named_parameters() if n[:8] != "backbone" and p.ndim == 4}


@pytest.mark.parametrize(("init", "sigma"), [("variance01", 0.1), ("sigma01", 0.01)])
def test_the_papers_gaussian(init, sigma):
    """Of every layer alike; the paper's variance is 0.01."""
    for values in start(init=init).values():
        error = 6 * sigma / values.numel() ** 0.5
        assert values.mean().abs() < error
        assert values.std().item() == pytest.approx(sigma, abs=error)


def test_torchs_own():
    """Uniform, and as wide as nn.Conv2d has it."""
    torch.manual_seed(0)
    for values in start(init="default").values():
        channels = max(values.shape[1], 1000 // values[0].numel())  # enough to see how wide
        own = torch.nn.Conv2d(channels, 64, values.shape[2:]).weight.data
        own *= (channels / values.shape[1]) ** 0.5
        assert values.abs().max() <= own.abs().max() * 1.001
        error = 6 * own.std().item() / values.numel() ** 0.5
        assert values.std().item() == pytest.approx(own.std().item(), abs=error)


@pytest.mark.parametrize("pair", list(combinations(VARIANTS, 2)), ids="-".join)
def test_two_variants_of_a_seed_share_what_they_have_in_common(pair):
    """Whatever else either has; so "paired seeds" are paired."""
    first, second = (start(variant=variant) for variant in pair)
    common = {n for n in first.keys() & second.keys() if first[n].shape == second[n].shape}
    assert any(name.startswith("common.") for name in common)
    assert all(torch.equal(first[name], second[name]) for name in common)


def test_layers_and_seeds_differ():
    """No two layers of one shape start equal, nor does one with two seeds."""
    first, second = start(), start(seed=1)
    assert not any(torch.equal(first[name], second[name]) for name in first)
    for a, b in combinations(first.values(), 2):
        assert a.shape != b.shape or not torch.equal(a, b)
