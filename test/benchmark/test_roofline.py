"""FLOP of layers against arithmetic, and that a rate is one. No test depends on a time."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from sosd_ros.benchmark import roofline
from sosd_ros.network import SOSDNet

CPU = torch.device("cpu")


class Attention(nn.Module):
    def forward(self, tokens):
        return functional.scaled_dot_product_attention(tokens, tokens, tokens)


# Multiply-adds, by the outputs and what goes into each of them.
LAYERS = {
    "linear": (nn.Linear(8, 4), (2, 5, 8), (2 * 5 * 4) * 8),
    "convolution": (nn.Conv2d(8, 6, 3, padding=1), (2, 8, 10, 12), (2 * 6 * 10 * 12) * (8 * 9)),
    "stride": (nn.Conv2d(8, 6, 3, 2, padding=1), (1, 8, 10, 12), (6 * 5 * 6) * (8 * 9)),
    "dilation": (nn.Conv2d(8, 6, 3, padding=2, dilation=2), (1, 8, 9, 9), (6 * 9 * 9) * (8 * 9)),
    "groups": (nn.Conv2d(8, 6, 3, padding=1, groups=2), (1, 8, 10, 12), (6 * 10 * 12) * (4 * 9)),
    "depthwise": (nn.Conv2d(8, 8, 5, padding=2, groups=8), (1, 8, 10, 12), (8 * 10 * 12) * 25),
    "transposed": (nn.ConvTranspose2d(8, 6, 2, stride=2), (1, 8, 5, 6), (6 * 10 * 12) * 8),
    "attention": (Attention(), (1, 3, 20, 16), 2 * (3 * 20 * 20) * 16),
    "norm": (nn.BatchNorm2d(8), (1, 8, 10, 12), 0),
}


@pytest.mark.parametrize(("layer", "shape", "multiply_adds"), LAYERS.values(), ids=LAYERS)
def test_flops_of_a_layer(layer, shape, multiply_adds):
    """Two for each multiply-add, groups considered; a bias is not counted."""
    assert roofline.flops(layer, shape) == 2 * multiply_adds


def test_flops_of_the_network():
    """They grow with the batch, and the network stays as and where it is."""
    torch.manual_seed(0)
    network = SOSDNet("esosd", "mobilenetv4_conv_small").eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    single = roofline.flops(network, (1, 3, 64, 96))
    assert single > 0
    assert roofline.flops(network, (4, 3, 64, 96)) == 4 * single
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_flops_in_half_precision():
    """The input takes the network's own dtype, and the count is the same."""
    layer = nn.Conv2d(3, 4, 1)
    assert roofline.flops(layer.bfloat16(), (1, 3, 8, 8)) == 2 * (4 * 8 * 8) * 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_rate_is_flop_over_the_least_time(dtype, monkeypatch):
    """Of the first size that takes long enough: here 1024, by a clock of our own."""
    asked = []

    def seconds(size, dtype, device, runs):
        asked.append((size, dtype, device))
        return size / 1024 * roofline.LONG_ENOUGH

    monkeypatch.setattr(roofline, "_seconds", seconds)
    assert roofline.matmul_rate(dtype, CPU) == 2 * 1024**3 / roofline.LONG_ENOUGH
    assert asked == [(512, dtype, CPU), (1024, dtype, CPU), (1024, dtype, CPU)]


def test_a_machine_that_is_too_fast_gets_the_largest_product(monkeypatch):
    """Memory is not asked for without end."""
    monkeypatch.setattr(roofline, "_seconds", lambda *_, **__: 1e-3)
    rate = roofline.matmul_rate(torch.float32, CPU)
    assert rate == pytest.approx(2 * roofline.LARGEST**3 / 1e-3)


def test_a_product_is_timed(monkeypatch):
    """The real one, small and short."""
    monkeypatch.setattr(roofline, "SMALLEST", 64)
    monkeypatch.setattr(roofline, "LARGEST", 128)
    assert roofline.matmul_rate(torch.bfloat16, CPU) > 0
