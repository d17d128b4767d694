"""Depthwise convolutions that are exempt from autocast on a CPU."""

import pytest
import torch
from torch import nn

from training.learning.depthwise import DepthwiseInFloat32


@pytest.mark.parametrize(
    ("convolution", "is_exempt"),
    [
        (nn.Conv2d(16, 16, 5, padding=2, groups=16, bias=False), True),
        (nn.Conv2d(16, 16, 3, stride=2, padding=1, groups=16), True),
        (nn.Conv2d(16, 16, 3, padding=1, groups=16), False),
        (nn.Conv2d(16, 16, 5, padding=2), False),
    ],
)
def test_large_or_strided_depthwise_convolutions_run_in_float32(convolution, is_exempt):
    """What comes out is bfloat16 all the same, and rounded once."""
    torch.manual_seed(0)
    features = torch.randn(2, 16, 9, 9).bfloat16()
    exact = convolution(features.float())
    with torch.autocast("cpu", torch.bfloat16):
        before = convolution(features)
        with DepthwiseInFloat32():
            inside = convolution(features)
        after = convolution(features)
    assert inside.dtype == torch.bfloat16
    assert torch.equal(before, after)
    # Only where the weights are not rounded beforehand.
    assert torch.equal(inside, exact.bfloat16()) == is_exempt
    assert torch.equal(inside, before) != is_exempt


def test_gradients_reach_weights_and_features():
    """In their own types."""
    convolution = nn.Conv2d(8, 8, 5, padding=2, groups=8)
    features = torch.randn(1, 8, 6, 6).bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16), DepthwiseInFloat32():
        convolution(features).float().sum().backward()
    assert features.grad.dtype == torch.bfloat16 and features.grad.abs().sum() > 0
    assert convolution.weight.grad.dtype == torch.float32
    assert convolution.weight.grad.abs().sum() > 0
