"""The torch engine: metric depth for any camera, range limits, sizes and refusals."""

import dataclasses
import math
import weakref

import numpy as np
import pytest
import torch
from support import SMALL

from sosd_ros import weights
from sosd_ros.engine import EngineError, TorchEngine
from sosd_ros.network import SOSDNet

BOTH = ["depth", "semantic"]


def engine(answer=2.0, depth_range=(0.1, 10.0), device="cpu", **changes):
    """An engine whose network answers ``answer`` everywhere, and class 7."""
    manifest = dataclasses.replace(SMALL, **changes)
    torch.manual_seed(0)
    network = SOSDNet(manifest.variant, manifest.backbone, len(manifest.labels.names))
    for layer, value in (
        (network.depth_head.depth, torch.tensor([answer])),
        (network.semantic_head.semantic, torch.eye(40)[7]),
    ):
        torch.nn.init.zeros_(layer.weight)
        layer.bias.data.copy_(value)
    return TorchEngine(weights.Weights(manifest, network.state_dict(), ""), device, depth_range)


def images(count=1, height=64, width=96):
    return np.zeros((count, height, width, 3), np.uint8)


def test_depth_is_corrected_by_each_cameras_focal_length():
    """Learned at 100 px and seen through 100, 50 and 200 px: 2 m, 1 m and 4 m."""
    depth = engine()(images(3), [100.0, 50.0, 200.0], BOTH).depth
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth[:, 0, 0], [2, 1, 4], rtol=1e-6)


def test_the_focal_length_counts_at_the_networks_input():
    """An image of 192x128 is halved for a network of 96x64: 200 px become its 100."""
    depth = engine()(images(1, 128, 192), [200.0], BOTH).depth
    np.testing.assert_allclose(depth, 2.0, rtol=1e-6)


def test_answers_have_the_images_size():
    """Whatever the network's input size is."""
    depth, labels, _ = engine()(images(2, 70, 50), [100.0, 100.0], BOTH)
    assert depth.shape == labels.shape == (2, 70, 50)
    assert labels.dtype == np.uint8 and (labels == 7).all()


def test_only_what_was_asked_for():
    """None for the rest."""
    assert engine()(images(), [1.0], ["depth"]).labels is None
    assert engine()(images(), [1.0], ["semantic"]).depth is None


def test_confidence_is_the_probability_of_the_label():
    """Softmax of one score of 1 among 39 of 0, of 255."""
    confidence = engine()(images(), [100.0], ["confidence"]).confidence
    assert confidence.dtype == np.uint8
    assert (confidence == round(255 * math.e / (math.e + 39))).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 64), (64, 1), (3, 190), (7, 5)])
def test_the_smallest_images_are_answered(size):
    """With the shapes of larger ones; what they show is another matter."""
    answer = engine(depth_range=(0.0, np.inf))(images(1, *size), [100.0], [*BOTH, "confidence"])
    assert {a.shape for a in answer} == {(1, *size)}
    assert np.isfinite(answer.depth).all() and (answer.labels == 7).all()


def test_a_batch_of_unlike_cameras_is_answered_as_each_alone(small_weights, random):
    """Whatever their focal lengths, and whatever the others see."""
    small = TorchEngine(weights.read(small_weights), "cpu", (0.0, np.inf))
    pictures = random.integers(0, 256, (3, 64, 96, 3), dtype=np.uint8)
    focals = [40.0, 100.0, 350.0]
    together = small(pictures, focals, BOTH)
    for index, focal in enumerate(focals):
        alone = small(pictures[index, None], [focal], BOTH)
        np.testing.assert_allclose(together.depth[index], alone.depth[0], rtol=1e-4)
        assert (together.labels[index] == alone.labels[0]).mean() > 0.999


def test_a_closed_engine_holds_no_network(small_weights):
    """Its tensors are gone with it, though somebody still holds the engine."""
    small = TorchEngine(weights.read(small_weights), "cpu", (0.1, 10.0))
    small.warm_up((64, 96))
    tensors = [weakref.ref(parameter) for parameter in small.network.parameters()]
    small.close()
    assert tensors and not any(tensor() is not None for tensor in tensors)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_closed_engine_holds_no_device_memory(small_weights):
    """None of its own in use and none cached; what CUDA's libraries keep is there before."""
    held = []
    for _ in range(2):
        small = TorchEngine(weights.read(small_weights), "cuda", (0.1, 10.0))
        small(images(), [100.0], [*BOTH, "confidence"])
        while_open = torch.cuda.memory_allocated()
        small.close()
        held.append((torch.cuda.memory_allocated(), torch.cuda.memory_reserved()))
    assert held[0] == held[1]
    assert held[1][0] < while_open


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(2.0, 2.0), (9.9, 9.9), (10.1, np.inf), (0.05, np.nan), (-3.0, np.nan), (np.nan, np.nan)],
)
def test_the_range_is_marked_as_rep_117_has_it(answer, expected):
    """Beyond the range +inf; nearer, negative or not a number NaN."""
    depth = engine(answer)(images(), [100.0], BOTH).depth
    np.testing.assert_allclose(depth, expected, rtol=1e-6)


def test_disparity_becomes_metres():
    """Z = f B / disparity: 2000 px * 0.2 m / 100 px = 4 m; no disparity is beyond the range."""
    kind = weights.DepthKind("disparity", focal_length=2000.0, baseline=0.2)
    depth = engine(100.0, depth=kind)(images(), [100.0], BOTH).depth
    np.testing.assert_allclose(depth, 4.0, rtol=1e-6)
    depth = engine(-1.0, depth=kind)(images(), [100.0], BOTH).depth
    assert np.isposinf(depth).all()


def test_a_strided_view_is_read_as_it_lies():
    """Padded rows of a message: the same answer as a copy."""
    padded = np.random.default_rng(0).integers(0, 256, (1, 64, 100, 3), dtype=np.uint8)
    view = padded[:, :, :96]
    small = engine()
    for a, b in zip(small(view, [100.0], BOTH), small(view.copy(), [100.0], BOTH), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_missing_device_is_an_error():
    """Never a silent fall-back; the sentence names the way out."""
    missing = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(EngineError, match=f"'{missing}' was asked for.* or set device: cpu"):
        engine(device=missing)


@pytest.mark.parametrize("device", ["warp", "meta"])
def test_an_unusable_device_is_named(device):
    """With what to use instead."""
    with pytest.raises(EngineError, match=f"device '{device}' .* use 'cuda' or 'cpu'"):
        engine(device=device)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_cuda_answers_as_the_cpu_does(small_weights):
    """Half precision on the GPU: depth within 1 %, and nearly all labels the same."""
    file = weights.read(small_weights)
    picture = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), dtype=np.uint8)
    on_cpu, on_gpu = (
        TorchEngine(file, device, (0.1, 10.0))(picture, [100.0], BOTH) for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(on_gpu.depth, on_cpu.depth, rtol=0.01)
    assert (on_gpu.labels == on_cpu.labels).mean() > 0.98
