"""Units to compare the paper's with."""

import pytest
import torch
import yaml
from support import run_module

from training.config import Network
from training.networks.imagenet import create_network

COMPACT = "mobilenetv4_conv_small"
OTHER = {"depth": "semantic", "semantic": "depth"}


def create(units, **settings):
    settings = {"variant": "sosd", "backbone": COMPACT, "units": units} | settings
    return create_network(Network(**settings), 40, imagenet=False)


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


def test_a_robot_does_not_get_it(nyuv2_root, tmp_path):
    """It is measured as a checkpoint, and its export is refused with the reason."""
    settings = {
        "data": {"size": [32, 64], "workers": 0},
        "network": {"backbone": COMPACT, "variant": "sosd", "imagenet": False},
        "strategy": "joint",
        "epochs": 1,
        "batch_size": 2,
    }
    settings["network"]["units"] = "logarithmic"
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(settings))
    options = ("--data", nyuv2_root, "--device", "cpu")
    trained = run_module("training.train", tmp_path / "c.yaml", "--out", tmp_path, *options)
    assert trained.returncode == 0, trained.stderr
    assert run_module("training.evaluate", tmp_path / "last.pt", *options).returncode == 0
    out = tmp_path / "w.safetensors"
    refused = run_module("training.export", tmp_path / "last.pt", "--out", out, *options)
    assert refused.returncode == 1 and "network.units=logarithmic" in refused.stderr
    assert not out.exists()
