"""Units to compare the paper's with."""

import numpy as np
import pytest
import torch
import yaml
from support import run_module

from sosd_ros.labels import UNLABELLED
from training.config import Network
from training.networks.imagenet import create_network
from training.networks.oracle import objectness, tell

COMPACT = "mobilenetv4_conv_small"
OTHER = {"depth": "semantic", "semantic": "depth"}


def create(units, **settings):
    settings = {"variant": "sosd", "backbone": COMPACT, "units": units} | settings
    return create_network(Network(**settings), 40, pretrained=False)


def images():
    return torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("task", OTHER)
@pytest.mark.parametrize("units", ["paper", "detached"])
def test_a_detached_unit_answers_the_same_and_leaves_the_other_path_alone(task, units):
    """The paper's sends its gradient there."""
    network, paper = create(units), create("paper")
    network.load_state_dict(paper.state_dict())
    field = {"depth": "depth", "semantic": "logits"}[task]
    answer = getattr(network(images()), field)
    assert torch.equal(answer, getattr(paper(images()), field))
    answer.sum().backward()
    path = [p.grad for p in getattr(network, f"{OTHER[task]}_feature").parameters()]
    assert all(grad is None for grad in path) == (units == "detached")


def test_a_logarithmic_cue_is_cut_off_nowhere():
    """It takes negative values, and both areas have a gradient at every position."""
    network = create("logarithmic").train()
    cues = []
    network.depth_head.depth.register_forward_pre_hook(lambda _, maps: cues.append(maps[0][:, 0]))
    areas = []

    def keep(_module, _maps, area):
        area.retain_grad()
        areas.append(area)

    for area in (network.depth_head.area_3d, network.depth_head.area_2d):
        area.register_forward_hook(keep)
    network(images()).depth.square().sum().backward()
    assert cues[0].min() < 0 < cues[0].max()
    assert all((area.grad != 0).all() for area in areas) and len(areas) == 2


def test_objectness_is_class_area_and_whether_it_is_cut():
    """A square of class 2 inside, a strip of class 0 at the frame, and the rest unlabelled."""
    labels = np.full((12, 16), UNLABELLED, np.uint8)
    labels[4:8, 4:8] = 2
    labels[:, 14:] = 0
    told = objectness(labels, 3, (12, 16))
    assert told.shape == (5, 12, 16)
    np.testing.assert_array_equal(told[0], labels == 0)
    np.testing.assert_array_equal(told[2], labels == 2)
    assert np.unique(told[3]) == pytest.approx([*np.log([16 / 192, 24 / 192]), 0])
    assert told[3][5, 5] == pytest.approx(np.log(16 / 192))
    np.testing.assert_array_equal(told[4], labels == 0)
    large = labels.repeat(7, 0).repeat(7, 1)
    np.testing.assert_allclose(objectness(large, 3, (12, 16)), told, rtol=1e-6)


def test_what_is_told_changes_depth_alone():
    """Two truths, one image: scores are the same, depth is not."""
    network = create("told").eval()
    labels = torch.zeros(2, 64, 96, dtype=torch.uint8)
    seen = []
    for truth in (labels, labels + 5):
        tell(network, truth)
        seen.append(network(images()))
    assert torch.equal(seen[0].logits, seen[1].logits)
    assert not torch.equal(seen[0].depth, seen[1].depth)
    with pytest.raises(ValueError, match=r"sees 2 images and was told the labels of 0"):
        network(images())


@pytest.mark.parametrize("units", ["logarithmic", "told"])
def test_a_robot_does_not_get_it(units, nyuv2_root, tmp_path):
    """It is measured as a checkpoint, and its export is refused with the reason."""
    settings = {
        "data": {"size": [32, 64], "workers": 0},
        "network": {"backbone": COMPACT, "variant": "sosd", "pretrained": False},
        "strategy": "joint",
        "epochs": 1,
        "batch_size": 2,
    }
    settings["network"]["units"] = units
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(settings))
    options = ("--data", nyuv2_root, "--device", "cpu")
    trained = run_module("training.train", tmp_path / "c.yaml", "--out", tmp_path, *options)
    assert trained.returncode == 0, trained.stderr
    assert run_module("training.evaluate", tmp_path / "last.pt", *options).returncode == 0
    out = tmp_path / "w.safetensors"
    refused = run_module("training.export", tmp_path / "last.pt", "--out", out, *options)
    assert refused.returncode == 1 and f"network.units={units}" in refused.stderr
    assert not out.exists()
