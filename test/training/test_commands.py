"""The commands as a user runs them: train, resume, export, evaluate, in processes of their own."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from support import run_module
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_training import write_config

from sosd_ros import weights
from training.networks import checkpoint

CONFIG = "config/training/nyuv2_sosd_lite2_stage1.yaml"


def command(module, *arguments):
    return run_module(f"training.{module}", *arguments)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    settings = {"strategy": "em", "epochs": 2, "batch_size": 2, "evaluate_every": 2}
    return write_config(tmp_path_factory.mktemp("config"), **settings)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, config, nyuv2_root):
    out = tmp_path_factory.mktemp("runs") / "whole"
    done = command("train", config, "--data", nyuv2_root, "--out", out, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    return out


def test_training_leaves_what_it_takes_to_understand_it(trained):
    """The configuration; of each epoch speed and waiting for data, of the last one metrics."""
    assert yaml.safe_load((trained / "config.yaml").read_text())["optimiser"]["schedule"]
    rows = list(csv.DictReader((trained / "log.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert rows[0]["mIoU"] == "" and 0 <= float(rows[1]["mIoU"]) <= 1
    assert float(rows[1]["rel"]) > 0
    for row in rows:
        assert float(row["images_per_s"]) > 0 and 0 <= float(row["waiting"]) <= 1


def test_tensorboard_shows_losses_metrics_and_pictures(trained):
    """Every mini-batch's losses and learning rate, every epoch's numbers, a grid of answers."""
    events = EventAccumulator(str(trained / "tensorboard"), {"images": 0})
    events.Reload()
    scalars = events.Tags()["scalars"]
    assert {"loss/depth", "loss/semantic", "learning_rate", "epoch/mIoU", "epoch/rel"} <= {*scalars}
    assert [event.step for event in events.Scalars("learning_rate")] == [1, 2, 3, 4]
    (grid,) = events.Images("validation")
    # Two frames, each as image, depth, its truth, labels, their truth.
    assert (grid.height, grid.width) == (2 * 32, 5 * 64)


def test_the_best_and_the_last_checkpoints_are_kept(config, nyuv2_root, tmp_path):
    """The last two epochs', and that of the epoch with the best value of the metric."""
    done = command(
        *("train", config, "--data", nyuv2_root, "--out", tmp_path, "--device", "cpu"),
        *("--set", "epochs=3", "--set", "evaluate_every=1", "--set", "keep=2"),
        *("--set", "best=rel"),
    )
    assert done.returncode == 0, done.stderr
    names = {path.name for path in tmp_path.glob("*.pt*")}
    assert names == {"last.pt", "best.pt", "epoch_0002.pt", "epoch_0003.pt"}
    rel = {int(row["epoch"]): float(row["rel"]) for row in csv.DictReader(log(tmp_path))}
    assert checkpoint.load(tmp_path / "best.pt")["epoch"] == min(rel, key=rel.get)


def log(out):
    return (out / "log.csv").open()


def assert_same_parameters(one, other):
    one, other = (checkpoint.load(path / "last.pt") for path in (one, other))
    assert one["epoch"] == other["epoch"]
    for name, tensor in one["network"].items():
        assert torch.equal(tensor, other["network"][name]), name


def test_resuming_is_as_if_nothing_had_stopped(trained, config, nyuv2_root, tmp_path):
    """Two epochs in one go and one after the other give the same parameters, bit for bit."""
    common = ("--data", nyuv2_root, "--out", tmp_path, "--device", "cpu")
    first = command("train", config, *common, "--set", "epochs=1")
    again = command("train", config, *common, "--resume")
    assert first.returncode == again.returncode == 0, first.stderr + again.stderr
    assert_same_parameters(trained, tmp_path)


def test_a_signal_saves_the_run_wherever_it_is(config, nyuv2_root, tmp_path):
    """It goes to the group, as Ctrl-C does, and to workers, as ``pkill -f training.train`` does.

    Going on after both signals ends where none would have ended.
    """
    settings = (
        *("--set", "data.workers=1", "--set", "ema=0.9"),
        *("--data", nyuv2_root, "--device", "cpu"),
    )
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    endless = ("--set", "epochs=100000", "--out", parts)
    epochs = 0
    for number, more in ((signal.SIGINT, ()), (signal.SIGTERM, ("--resume",))):
        start = [sys.executable, "-m", "training.train", config, *settings, *endless, *more]
        process = subprocess.Popen(
            list(map(str, start)), stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        while not (parts / "log.csv").exists() or epochs_in(parts) <= epochs:
            assert process.poll() is None
            time.sleep(0.01)
        workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert workers
        for worker in workers:
            os.kill(int(worker), number)
        os.killpg(process.pid, number)
        said, _ = process.communicate(timeout=90)
        assert process.returncode == 128 + number
        assert f"stopped by {number.name}; everything is in {parts / 'last.pt'}" in said
        epochs = checkpoint.load(parts / "last.pt")["epoch"]

    settings = (*settings, "--set", f"epochs={epochs + 2}")
    assert command("train", config, *settings, "--out", parts, "--resume").returncode == 0
    assert command("train", config, *settings, "--out", whole).returncode == 0
    assert_same_parameters(whole, parts)
    assert [int(row["epoch"]) for row in csv.DictReader(log(parts))] == [*range(1, epochs + 3)]


def epochs_in(out):
    """How many lines the log has."""
    with log(out) as lines:
        return len(list(csv.DictReader(lines)))


def test_a_training_starts_from_another_one(trained, config, nyuv2_root, tmp_path):
    """With steps too small to be seen it ends with the other's parameters."""
    out = tmp_path / "second"
    done = command(
        *("train", config, "--data", nyuv2_root, "--out", out, "--device", "cpu"),
        *("--set", f"network.start={trained / 'last.pt'}"),
        *("--set", "optimiser.learning_rate=1e-12", "--set", "seed=7"),
    )
    assert done.returncode == 0, done.stderr
    first, second = (checkpoint.load(run / "last.pt")["network"] for run in (trained, out))
    weight = "common.conv.conv.weight"
    assert torch.allclose(first[weight], second[weight], rtol=0, atol=1e-9)


def test_export_writes_measured_numbers_that_evaluate_confirms(trained, nyuv2_root, tmp_path):
    """The manifest's metrics are those that the evaluation of the file prints."""
    file = tmp_path / "w.safetensors"
    exported = command("export", trained / "last.pt", "--out", file, "--data", nyuv2_root)
    assert exported.returncode == 0, exported.stderr
    manifest = weights.read(file).manifest
    assert manifest.input_size == (32, 64)
    assert manifest.training["epochs"] == 2

    report = tmp_path / "report.json"
    evaluated = command("evaluate", file, "--data", nyuv2_root, "--json", report, "--by-class")
    assert evaluated.returncode == 0, evaluated.stderr
    assert "paper's esosd" in evaluated.stdout and "night stand" in evaluated.stdout
    measured = json.loads(report.read_text())
    assert manifest.metrics["mIoU"] == round(measured["semantic"]["mIoU"], 4)
    assert manifest.metrics["rel"] == round(measured["depth"]["rel"], 4)
    for name, (measure, metric) in {
        "ECE": ("calibration", "ECE"),
        "mIoU": ("semantic", "mIoU"),
    }.items():
        ends = measured["intervals"][measure][metric]
        assert manifest.metrics["intervals"][name] == [round(end, 4) for end in ends]
    assert manifest.metrics["trimap_mIoU"] == round(measured["trimap"]["mIoU"], 4)
    assert len(manifest.metrics["edges_F1"]) == len(manifest.metrics["intervals"]["edges_F1"]) == 3
    assert "coverage" not in manifest.metrics  # of a network that does not say how unsure it is
    assert len(json.dumps(manifest.metrics, allow_nan=False)) < 1500
    assert manifest.metrics["first"]["images"] == 2  # all that there are
    assert manifest.metrics["first"]["rel"] == manifest.metrics["rel"]


@pytest.mark.parametrize("module", ["train", "evaluate", "export", "quantise", "report", "prepare"])
def test_help_says_what_a_command_does(module):
    """Usage, purpose and every option."""
    done = command(module, "--help")
    assert done.returncode == 0
    assert f"usage: python -m training.{module} " in done.stdout


def test_a_run_is_not_overwritten(trained, config, nyuv2_root):
    """Training into the folder of another run is refused."""
    done = command("train", config, "--data", nyuv2_root, "--out", trained)
    assert done.returncode == 1
    assert "last.pt exists; go on with --resume, or choose another --out" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("module", "arguments", "sentence"),
    [
        ("train", [CONFIG, "--out", "x", "--resume"], "there is no x/last.pt to go on from"),
        ("train", ["nowhere.yaml", "--out", "x"], "cannot read configuration nowhere.yaml"),
        ("evaluate", ["nowhere.safetensors"], "nowhere.safetensors does not exist"),
        ("export", ["nowhere.pt", "--out", "x.safetensors"], "nowhere.pt does not exist"),
        ("report", ["nowhere.pt", "--out", "x"], "nowhere.pt does not exist"),
    ],
)
def test_what_is_missing_is_named_without_a_traceback(module, arguments, sentence):
    """One sentence on stderr and exit status 1."""
    done = command(module, *arguments)
    assert done.returncode == 1
    assert sentence in done.stderr and "Traceback" not in done.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_device_that_is_not_there_is_named(config, nyuv2_root, tmp_path):
    """Without a traceback, and with the way out."""
    done = command(
        "train", config, "--data", nyuv2_root, "--out", tmp_path / "x", "--device", "cuda"
    )
    assert done.returncode == 1
    assert "device 'cuda' was asked for" in done.stderr and "use the device cpu" in done.stderr
    assert "Traceback" not in done.stderr


def test_too_few_samples_for_a_batch_are_named(config, nyuv2_root, tmp_path):
    """Rather than epochs of nothing."""
    common = ("--data", nyuv2_root, "--out", tmp_path / "x", "--device", "cpu")
    done = command("train", config, *common, "--set", "batch_size=16")
    assert done.returncode == 1
    assert "4 training samples are fewer than batch_size 16" in done.stderr


def test_an_empty_checkpoint_is_named(tmp_path):
    """Cut down to nothing."""
    (tmp_path / "last.pt").touch()
    with pytest.raises(checkpoint.CheckpointError, match="cannot be read"):
        checkpoint.load(tmp_path / "last.pt")


def test_a_checkpoint_that_runs_code_is_refused(tmp_path):
    """Only tensors and plain values are read."""
    path = tmp_path / "last.pt"
    torch.save({"config": {}, "network": {}, "evil": subprocess.Popen}, path)
    with pytest.raises(checkpoint.CheckpointError, match="cannot be read"):
        checkpoint.load(path)
