"""The live view in front of the real node, over DDS."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rerun", reason="no rerun-sdk: install the extra 'view'")

import rerun_cli
from processes import ROOT, ForkedProcess, free_ports
from robot import TIMEOUT, Camera, camera_info, node_for_a_file, picture, pixels, rgb

from sosd_ros.labels import NYU40
from sosd_ros.measure.listener import listening
from sosd_ros.view.frames import TOPICS, frame_of

pytestmark = pytest.mark.usefixtures("middleware")


@pytest.fixture(scope="module")
def node(middleware, tmp_path_factory, sharp_weights):
    """With weights that say how unsure they are."""
    with node_for_a_file(tmp_path_factory, sharp_weights) as node:
        yield node


@pytest.fixture
def camera():
    camera = Camera()
    yield camera
    camera.close()


def play(camera, condition, what):
    """Send frames until something is true."""

    def sent():
        camera.send(rgb(camera.header(), picture()), camera_info())
        return camera.spin_until(condition, 0.05)

    camera.wait(sent, what)


def heard(camera):
    """What a listener puts together of one image, and its classes."""
    answers = []

    def listen():
        with listening("/sosd", "", "sosd_view", TOPICS) as listener:
            answers.append(listener.messages(print, lambda: listener.labels is not None))
            answers.append(listener.labels)

    thread = threading.Thread(target=listen)
    thread.start()
    play(camera, lambda: not thread.is_alive(), "answers")
    thread.join()
    return answers


@pytest.mark.parametrize("every", [1, 2])
def test_a_frame_has_what_the_topics_have(node, camera, every):
    """Pixel by pixel, at the size of the cloud: every n-th row and column."""
    camera.wait_until_active()
    assert camera.set_parameters(cloud_decimation=every).successful
    topics = ("depth", "semantic", "confidence", "depth_uncertainty")
    camera.listen(*topics)
    answers, labels = heard(camera)
    assert camera.set_parameters(cloud_decimation=1).successful
    assert labels == NYU40
    frame = frame_of(answers)
    depth, ids, confidence, uncertainty = (
        pixels(message, np.float32 if message.encoding == "32FC1" else np.uint8)[::every, ::every]
        for message in camera.answers(answers["points"].header.stamp, *topics)
    )
    np.testing.assert_array_equal(frame.image, picture()[::every, ::every])
    np.testing.assert_array_equal(frame.points[..., 2], depth)
    np.testing.assert_array_equal(frame.labels, ids)
    np.testing.assert_array_equal(frame.confidence, confidence)
    np.testing.assert_array_equal(frame.uncertainty, uncertainty)
    assert (frame.camera.height, frame.camera.width) == depth.shape


def test_what_the_node_answers_comes_to_a_viewer(node, camera, tmp_path):
    """Which is rerun's program here; the page is served, and Ctrl-C is no failure."""
    camera.wait_until_active()
    port, out, err = free_ports(), tmp_path / "stdout", tmp_path / "stderr"
    out.touch(), err.touch()
    view = ForkedProcess(("-m", "sosd_ros.view", "--port", port), out, err)
    camera.wait(lambda: "live view:" in out.read_text(), "an address")
    address = re.search(r"live view: (\S+)", out.read_text())[1]
    assert urllib.request.urlopen(address).status == 200
    kept = tmp_path / "kept.rrd"
    viewer = subprocess.Popen(
        [
            *(Path(rerun_cli.__file__).with_name("rerun"), "--save", kept),
            *(f"rerun+http://127.0.0.1:{port + 1}/proxy", "--bind", "127.0.0.1", "--port", "auto"),
        ],
        env=os.environ | {"XDG_CONFIG_HOME": str(tmp_path), "RUST_LOG": "error"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    # The file is compressed, so that only beginnings of paths are sure to be found.
    expected = (b"/world/points", b"/classes/names", b"/uncertainty", b"/rate/")

    def has_all():
        return kept.exists() and all(path in kept.read_bytes() for path in expected)

    try:
        play(camera, has_all, "the node's answers at the viewer")
    finally:
        viewer.kill()
        viewer.wait()
    view.send_signal(signal.SIGINT)
    status, said = view.wait(TIMEOUT), err.read_text()
    assert "Traceback" not in said and "error: " not in said
    assert status == 0


def test_the_demo_plays_on_for_it_until_ctrl_c(middleware, tmp_path, small_weights):
    """Which ends the demo, the node and the view in order: status 0."""
    err, sheet = tmp_path / "stderr", tmp_path / "sheet.png"
    options = ("--view", "--device", "cpu", "--backend", "torch", "--weights", small_weights)
    program = ("-m", "sosd_ros.demo", *options, "--frames", "5", "--rate", "5", "--out", sheet)
    demo = subprocess.Popen(
        [sys.executable, *map(str, program)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=err.open("w"),
        text=True,
        start_new_session=True,
    )
    said, awaited = "", ["playing on", "live view: http://127.0.0.1:"]
    try:
        for line in demo.stdout:
            said += line
            if awaited and all(words in said for words in awaited):
                awaited.clear()
                os.killpg(demo.pid, signal.SIGINT)  # as a terminal does
        assert demo.wait(TIMEOUT) == 0, err.read_text()
    finally:
        demo.kill()
    assert not awaited, said
    assert "Traceback" not in err.read_text() and "error" not in err.read_text()


def test_without_rerun_it_says_what_to_install(tmp_path):
    program = (
        "import importlib.util, runpy\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name: None if 'rerun' in name else find(name)\n"
        "runpy.run_module('sosd_ros.view', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: the live view needs rerun-sdk, which is not installed")
