"""The throughput of the input: its figures by hand, and the command as a user runs it."""

import json

import numpy as np
import pytest
import yaml

from training import throughput
from training.data import cityscapes, nyuv2
from training.data.generated import Generated
from training.learning import rates
from training.learning.rates import AUGMENTATION, DECODING, NETWORK, Rate, Stage


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "small.yaml"
    content = {
        "data": {"name": "nyuv2", "size": [32, 64], "workers": 0},
        "network": {"backbone": "mobilenetv4_conv_small", "imagenet": False},
        "batch_size": 2,
    }
    path.write_text(yaml.safe_dump(content))
    return path


def run(*arguments):
    throughput.run(throughput._parser().parse_args([str(a) for a in arguments]))


def constant(value):
    return Rate(value, value, value)


def test_rates_by_hand(monkeypatch):
    """6 images in 1, 2, 3 and 6 s; the warm-up, which is slow, does not count."""
    clock = iter(np.cumsum([0, 100, 0, 1, 0, 2, 0, 3, 0, 6]))
    monkeypatch.setattr(rates.time, "perf_counter", lambda: next(clock))
    ran = []
    found = rates.measure([Stage("a", 6, lambda: ran.append(1))], repetitions=4)
    assert len(ran) == 5
    assert found["a"] == pytest.approx(Rate(*np.percentile([6, 3, 2, 1], (10, 50, 90))))


def test_stages_take_turns():
    """What else the machine does meanwhile slows all of them."""
    ran = []
    stages = [Stage(name, 1, lambda name=name: ran.append(name)) for name in "ab"]
    rates.measure(stages, repetitions=2)
    assert "".join(ran) == "ababab"


def test_ratios_and_words_by_hand():
    """The loader that is compared is the configured one; a slow one is called the bottleneck."""
    found = {
        AUGMENTATION: constant(500.0),
        "loader, 1 worker": constant(30.0),
        "loader, 2 workers": constant(60.0),
        NETWORK: constant(40.0),
    }
    fast, slow = (rates.loader_to_network(found, workers) for workers in (2, 1))
    assert (fast, slow) == (1.5, 0.75)
    assert "bottleneck" in rates.verdict(slow, 1)
    assert "bottleneck" not in rates.verdict(fast, 2)
    row = rates.table(found).splitlines()[1]
    assert row.split() == ["augmentation", *["500.0"] * 3, "2.00", "12.5"]


def test_the_command_measures_the_real_samples(config, nyuv2_root, tmp_path, capsys):
    """Every stage and the ratio, in the table and as JSON."""
    figures = tmp_path / "figures.json"
    run(config, "--data", nyuv2_root, "--repetitions", 1, "--device", "cpu", "--json", figures)
    printed, written = capsys.readouterr().out, json.loads(figures.read_text())
    names = [DECODING, AUGMENTATION, "both"]
    names += ["loader, 0 workers", "loader, 1 worker", "loader, 2 workers", NETWORK]
    assert list(written["images_per_s"]) == names
    assert all(f"\n{name} " in printed for name in names)
    assert written["images_per_s"][DECODING]["median"] > 0
    assert written["loader_to_network"] > 0
    assert written["sample_size"] == "60x80" and f"NYU Depth v2 in {nyuv2_root}" in printed


def test_without_data_frames_are_generated(config, tmp_path, monkeypatch, capsys):
    """And the output says so; without the network, nothing is compared with it."""
    monkeypatch.setenv("SOSD_NYUV2", str(tmp_path / "nowhere"))
    run(config, "--repetitions", 1, "--batches", 1, "--no-network")
    printed = capsys.readouterr().out
    assert "generated frames: there is no folder" in printed and "480x640" in printed
    assert NETWORK not in printed and "times what the network" not in printed


def test_a_data_set_that_was_named_must_be_there(config, tmp_path):
    """Frames are not generated in its place."""
    with pytest.raises(ValueError, match=r"train\.txt .*point --data"):
        run(config, "--data", tmp_path / "nowhere", "--no-network")


def test_too_few_samples_are_named(config, nyuv2_root):
    """Four, where a mini-batch has eight."""
    with pytest.raises(ValueError, match="4 samples are fewer than batch_size 8; lower it with"):
        run(config, "--data", nyuv2_root, "--set", "batch_size=8", "--no-network")


@pytest.mark.parametrize("data", [nyuv2.data_set(), cityscapes.data_set((32, 64))])
def test_generated_frames_are_valid_samples(data):
    """Truth in range, with a hole in depth and labels; the same for the same index."""
    samples = Generated(data, (32, 64), 10)
    assert len(samples) == len(samples.names) == 10
    image, depth, labels = samples[9]
    assert image.shape == (32, 64, 3) and depth.shape == labels.shape == (32, 64)
    assert (image.dtype, depth.dtype, labels.dtype) == (np.uint8, np.float32, np.uint8)
    assert np.isnan(depth[0, 0]) and np.nanmin(depth) > 0.9 and np.nanmax(depth) < 9.1
    assert set(np.unique(labels)) <= {*range(len(data.labels.names)), 255}
    np.testing.assert_array_equal(image, samples[9].image)
