"""Depthwise filters in bfloat16: their sums stay, and nothing but they is touched."""

import numpy as np
import pytest
import torch

from sosd_ros.engine.exchange import write_onnx
from sosd_ros.engine.rounding import keep_sums, round_depthwise

ULP = 2.0**-7  # of a bfloat16, relative, at most


@pytest.fixture
def filters():
    seed = 20261125
    print("seed", seed)
    return torch.randn(500, 1, 5, 5, generator=torch.Generator().manual_seed(seed))


def sums(filters):
    return filters.double().flatten(1).sum(dim=1)


def test_sums_stay(filters):
    """A hundred times nearer than each weight rounded to the nearest leaves them."""
    rounded = keep_sums(filters)
    nearest = filters.bfloat16().float()
    error, plain = ((sums(some) - sums(filters)).abs().median() for some in (rounded, nearest))
    assert error < plain / 100


def test_weights_are_numbers_of_bfloat16_and_near_what_they_were(filters):
    """Off by a step or so of the largest before them, which they make up for."""
    rounded = keep_sums(filters)
    assert torch.equal(rounded.bfloat16().float(), rounded)
    largest = filters.abs().flatten(1).max(dim=1).values.view(-1, 1, 1, 1)
    assert ((rounded - filters).abs() <= ULP * largest).all()
    assert torch.equal(keep_sums(rounded), rounded)


def test_the_argument_stays_as_it_is(filters):
    before = filters.clone()
    keep_sums(filters)
    assert torch.equal(filters, before)


def test_depthwise_filters_of_a_file_are_rounded_and_no_other_number(file, tmp_path):
    """Batch norms are part of them by then."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    path = tmp_path / "64x96.onnx"
    write_onnx(file, (64, 96), path)
    before = onnx.load(path)
    round_depthwise(path)
    after = onnx.load(path)
    assert not [node for node in before.graph.node if node.op_type == "BatchNormalization"]

    depthwise = {
        node.input[1]
        for node in before.graph.node
        if node.op_type == "Conv" and any(a.name == "group" and a.i > 1 for a in node.attribute)
    }
    assert len(depthwise) > 5
    array = onnx.numpy_helper.to_array
    for old, new in zip(before.graph.initializer, after.graph.initializer, strict=True):
        if new.name in depthwise:
            expected = keep_sums(torch.tensor(array(old))).numpy()
            assert not np.array_equal(array(new), array(old))
        else:
            expected = array(old)
        np.testing.assert_array_equal(array(new), expected)
