"""The real node as a robot runs it: parameters, life cycle, refusals and signals."""

from __future__ import annotations

import signal

import cv2
import numpy as np
import pytest
import torch
from lifecycle_msgs.msg import State, Transition
from rclpy.qos import ReliabilityPolicy
from robot import (
    OUTPUTS,
    Camera,
    camera_info,
    picture,
    pixels,
    rgb,
)
from sensor_msgs.msg import CompressedImage
from support import write_small_weights

from sosd_ros.engine import Request, load


def test_depth_beyond_the_range_is_infinite_and_nearer_is_nan(start_node, camera, small_weights):
    """REP 117: +inf beyond max_depth; NaN nearer than min_depth; here all is about 2 m."""
    start_node(min_depth=1.9, max_depth=2.0)
    camera.wait_until_active()
    camera.listen("depth")

    def seen_through(focal):
        stamp = camera.send(rgb(camera.header(), picture()), camera_info(focal=focal))
        return pixels(camera.answers(stamp, "depth")[0], np.float32)

    assert np.isnan(seen_through(50.0)).all()
    assert np.isposinf(seen_through(200.0)).all()


def test_an_image_is_brought_to_the_scale_of_the_training_if_it_may(start_node, camera, file):
    """As the engine does, and by the camera's focal length alone: depth_scale changes no view."""
    engine = load(file, picture(), "cpu", Request("torch", "fp32"))
    engine.fit = 4
    expected = engine(picture()[None], [60.0], ["depth"]).depth[0]
    start_node(fit_inputs=4, depth_scale=2.0, max_depth=20.0)
    camera.wait_until_active()
    camera.listen("depth")
    stamp = camera.send(rgb(camera.header(), picture()), camera_info(focal=60.0))
    depth = pixels(camera.answers(stamp, "depth")[0], np.float32)
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(depth, 2 * expected, rtol=1e-3)


def test_parameters_choose_compressed_input_and_millimetres(start_node):
    """A JPEG in, 16UC1 out."""

    def jpeg(header):
        message = CompressedImage(header=header, format="jpeg")
        message.data.frombytes(cv2.imencode(".jpg", picture())[1].tobytes())
        return message

    camera = Camera(CompressedImage, jpeg)
    try:
        start_node(image_transport="compressed", depth_encoding="16UC1")
        camera.wait_until_active()
        camera.listen("depth", "semantic")
        stamp = camera.send(jpeg(camera.header()), camera_info())
        depth, semantic = camera.answers(stamp, "depth", "semantic")
        assert depth.encoding == "16UC1"
        assert 500 < np.median(pixels(depth, np.uint16)) < 8000
        assert (semantic.height, semantic.width) == (64, 96)
    finally:
        camera.close()


def reliabilities(infos):
    return {info.qos_profile.reliability for info in infos}


def test_quality_of_service_is_the_contracts_unless_overridden(start_node, camera):
    """Publish reliable, subscribe best effort; the standard parameters override either."""
    start_node(
        **{
            "qos_overrides./image.subscription.reliability": "best_effort",
            "qos_overrides./sosd/depth.publisher.reliability": "best_effort",
        }
    )
    camera.wait_until_active()
    best_effort, reliable = {ReliabilityPolicy.BEST_EFFORT}, {ReliabilityPolicy.RELIABLE}
    node = camera.node
    assert reliabilities(node.get_publishers_info_by_topic("/sosd/semantic")) == reliable
    assert reliabilities(node.get_publishers_info_by_topic("/sosd/depth")) == best_effort
    assert reliabilities(node.get_subscriptions_info_by_topic("/image")) == best_effort
    assert reliabilities(node.get_subscriptions_info_by_topic("/camera_info")) == reliable


def test_a_single_task_network_publishes_what_it_has(start_node, camera, tmp_path):
    """Depth alone: depth, CameraInfo and points without labels; no semantic topic."""
    start_node(weights=write_small_weights(tmp_path / "depth.safetensors", variant="depth"))
    camera.wait_until_active()
    camera.listen("depth", "points")
    stamp = camera.send(rgb(camera.header(), picture()), camera_info())
    _, points = camera.answers(stamp, "depth", "points")
    assert [field.name for field in points.fields] == ["x", "y", "z", "rgb"]
    assert camera.node.count_publishers("/sosd/semantic") == 0


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"weights": "/nowhere/w.safetensors"}, "/nowhere/w.safetensors does not exist"),
        ({"device": "warp"}, "device 'warp' is unknown; use 'cuda' or 'cpu'"),
        ({"min_depth": 5.0, "max_depth": 4.0}, "min_depth is 5 m, expected less than max_depth"),
        ({"max_depth": 2000.0}, "max_depth is 2000.0, expected 0 to 1000"),
        ({"depth_encoding": "8UC1"}, "depth_encoding is '8UC1', expected one of 32FC1, 16UC1"),
        ({"cloud_uncertainty": True}, "cloud_uncertainty is true, but these weights predict no"),
    ],
)
def test_what_cannot_work_is_refused_at_configure(start_node, camera, parameters, sentence):
    """The node stays unconfigured, alive, and its log says why."""
    node = start_node(**parameters)
    camera.wait_for_state(State.PRIMARY_STATE_UNCONFIGURED)
    assert "cannot configure: " in node.log and sentence in node.log
    assert node.process.poll() is None


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_that_is_not_there_is_refused_and_the_cpu_named(start_node, camera):
    """No silent fall-back."""
    node = start_node(device="cuda")
    camera.wait_for_state(State.PRIMARY_STATE_UNCONFIGURED)
    assert "finds 0 CUDA devices; fix the driver, or use the device cpu" in node.log


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_the_node_runs_on_cuda(start_node, camera):
    """The default device answers like any other."""
    start_node(device="cuda")
    camera.wait_until_active()
    camera.listen(*OUTPUTS)
    camera.answers(camera.send(rgb(camera.header(), picture()), camera_info()), *OUTPUTS)


def test_a_mended_fault_needs_no_restart(start_node, camera, small_weights):
    """Bad weights, then a good path, configure, activate, work; and down again."""
    start_node(weights="/nowhere/w.safetensors")
    camera.wait_for_state(State.PRIMARY_STATE_UNCONFIGURED)
    assert not camera.change_state(Transition.TRANSITION_CONFIGURE)  # no attempt of its own now
    assert camera.set_parameters(weights=str(small_weights)).successful
    assert camera.change_state(Transition.TRANSITION_CONFIGURE)
    refused = camera.set_parameters(weights="other.safetensors")
    assert not refused.successful and "clean up first" in refused.reason
    assert camera.change_state(Transition.TRANSITION_ACTIVATE)
    camera.wait_until_active()
    camera.listen(*OUTPUTS)
    camera.answers(camera.send(rgb(camera.header(), picture()), camera_info()), *OUTPUTS)
    assert camera.change_state(Transition.TRANSITION_DEACTIVATE)
    assert camera.change_state(Transition.TRANSITION_CLEANUP)
    camera.wait(lambda: not camera.node.count_publishers("/sosd/depth"), "publishers to go")
    camera.bring_up()
    camera.answers(camera.send(rgb(camera.header(), picture()), camera_info()), *OUTPUTS)


def test_under_a_lifecycle_manager_it_waits(start_node, camera):
    """With autostart false nothing happens until it is told to."""
    start_node(autostart=False)
    camera.wait_for_state(State.PRIMARY_STATE_UNCONFIGURED)
    assert camera.change_state(Transition.TRANSITION_CONFIGURE)
    camera.wait_for_state(State.PRIMARY_STATE_INACTIVE)


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_quietly_while_frames_flow(start_node, camera, signal_number):
    """Exit status 0, and neither an error nor a traceback in the log."""
    node = start_node()
    camera.wait_until_active()
    camera.listen(*OUTPUTS)
    for _ in range(50):
        camera.send(rgb(camera.header(), picture()), camera_info())
    assert node.end(signal_number) == 0, node.log
    assert "Traceback" not in node.log and "[ERROR]" not in node.log, node.log


@pytest.mark.parametrize(
    ("topic", "transition"),
    [("/sosd/depth.publisher", "configure"), ("/image.subscription", "activate")],
)
def test_an_unforeseen_error_is_said_and_leaves_nothing_behind(
    start_node, camera, topic, transition, small_weights
):
    """A quality of service that does not exist: a sentence, and a node that can be mended."""
    node = start_node(**{f"qos_overrides.{topic}.reliability": "bestest"})
    left_in = {
        "configure": State.PRIMARY_STATE_UNCONFIGURED,
        "activate": State.PRIMARY_STATE_INACTIVE,
    }[transition]
    camera.wait_for_state(left_in)
    assert f"cannot {transition}: " in node.log and "bestest" in node.log
    if transition == "activate":
        assert camera.change_state(Transition.TRANSITION_CLEANUP)
    camera.wait(lambda: not camera.node.count_publishers("/sosd/depth"), "publishers to go")
    assert camera.set_parameters(weights=str(small_weights)).successful


def test_an_integer_will_do_for_a_number(start_node, camera):
    """max_depth: 20 is what people write."""
    start_node(max_depth=20)
    camera.wait_until_active()


def test_a_zoom_lens_is_followed_though_its_images_come_first(start_node, camera):
    """The CameraInfo of the same stamp counts, also if it comes after the image."""
    start_node()
    camera.wait_until_active()
    camera.listen("depth")
    depths = {}
    for focal in (80.0, 160.0, 80.0, 160.0):
        image, info = rgb(camera.header(), picture()), camera_info(focal=focal)
        info.header = image.header
        camera.images.publish(image)
        camera.infos.publish(info)
        depth = pixels(camera.answers(image.header.stamp, "depth")[0], np.float32)
        depths.setdefault(focal, []).append(float(depth[0, 0]))
    assert depths[160.0] == pytest.approx([2 * depths[80.0][0]] * 2)
    assert depths[80.0][0] == depths[80.0][1]


def test_wrong_values_at_start_are_said_and_can_be_mended(start_node, camera):
    """Two of them, one a type: the node stays up, unconfigured, until both are right."""
    node = start_node(min_depth="near", cloud_decimation=1000)
    camera.wait_for_state(State.PRIMARY_STATE_UNCONFIGURED)
    camera.wait(lambda: "cannot configure" in node.log, "a refusal")
    assert "parameter min_depth is 'near', expected a number" in node.log
    assert camera.set_parameters(min_depth=0.5).successful
    assert not camera.change_state(Transition.TRANSITION_CONFIGURE)
    assert "parameter cloud_decimation is 1000, expected 1 to 64" in node.log
    assert camera.set_parameters(cloud_decimation=2).successful
    assert camera.change_state(Transition.TRANSITION_CONFIGURE), node.log
