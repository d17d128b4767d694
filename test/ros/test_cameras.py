"""Several cameras in front of one network."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest
from robot import OUTPUTS, ROOT, Camera, camera_info, picture, pixels, reliable, rgb
from std_msgs.msg import String


@pytest.fixture
def node(start_node):
    """A node with two cameras, which notes the size of each batch."""
    # A window that would be seen: only a batch that waits for a dead camera takes so long.
    parameters = {"cameras": "[left, right]", "batch_window": 1.0, **reliable("left", "right")}
    return start_node(program=(ROOT / "test" / "faulty_node.py",), **parameters)


@pytest.fixture
def pair(node):
    """Its two cameras, which both hear their answers."""
    with contextlib.ExitStack() as stack:
        cameras = [Camera(name=name) for name in ("left", "right")]
        for camera in cameras:
            stack.callback(camera.close)
            camera.wait_until_active()
            camera.listen(*OUTPUTS)
        yield cameras


def test_each_camera_gets_its_own_answers(pair):
    """Own focal length, own size, own frame, own topics, in one batch or not."""
    sent = []
    for number, camera in enumerate(pair):
        header = camera.header()
        header.frame_id = f"camera{number}"
        height, width = [(64, 96), (48, 80)][number]
        info = camera_info(width, height, focal=[80.0, 160.0][number])
        sent.append((camera, header, camera.send(rgb(header, picture(height, width)), info)))
    for camera, header, stamp in sent:
        for answer in camera.answers(stamp, *OUTPUTS):
            assert answer.header == header
        others = [other for other in pair if other is not camera]
        assert all(m.header.frame_id != header.frame_id for o in others for m in o.heard["depth"])


def test_a_batch_answers_as_each_image_alone(pair):
    """The same picture through both, once together and once one by one."""

    def send(camera):
        return camera.send(rgb(camera.header(), picture()), camera_info())

    together = [send(camera) for camera in pair]
    depths = [
        pixels(camera.answers(stamp, "depth")[0], np.float32)
        for camera, stamp in zip(pair, together, strict=True)
    ]
    alone = pixels(pair[0].answers(send(pair[0]), "depth")[0], np.float32)
    for depth in depths:
        np.testing.assert_allclose(depth, alone, rtol=1e-3)


def test_images_that_come_together_are_one_call_of_the_network(node, pair):
    """And each has the depth of its own focal length."""
    for _ in range(5):
        stamps = [
            camera.send(rgb(camera.header(), picture()), camera_info(focal=focal))
            for camera, focal in zip(pair, (80.0, 160.0), strict=True)
        ]
        near, far = (
            pixels(camera.answers(stamp, "depth")[0], np.float32)
            for camera, stamp in zip(pair, stamps, strict=True)
        )
        np.testing.assert_allclose(far, 2 * near, rtol=1e-3)
    assert "batch of 2" in node.log


def test_a_camera_that_dies_does_not_hold_up_the_other(pair):
    """The window is waited for once; from then on the other's frames wait for nobody."""
    left, right = pair
    left.listen_diagnostics()
    dead = len(right.heard["depth"])
    for _ in range(20):
        left.answers(left.send(rgb(left.header(), picture()), camera_info()), "depth")
    left.wait_for_status("camera right", b"\x02", "no image")
    assert len(right.heard["depth"]) == dead
    values = left.values("node")
    assert float(values["latency wait p50 [ms]"]) < 1000
    stamp = right.send(rgb(right.header(), picture()), camera_info())
    right.answers(stamp, "depth")


def test_labels_are_told_once_for_all(pair):
    """One network, one set of labels."""
    heard = pair[0].listen_latched(String, "/sosd/label_info/json")
    pair[0].wait(lambda: heard, "label info")
    assert len(json.loads(heard[0].data)["names"]) == 40
