"""The rivals answer as the node does, and cost what their kind is known to cost."""

import sys

import numpy as np
import pytest
import torch

from sosd_ros.benchmark.rivals import CLASSES, RIVALS, by_openvino, depth_input_size, eager
from sosd_ros.benchmark.roofline import flops

PAIR, DEEPLAB, _ = RIVALS


def build(name):
    """A rival with the same weights each time; its test is skipped where a library is missing."""
    torch.manual_seed(0)
    try:
        return RIVALS[name]().eval()
    except ImportError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", RIVALS)
def test_image_to_answer(name, random):
    """Depth and labels have the image's size, also one that no network's stride divides."""
    image = torch.from_numpy(random.integers(0, 256, (1, 90, 130, 3), np.uint8))
    with torch.inference_mode():
        depth, labels = build(name)(image)
    assert depth.shape == labels.shape == (1, 90, 130)
    assert (depth.dtype, labels.dtype) == (torch.float32, torch.uint8)
    assert depth.isfinite().all()
    assert labels.max() < CLASSES


def test_openvino_answers_as_eager_torch_does(random):
    """Or its time would be that of something else. All of it is compiled, from bytes to labels."""
    pytest.importorskip("openvino")
    network = build(DEEPLAB)
    images = torch.from_numpy(random.integers(0, 256, (1, 64, 96, 3), np.uint8))
    expected = eager(network, images)
    depth, labels = by_openvino(network, images, "fp32")(images)
    assert depth == pytest.approx(expected[0], abs=1e-4)
    assert labels.dtype == np.uint8
    assert np.mean(labels == expected[1]) > 0.999


def test_the_pair_has_the_size_of_its_kind():
    """3.7 M parameters of SegFormer-B0 and 24.8 M of Depth Anything small, as published."""
    network = build(PAIR)
    millions = [
        sum(parameter.numel() for parameter in part.parameters()) / 1e6
        for part in (network.segmentation, network.depth)
    ]
    assert millions == pytest.approx([3.7, 24.8], abs=0.1)


def test_the_deeplab_costs_by_the_image():
    """It sees the image at its own size: twice the rows, twice the work, but for the pooling."""
    network = build(DEEPLAB)
    ratio = flops(network, (1, 512, 256, 3)) / flops(network, (1, 256, 256, 3))
    assert ratio == pytest.approx(2, rel=0.001)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((480, 640), (518, 686)),  # 690.7 is nearer to 49 patches than to 50
        ((640, 480), (686, 518)),
        ((518, 518), (518, 518)),
        ((512, 1024), (518, 1036)),
    ],
)
def test_the_input_size_of_depth_anything(size, expected):
    assert depth_input_size(size) == expected


@pytest.mark.parametrize(
    ("name", "module"), [(PAIR, "transformers"), (DEEPLAB, "segmentation_models_pytorch")]
)
def test_a_missing_library_is_told_with_the_command_that_installs_it(name, module, monkeypatch):
    """Building fails in a sentence; listing the rivals needs no library."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=f"{module}.*: pip install {module.replace('_', '-')}$"):
        RIVALS[name]()
