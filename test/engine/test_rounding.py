"""Depthwise filters in bfloat16: their sums stay, and nothing but they is touched."""

import numpy as np
import pytest
import torch

from sosd_ros import weights
from sosd_ros.engine.exchange import Exported, write_onnx
from sosd_ros.engine.inference import inference_network
from sosd_ros.engine.rounding import keep_sums
from sosd_ros.network import prepare
from sosd_ros.share import DEFAULT_WEIGHTS, sample_frames, share

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
    write_onnx(file, (64, 96), path, depthwise=torch.bfloat16)
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


def test_the_shipped_networks_depth_moves_a_tenth_as_far_at_most():
    """As its depthwise filters are rounded, with batch norms folded in, and nothing else."""
    file = weights.read(share("weights", DEFAULT_WEIGHTS))
    picture = torch.from_numpy(sample_frames()[0])
    images = prepare(picture[None], (288, 384), file.manifest.mean, file.manifest.std)

    def depth(network):
        return network(images, ["depth"], network.answer_size(images)).depth

    network, kept = inference_network(file), inference_network(file, depthwise=torch.bfloat16)
    with torch.inference_mode():
        exact = depth(network)
        for convolution in network.modules():
            if isinstance(convolution, torch.nn.Conv2d) and convolution.groups > 1:
                convolution.weight.data = convolution.weight.bfloat16().float()
        errors = [(depth(rounded) / exact - 1).abs().median() for rounded in (kept, network)]
    assert errors[0] < errors[1] / 10
    assert errors[1] > 0.003


def test_a_network_in_float16_is_one_type_from_operation_to_operation(file, tmp_path):
    """As TensorRT takes it; ONNX's own checker finds no two types in one, and the answers agree."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    path = tmp_path / "64x96.onnx"
    write_onnx(file, (64, 96), path, dtype=torch.float16)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    filters = [kinds[node.input[1]] for node in model.graph.node if node.op_type == "Conv"]
    in_half = filters.count(onnx.TensorProto.FLOAT16)
    assert in_half == len(filters) - 1  # but for the one that ends in metres

    images = torch.rand(2, 3, 64, 96)
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    ours = session.run(None, {"images": images.numpy()})
    with torch.inference_mode():
        theirs = Exported(file).eval()(images)
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other.numpy(), rtol=0.02, atol=0.02)
