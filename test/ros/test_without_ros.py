"""What the commands without ROS answer is what the node publishes over DDS, bit for bit."""

import cv2
import numpy as np
import pytest
from rclpy.serialization import serialize_message
from robot import OUTPUTS, Camera, camera_info, pixels, rgb
from support import EAGER_OPTIONS, run_here

pytest.importorskip("rosbags", reason="no rosbags: install the extra 'bags'")

import recorded

from sosd_ros.bag import __main__ as bag
from sosd_ros.infer import __main__ as infer

WRITTEN = [*OUTPUTS, "confidence"]


@pytest.fixture(scope="module")
def frames():
    """Two pictures with detail."""
    random = np.random.default_rng(20240607)
    return [random.integers(0, 255, (64, 96, 3), np.uint8) for _ in range(2)]


@pytest.fixture(scope="module")
def played(shared_node, frames):
    """What was sent to the node, and what it answered: (image, info, answers by topic)."""
    camera = Camera()
    camera.wait_until_active()
    camera.listen(*WRITTEN)
    found = []
    for number, frame in enumerate(frames):
        image, info = rgb(camera.header(), frame), camera_info(focal=90.0 + number)
        stamp = camera.send(image, info)
        found.append(
            (image, info, dict(zip(WRITTEN, camera.answers(stamp, *WRITTEN), strict=True)))
        )
    camera.close()
    return found


def test_a_recording_is_answered_as_the_node_answers(played, tmp_path, small_weights):
    """Each field of each message, from the same bytes as the node was sent."""
    messages = []
    for image, info, _ in played:
        time = image.header.stamp.sec * 10**9 + image.header.stamp.nanosec
        messages.append(("/camera_info", time, (recorded.INFO, serialize_message(info))))
        messages.append(("/image", time, (recorded.IMAGE, serialize_message(image))))
    source = recorded.write(tmp_path / "in", messages)
    run_here(bag, source, tmp_path / "out", "--weights", small_weights, *EAGER_OPTIONS)
    for topic in WRITTEN:
        ours = recorded.decoded(tmp_path / "out", f"/sosd/{topic}")
        for (_, _, theirs), message in zip(played, ours.values(), strict=True):
            assert_equal(message, theirs[topic])


def assert_equal(ours, theirs):
    """A message of rosbags and one of rclpy."""
    for name in theirs.get_fields_and_field_types():
        one, other = getattr(ours, name), getattr(theirs, name)
        if hasattr(other, "get_fields_and_field_types"):
            assert_equal(one, other)
        elif name == "fields":
            for field, expected in zip(one, other, strict=True):
                assert_equal(field, expected)
        else:
            np.testing.assert_array_equal(one, other, err_msg=name)


def test_an_image_is_answered_as_the_node_answers(played, frames, tmp_path, small_weights):
    """From a PNG with the camera's intrinsics."""
    options = ["--weights", small_weights, *EAGER_OPTIONS]
    for number, ((_, info, theirs), frame) in enumerate(zip(played, frames, strict=True)):
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), frame[..., ::-1])
        fx, _, cx, _, fy, cy, *_ = info.k
        run_here(infer, path, "--out", tmp_path, "--camera", f"{fx},{fy},{cx},{cy}", *options)
        with np.load(tmp_path / f"{number}.npz") as ours:
            for topic, name, dtype in (
                ("depth", "depth", np.float32),
                ("semantic", "labels", np.uint8),
                ("confidence", "confidence", np.uint8),
            ):
                np.testing.assert_array_equal(ours[name], pixels(theirs[topic], dtype))
