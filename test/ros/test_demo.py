"""The demo as ``make demo`` runs it, with a network that is quick to run."""

import cv2
import numpy as np
from robot import picture
from support import run_module


def demo(*arguments):
    return run_module("sosd_ros.demo", "--device", "cpu", *arguments)


def test_the_demo_checks_its_answers_and_draws_them(tmp_path, small_weights):
    """Two pictures played: every topic reported, a contact sheet written and named."""
    frames = tmp_path / "frames"
    frames.mkdir()
    for name in ("a", "b"):
        cv2.imwrite(str(frames / f"{name}.png"), picture())
    sheet = tmp_path / "sheet.png"
    done = demo("--source", frames, "--weights", small_weights, "--out", sheet, "--rate", 10)
    assert done.returncode == 0, done.stdout + done.stderr
    for topic in ("/sosd/depth", "/sosd/camera_info", "/sosd/semantic", "/sosd/points"):
        assert topic in done.stdout
    assert "no calibration for this source" in done.stdout
    assert "20 frames played" in done.stdout
    assert f"contact sheet: {sheet}" in done.stdout
    assert np.ptp(cv2.imread(str(sheet))) > 100


def test_a_node_that_cannot_be_configured_ends_the_demo(tmp_path, small_weights):
    """The node's own reason is shown, and the exit status is 1."""
    frames = tmp_path / "frames"
    frames.mkdir()
    cv2.imwrite(str(frames / "a.png"), picture())
    done = demo("--source", frames, "--weights", small_weights, "--device", "warp")
    assert done.returncode == 1
    assert "device 'warp' is unknown" in done.stdout + done.stderr
    assert "error: the node could not be configured" in done.stderr
    assert "Traceback" not in done.stderr


def test_weights_that_are_missing_are_named(tmp_path):
    """Before a node is started."""
    done = demo("--weights", tmp_path / "w.safetensors")
    assert done.returncode == 1
    assert "w.safetensors does not exist" in done.stderr and "Traceback" not in done.stderr
