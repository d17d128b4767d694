"""The command that builds engines: what it prints, and what it refuses."""

import importlib.util

import pytest
import torch
from support import run_here, run_module

from sosd_ros import build, weights


def test_building_prints_progress_and_what_came_of_it(small_weights, tmp_path):
    """Each step as it is done, then a line for each candidate, and which one it is to be."""
    for module in ("onnxruntime", "onnxscript"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    done = run_module(
        "sosd_ros.build",
        *("--device", "cpu", "--backend", "onnxruntime", "--size", "480x640"),
        *("--weights", small_weights, "--cache", tmp_path),
    )
    assert done.returncode == 0, done.stderr
    assert "[1/1] onnxruntime fp32: building for inputs of 64x96 ..." in done.stdout
    assert "built in " in done.stdout
    assert "onnxruntime fp32: " in done.stdout and "of labels agree" in done.stdout
    assert done.stdout.endswith("the fastest that agrees: onnxruntime fp32\n")
    assert len(list(tmp_path.glob("onnxruntime-fp32-*/64x96.onnx"))) == 1


def test_the_network_is_written_for_another_runtime(small_weights, tmp_path):
    """With how far its answers agree on the sample frames, and what inputs it takes."""
    out = tmp_path / "network.pt2"
    done = run_module("sosd_ros.build", "--weights", small_weights, "--out", out, "--size", "64x64")
    assert done.returncode == 0, done.stderr
    assert "checked against torch: 100.00% of labels agree, depth differs by 0.00%" in done.stdout
    assert "at worst of 14 images" in done.stdout  # the twelve, and two of them at once
    sha256 = weights.read(small_weights).sha256
    assert done.stdout.endswith(f"wrote {out}, inputs of 64x64, sha256 {sha256}\n")
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--device", "warp"], "error: device 'warp' is unknown; use 'cuda' or 'cpu'"),
        (["--device", "cpu", "--weights", "/nowhere"], "weights file /nowhere does not exist"),
        (["--device", "cpu", "--precision", "fp16"], "does not exist on cpu; choose auto, or one"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(small_weights, tmp_path, arguments, sentence):
    """And not by a traceback."""
    if "--weights" not in arguments:
        arguments = [*arguments, "--weights", small_weights]
    done = run_module("sosd_ros.build", "--cache", tmp_path, *arguments)
    assert done.returncode == 1
    assert sentence in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.fixture
def refusal(tmp_path, monkeypatch):
    """The sentence in which the command refuses options, before weights, which are not there."""
    monkeypatch.chdir(tmp_path)

    def refusal(*options):
        with pytest.raises(ValueError) as error:
            run_here(build, "--weights", "last.pt", *options)
        assert not list(tmp_path.iterdir())
        return str(error.value)

    return refusal


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--dynamic-size"], "--dynamic-size is for --out; an engine is built for each size"),
        (["--out", "x.onnx", "--backend", "openvino"], "are for engines; of a file that --out"),
        (["--out", "x.onnx", "--precision", "bf16"], "--backend, --precision and --cache are for"),
        (["--out", "x.onnx", "--cache", "x"], "--backend, --precision and --cache are for engines"),
        (["--out", "x.pt2", "--size", "64x96", "--size", "96x96"], "--out is one file, of one"),
        (["--out", "x.pt"], "--out is x.pt, expected a name that ends in .onnx, .xml, .plan or"),
        (["--out", "x.pt2", "--size", "33x64"], "--size is 33x64, expected multiples of 32"),
        (["--out", "no/x.pt2"], "--out is no/x.pt2, but the folder does not exist; make it first"),
    ],
)
def test_options_that_would_mean_nothing_are_refused(options, sentence, refusal):
    """Rather than ignored."""
    assert sentence in refusal(*options)


def test_a_checkpoint_goes_by_way_of_a_weights_file(tmp_path):
    """The sentence says by which command."""
    torch.save({"network": {}}, tmp_path / "last.pt")
    with pytest.raises(
        ValueError, match=r"python -m training\.export CHECKPOINT --out FILE\.safetensors"
    ):
        run_here(build, "--weights", tmp_path / "last.pt", "--out", tmp_path / "x.pt2")
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]
