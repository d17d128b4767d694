"""The demo as ``make demo`` runs it, with a network that is quick to run."""

import importlib.util

import cv2
import numpy as np
import pytest
from robot import picture
from support import run_module

from sosd_ros.demo.engine import build_once
from sosd_ros.share import DEFAULT_WEIGHTS, share

pytestmark = pytest.mark.usefixtures("middleware")


def demo(*arguments):
    return run_module("sosd_ros.demo", "--device", "cpu", *arguments)


@pytest.fixture
def frames(tmp_path):
    """A folder of two pictures."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for name in ("a", "b"):
        cv2.imwrite(str(folder / f"{name}.png"), picture())
    return folder


def test_the_demo_checks_its_answers_and_draws_them(frames, tmp_path, small_weights):
    """Two pictures played: every topic reported, a contact sheet written and named."""
    sheet = tmp_path / "sheet.png"
    arguments = ("--weights", small_weights, "--backend", "torch", "--rate", 10)
    done = demo("--source", frames, "--out", sheet, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    for topic in ("/sosd/depth", "/sosd/camera_info", "/sosd/semantic", "/sosd/points"):
        assert topic in done.stdout
    assert "no calibration for this source" in done.stdout
    assert " answered by torch " in done.stdout
    assert f"contact sheet: {sheet}" in done.stdout
    assert np.ptp(cv2.imread(str(sheet))) > 100
    page = sheet.with_suffix(".html")
    assert f"the same with clouds to turn: {page.as_uri()}" in done.stdout
    assert page.read_text().count('"depth": ') == 2


def test_a_node_that_cannot_be_configured_ends_the_demo(frames, small_weights):
    """The node's own reason is shown, and the exit status is 1."""
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


@pytest.mark.slow
def test_the_engine_is_built_once_and_answers(tmp_path, monkeypatch, capfd):
    """The shipped weights on a machine where nothing has been built."""
    for module in ("openvino", "onnxscript"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    monkeypatch.setenv("SOSD_CACHE", str(tmp_path / "cache"))
    done = demo("--frames", 60, "--out", tmp_path / "sheet.png")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "building an engine for this machine, once" in done.stdout
    assert "the fastest that agrees: openvino" in done.stdout
    assert " answered by openvino " in done.stdout
    assert "no engine" not in done.stdout
    played = done.stdout.partition("starting the node")[2] + done.stderr
    for noise in ("not built", "not installed", "[INFO]"):
        assert noise not in played
    capfd.readouterr()
    assert build_once(share("weights", DEFAULT_WEIGHTS), "cpu", {(480, 640)}) == ""
    assert capfd.readouterr().out == ""
