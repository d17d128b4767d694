"""Scale from what else a robot measures: the real node, and sensors and cameras over DDS."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from lifecycle_msgs.msg import State, Transition
from robot import Camera, camera_info, picture, pixels, reliable, rgb
from sensor_messages import range_message, scan
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from support import write_small_weights
from world import FAR, OK, WARN, World, reliably, wall

from sosd_ros.testbed.camera import FRAME_ID


@pytest.fixture
def node(start_node, sharp_weights):
    """A node that says what its sensor tells, also while no image comes."""
    patience = {"diagnostics.input_timeout": 3600.0}
    return start_node(weights=sharp_weights, **reliably("points"), **patience)


@pytest.fixture
def world(node, camera):
    world = World(camera)
    camera.listen("depth", "semantic")
    return world


def depth_of(camera, stamp):
    return pixels(camera.answers(stamp, "depth")[0], np.float32)


def test_the_scale_is_reported_and_not_applied_unless_it_is_asked_for(world):
    """With its spread and its evidence; depth_scale changes depth, and not the estimate."""
    factor = world.play_until_scale()
    before = depth_of(world.camera, world.step())
    assert factor == pytest.approx(FAR / np.nanmedian(before), rel=0.1)
    values = world.values()
    assert values["scale applied"] == "false" and values["scale not renewed"] == ""
    assert int(values["scale frames"]) >= 5 and int(values["scale points"]) >= 10
    assert 0 <= float(values["scale error [%]"]) <= float(values["scale spread [%]"]) < 30
    assert values["scale input /scale/points"].endswith(" used, 0 unused, 0 refused")
    assert world.camera.set_parameters(depth_scale=2.0).successful
    np.testing.assert_allclose(depth_of(world.camera, world.step()), 2 * before, rtol=1e-5)
    for _ in range(12):  # until the window has no other frames
        world.camera.answers(world.step(), "depth")
    world.camera.fresh_values("camera")
    assert float(world.values()["scale factor"]) == pytest.approx(factor, rel=0.01)


def test_what_is_applied_scales_all_that_is_metric_alike_and_no_label(world):
    """In place of depth_scale: a wall at 3 m is then answered as 3 m."""
    camera = world.camera
    topics = ("depth", "depth_uncertainty", "points", "semantic")
    camera.listen(*topics)
    assert camera.set_parameters(depth_scale=1.1).successful
    before = camera.answers(world.step(), *topics)
    world.play_until_scale()
    assert camera.set_parameters(scale__apply=True).successful
    camera.wait(lambda: world.values()["scale applied"] == "true", "an applied scale")
    after = camera.answers(world.step(), *topics)
    old, new = (pixels(answers[0], np.float32) for answers in (before, after))
    ratio = float(np.nanmedian(new / old))
    np.testing.assert_allclose(new, ratio * old, rtol=1e-5)
    assert ratio * 1.1 == pytest.approx(float(world.values()["scale factor"]), rel=0.02)
    assert np.nanmedian(new) == pytest.approx(FAR, rel=0.1)
    old_doubt, new_doubt = (pixels(answers[1], np.float32) for answers in (before, after))
    np.testing.assert_allclose(new_doubt, ratio * old_doubt, rtol=1e-5)
    cloud = np.frombuffer(after[2].data, np.float32).reshape(64, 96, -1)
    np.testing.assert_array_equal(cloud[..., 2], new)
    assert before[3].data == after[3].data
    assert camera.set_parameters(scale__apply=False).successful
    np.testing.assert_allclose(depth_of(camera, world.step()), old, rtol=1e-5)


def test_evidence_that_is_thin_is_refused_in_words(world):
    """At first, for a shift where all is as far, and once the sensor is gone; the last stays."""
    camera = world.camera
    assert "no image has been answered" in world.values()["scale not renewed"]
    assert camera.set_parameters(scale__apply=True).successful
    camera.answers(world.step(), "depth")
    said = camera.wait_for_status("camera", WARN, "at least 10 in 5 are needed")
    assert "no scale can be estimated, depth_scale holds: " in said
    world.play_until_scale()
    assert camera.set_parameters(scale__shift=True).successful
    world.play_until_said("most depth lies between")
    assert camera.set_parameters(scale__shift=False, scale__window=5.0).successful
    world.play(lambda: world.values()["scale not renewed"] == "", "another scale")
    before = depth_of(camera, world.step())
    world.make = None
    said = world.play_until_said("0 points in 0 frames of the last 5 s")
    assert ", stays: " in said
    np.testing.assert_allclose(depth_of(camera, world.step()), before, rtol=0.02)


def test_bad_messages_are_refused_in_words_and_stop_nothing(node, world):
    def bad(header):
        message = wall(header)
        message.fields = message.fields[:2]
        return message

    world.make = bad
    said = world.play_until_said("the scale does not follow from /scale/points: PointCloud2")
    assert "has the fields x, y, expected x, y and z" in said
    assert "PointCloud2 on /scale/points refused: it has the fields x, y" in node.log
    refused = world.values()["scale input /scale/points"].split(", ")[2]
    assert int(refused.split()[0]) >= 5
    world.camera.answers(world.step(), "depth", "semantic")
    world.make = wall
    world.play_until_scale()
    world.play_until_said("", OK)


def test_a_frame_that_tf_does_not_know_is_told_with_both_names(node, world):
    """Whether or not tf2 is installed; labels and depth go on."""
    world.make = lambda header: wall(header, frame_id="nowhere")
    said = world.play_until_said("the scale does not follow from /scale/points")
    assert "the frame nowhere has no known place in camera_optical_frame" in said
    assert "the frame nowhere has no known place in camera_optical_frame" in node.log
    world.camera.answers(world.step(), "depth", "semantic")


def test_a_sensor_that_is_silent_is_told(start_node, camera):
    """And what to do."""
    start_node(**reliably("scan", "range"))
    camera.wait_until_active()
    camera.listen_diagnostics()
    camera.listen("depth")
    for topic in ("/scale/scan", "/scale/range"):

        def said(topic=topic):
            camera.send(rgb(camera.header(), picture()), camera_info())
            status = camera.status("camera")
            return f"{topic}: nothing has come for" in status.message and status.message

        assert "nobody publishes there; start the sensor's driver" in camera.wait(said, topic)


def test_sensors_that_measure_beside_the_view_are_told(start_node, camera):
    """A scan and a range in the camera's own frame, where x is to the right."""
    start_node(**reliably("scan"))

    def beside(header):
        return scan(header=Header(stamp=header.stamp, frame_id=FRAME_ID))

    world = World(camera, "scan", beside)
    camera.listen("depth")
    said = world.play_until_said("of its 5 points in the frame camera_optical_frame")
    assert "sees 0" in said and "/scale/scan" in said


def test_a_life_cycle_leaves_nothing_behind(node, world):
    """No subscription while the node is inactive, and no memory of before."""
    camera = world.camera
    world.play_until_scale()
    for again in (False, True):
        assert camera.change_state(Transition.TRANSITION_DEACTIVATE)
        if again:
            assert camera.change_state(Transition.TRANSITION_CLEANUP)
            assert camera.set_parameters(**{"scale_from__camera_pitch": 0.1}).successful
            assert camera.change_state(Transition.TRANSITION_CONFIGURE)
        camera.wait(lambda: not world.sensor.get_subscription_count(), "no subscription")
        assert camera.change_state(Transition.TRANSITION_ACTIVATE)
        camera.wait(world.sensor.get_subscription_count, "a subscription")
        assert camera.fresh_values("camera")["scale factor"] == ""
        camera.wait_until_active()
        camera.listen("depth")
        world.play_until_scale()
    refused = camera.set_parameters(scale_from__scan=True)
    assert refused.reason == "scale_from.scan is read at configure: clean up first, then configure"
    assert "Traceback" not in node.log and "a callback failed" not in node.log


def test_a_recording_that_starts_again_begins_anew(world):
    world.play_until_scale()
    world.play_again(at=10)


def test_every_camera_has_a_scale_of_its_own(start_node):
    """Through a lens of twice the focal length, the same picture is twice as far."""
    start_node(cameras="[left, right]", **reliable("left", "right"), **reliably("points"))
    with contextlib.ExitStack() as stack:
        cameras = [Camera(name=name) for name in ("left", "right")]
        for camera in cameras:
            stack.callback(camera.close)
            camera.wait_until_active()
            camera.listen("depth")
        left, right = cameras
        sensor = left.node.create_publisher(PointCloud2, "scale/points", 50)
        left.listen_diagnostics()

        def factors():
            header = left.header()
            sensor.publish(wall(header))
            for camera, focal in ((left, 100.0), (right, 200.0)):
                camera.send(rgb(header, picture()), camera_info(focal=focal))
                camera.answers(header.stamp, "depth")
            values = [left.values(f"camera {name}") for name in ("left", "right")]
            return [float(v.get("scale factor") or 0) for v in values]

        left.wait(lambda: all(factors()), "two scales")
        one, other = factors()
        assert one == pytest.approx(2 * other, rel=0.05)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        (
            {"scale_from.ground_frame": "base_footprint", "scale_from.camera_height": 0.8},
            "parameter scale_from.ground_frame is 'base_footprint' and scale_from.camera_height is "
            "0.8 m, expected one of them",
        ),
        ({"scale.window": 0.1}, "scale.window is 0.1, expected 1 to 60"),
        (
            {"scale_from.camera_height": 0.8, "weights": "depth"},
            "parameter scale_from.camera_height is set, but these weights do not answer semantic",
        ),
        (
            {"scale_from.points": True, "weights": "semantic"},
            "parameter scale_from.points is set, but these weights do not answer depth",
        ),
    ],
)
def test_what_cannot_work_is_refused(start_node, camera, tmp_path, parameters, sentence):
    if variant := parameters.pop("weights", ""):
        parameters["weights"] = write_small_weights(tmp_path / "w.safetensors", variant=variant)
    node = start_node(**parameters)
    camera.wait_for_state(State.PRIMARY_STATE_UNCONFIGURED)
    camera.wait(lambda: "cannot configure: " in node.log, "a refusal")
    assert sentence in node.log


def test_a_height_is_read_and_wrong_ground_is_no_fault(start_node, camera):
    """Untrained weights see little floor: the reason stands beside the counts."""
    start_node(**{"scale_from.camera_height": 0.8, "scale_from.camera_pitch": 0.2})
    camera.wait_until_active()
    camera.listen_diagnostics()
    camera.listen("depth")

    def told():
        camera.answers(camera.send(rgb(camera.header(), picture()), camera_info()), "depth")
        return camera.values("camera").get("scale input height", "0 used, 0 unused")[:17] != (
            "0 used, 0 unused,"
        )

    camera.wait(told, "what the ground tells")
    assert camera.status("camera").level == OK, camera.status("camera").message


def test_a_range_needs_no_more_than_one_point(start_node, camera):
    """It is refused first, being beside the view: x is to the right in the camera's frame."""
    node = start_node(**reliably("range"))

    def beside(header):
        return range_message(
            header=Header(stamp=header.stamp, frame_id=FRAME_ID), min_range=1.0, max_range=1.0
        )

    world = World(camera, "range", beside)
    camera.listen("depth")
    world.play_until_said("Range has one min_range and max_range, 1 m")
    assert "Range on /scale/range refused: it has one min_range" in node.log
