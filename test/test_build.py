"""The command that builds engines: what it prints, and what it refuses."""

import importlib.util

import pytest
from support import run_module


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
