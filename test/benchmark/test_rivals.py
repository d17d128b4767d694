"""The rivals answer as the node does, and cost what their kind is known to cost."""

import sys

import numpy as np
import pytest
import torch

from sosd_ros.benchmark.rivals import (
    CLASSES,
    MissingLibraryError,
    Rival,
    depth_input_size,
    rivals,
    separate_networks,
    two_headed_deeplab,
)

BY_NAME = {entry.name: entry for entry in rivals()}


def build(maker, *arguments, **options):
    """A rival with the same weights each time; its test is skipped where a library is missing."""
    torch.manual_seed(0)
    try:
        return maker(*arguments, **options)
    except MissingLibraryError as error:
        pytest.skip(str(error))


def picture(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("name", BY_NAME)
def test_image_to_answer(name):
    """Depth and labels have the image's size, also one that no network's stride divides."""
    rival = build(BY_NAME[name].build)
    depth, labels = rival(picture(90, 130))
    assert depth.shape == labels.shape == (90, 130)
    assert depth.dtype == np.float32
    assert labels.dtype == np.uint8
    assert np.isfinite(depth).all()
    assert labels.max() < CLASSES


def test_bfloat16_by_autocast():
    """The answers keep their types, and are those of float32 to within that precision."""
    image = picture(64, 96)
    full = build(two_headed_deeplab, "mobilenet_v2")
    lowered = build(two_headed_deeplab, "mobilenet_v2", dtype=torch.bfloat16)
    (expected, _), (depth, labels) = full(image), lowered(image)
    assert depth.dtype == np.float32
    assert labels.dtype == np.uint8
    assert not np.array_equal(depth, expected)
    assert np.abs(depth - expected).max() < 0.05 * np.abs(expected).max()


@pytest.mark.parametrize("dtype", [torch.float16, torch.int8])
def test_other_types_are_refused(dtype):
    with pytest.raises(ValueError, match=rf"{dtype} is not supported; use one of .*bfloat16"):
        Rival(torch.nn.Identity(), dtype=dtype)


def test_the_pair_has_the_size_of_its_kind():
    """3.7 M parameters of SegFormer-B0 and 24.8 M of Depth Anything small, as published."""
    network = build(separate_networks).network
    millions = [
        sum(parameter.numel() for parameter in part.parameters()) / 1e6
        for part in (network.segmentation, network.depth)
    ]
    assert millions == pytest.approx([3.7, 24.8], abs=0.1)


@pytest.mark.parametrize("name", BY_NAME)
def test_costs(name):
    """Parameters and FLOP are counts, and counting needs no arithmetic."""
    rival = build(BY_NAME[name].build)
    assert rival.parameters() > 1e6
    assert rival.flops((480, 640)) > 1e9


def test_the_deeplab_costs_by_the_image():
    """It sees the image at its own size: twice the rows, twice the work, but for the pooling."""
    rival = build(two_headed_deeplab, "mobilenet_v2")
    assert rival.flops((512, 256)) / rival.flops((256, 256)) == pytest.approx(2, rel=0.001)


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


@pytest.mark.parametrize("name", BY_NAME)
def test_a_missing_library_is_told_with_the_command_that_installs_it(name, monkeypatch):
    """Building fails in a sentence; listing the rivals needs no library."""
    module = "transformers" if "SegFormer" in name else "segmentation_models_pytorch"
    package = module.replace("_", "-")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingLibraryError, match=rf"{module}.*: pip install {package}$"):
        BY_NAME[name].build()
