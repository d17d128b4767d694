"""What makes a network's doubts right: found on what is known, and folded into a weights file."""

import math
import re

import pytest
import torch
import yaml
from support import run_module
from torch.distributions import Laplace

from sosd_ros import weights
from sosd_ros.network import SOSDNet
from training.measuring.doubts import by_other_half, spread_factor, temperature

COMPACT = "mobilenetv4_conv_small"


def test_the_temperature_of_scores_that_are_too_sure_is_found():
    """Labels drawn from the softmax of scores, which are then multiplied by 1.7."""
    torch.manual_seed(0)
    scores = 2 * torch.randn(20_000, 10)
    labels = torch.multinomial(scores.softmax(1), 1)[:, 0]
    assert temperature(1.7 * scores, labels) == pytest.approx(1.7, rel=0.03)


def test_the_factor_of_a_spread_that_is_too_small_is_found():
    """Errors of a Laplace distribution about a spread that differs from place to place."""
    torch.manual_seed(0)
    spread = torch.rand(50_000) + 0.1
    errors = Laplace(0, spread).sample().abs()
    assert spread_factor(errors, spread / 2.5) == pytest.approx(2.5, rel=0.02)


def test_what_fits_one_half_is_used_on_the_other():
    """Of five pixels the first three are one half; errors are twice and three times the spread."""
    spread = torch.ones(5)
    factors = by_other_half(spread_factor, torch.tensor([2.0, 2, 2, 3, 3]), spread)
    assert factors.tolist() == [3, 3, 3, 2, 2]


@pytest.mark.parametrize("variant", ["mtl", "sosd", "semantic", "depth"])
@pytest.mark.parametrize("taps", [(8, 32), (4, 8, 16, 32)])
def test_only_doubts_change(variant, taps):
    """Scores are divided, the spread is multiplied; depth and labels are what they were."""
    torch.manual_seed(0)
    spread = variant != "semantic"
    net = SOSDNet(variant, COMPACT, taps=taps, depth_form="log", spread=spread).eval()
    images = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        before = net(images)
        net.calibrate(temperature=1.5, spread_factor=2.0)
        after = net(images)
    if "depth" in net.tasks:
        torch.testing.assert_close(after.depth, before.depth, rtol=0, atol=0)
        torch.testing.assert_close(after.spread, 2 * before.spread)
    if "semantic" in net.tasks:
        torch.testing.assert_close(after.logits, before.logits / 1.5)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, nyuv2_root):
    """Of a training of moments, with all that goes beyond the paper."""
    folder = tmp_path_factory.mktemp("sharp")
    settings = {
        "data": {"name": "nyuv2", "size": [32, 64], "workers": 0},
        "network": {
            "backbone": COMPACT,
            "variant": "sosd",
            "pretrained": False,
            "taps": [4, 8, 16, 32],
            "padding": "replicate",
            "depth_form": "log",
            "spread": True,
            "dropout": 0.1,
        },
        "loss": {"scale_invariant": 1, "gradient": 0.5},
        "strategy": "joint",
        "epochs": 1,
        "batch_size": 2,
    }
    (folder / "sharp.yaml").write_text(yaml.safe_dump(settings))
    arguments = ("--data", nyuv2_root, "--device", "cpu", "--out", folder)
    done = run_module("training.train", folder / "sharp.yaml", *arguments)
    assert done.returncode == 0, done.stderr
    return folder / "last.pt"


def test_log_depth_begins_at_the_median_of_the_data(checkpoint):
    """Which two steps at this rate have hardly moved; the truth is a ramp of 1 to 5 m."""
    state = torch.load(checkpoint, weights_only=True)["network"]
    depth, spread = state["depth_head.depth.bias"].tolist()
    assert math.exp(depth) == pytest.approx(3.0, rel=0.01)
    assert math.exp(spread) == pytest.approx(0.2, rel=0.01)


def test_what_is_found_goes_into_the_file_by_the_line_that_is_printed(
    checkpoint, nyuv2_root, tmp_path
):
    """Its manifest says so; found again on the file, both are 1."""
    data = ("--data", nyuv2_root, "--device", "cpu")
    found = run_module("training.calibrate", checkpoint, *data, "--split", "val")
    assert found.returncode == 0, found.stderr
    assert "data      NYU Depth v2 val, 2 images at 60x80" in found.stdout
    assert found.stdout.count("if each half has what fits the other") == 2
    line = found.stdout.splitlines()[-1]
    options = re.fullmatch(
        r"python -m training.export CHECKPOINT (--temperature (\S+) --spread-factor (\S+)) "
        r"--out FILE.safetensors",
        line,
    )
    assert options, line
    out = tmp_path / "sharp.safetensors"
    arguments = (*options[1].split(), *data, "--out", out)
    assert run_module("training.export", checkpoint, *arguments).returncode == 0
    manifest = weights.read(out).manifest
    assert manifest.temperature == float(options[2]) and manifest.spread_factor == float(options[3])
    held = manifest.metrics["coverage"]
    assert held == sorted(held) and len(held) == 3 and "AUSE_rel" in manifest.metrics
    again = run_module("training.calibrate", out, *data, "--split", "val").stdout
    for name in ("temperature", "spread factor"):
        assert float(re.search(rf"{name} (\S+):", again)[1]) == pytest.approx(1, abs=0.01)


def test_the_test_set_is_not_fitted_to_unasked(checkpoint, nyuv2_root):
    """A training on all scenes has left nothing else untouched."""
    refused = run_module("training.calibrate", checkpoint, "--data", nyuv2_root, "--device", "cpu")
    assert refused.returncode == 1
    assert "was trained on all scenes of train, and val is not to be fitted to" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--temperature", "0"), "is '0', expected a number above 0"),
        (("--temperature", "2"), "expected a name that ends in .safetensors"),
    ],
)
def test_what_no_file_can_have_is_refused(checkpoint, tmp_path, arguments, sentence):
    """In a sentence, and nothing is written."""
    out = tmp_path / "x.onnx"
    refused = run_module("training.export", checkpoint, *arguments, "--out", out)
    assert refused.returncode != 0 and sentence in refused.stderr
    assert not out.exists()
