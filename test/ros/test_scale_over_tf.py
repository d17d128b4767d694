"""Scale over tf: sensors in frames of their own, and the camera's height. Needs the real tf2."""

from __future__ import annotations

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from lifecycle_msgs.msg import Transition
from robot import camera_info, picture, rgb
from sensor_messages import range_message, scan
from std_msgs.msg import Header
from world import FAR, World, reliably, wall

from sosd_ros import weights
from sosd_ros.labels import NYU40
from sosd_ros.ros.transforms import MISSING
from sosd_ros.testbed.camera import FRAME_ID

try:
    import tf2_ros
except ImportError:
    tf2_ros = None

with_tf2 = pytest.mark.skipif(tf2_ros is None, reason="no tf2_ros: it comes with a ROS 2, not PyPI")
AHEAD = (-0.5, 0.5, -0.5, 0.5)  # of a camera that looks along x of its parent, with z up
DOWN = (1.0, 0.0, 0.0, 0.0)  # of one that looks along -z
TALL = 1.2  # metres of a camera above the floor below it


def transform(parent, child, rotation=AHEAD, place=(0.0, 0.0, 0.0), stamp=None):
    message = TransformStamped(child_frame_id=child)
    message.header = Header(frame_id=parent, **({"stamp": stamp} if stamp else {}))
    turn, shift = message.transform.rotation, message.transform.translation
    turn.x, turn.y, turn.z, turn.w = rotation
    shift.x, shift.y, shift.z = place
    return message


def ahead(header):
    """A wall, as a planar scanner at the camera's place sees it."""
    angles = np.linspace(-0.4, 0.4, 81)
    return scan(
        header=Header(stamp=header.stamp, frame_id="laser"),
        angle_min=-0.4,
        angle_increment=0.01,
        ranges=(FAR / np.cos(angles)).tolist(),
    )


def single(header):
    return range_message(header=Header(stamp=header.stamp, frame_id="laser"), range=FAR)


@pytest.fixture
def broadcast(camera):
    """Say where frames lie, once and for all."""
    broadcaster = tf2_ros.StaticTransformBroadcaster(camera.node)
    return broadcaster.sendTransform


@with_tf2
@pytest.mark.parametrize(("sensor", "make"), [("scan", ahead), ("range", single)])
def test_a_sensor_that_looks_along_its_x_axis(start_node, camera, broadcast, sensor, make):
    """Mounted elsewhere than the camera, from which the wall is half a metre nearer."""
    start_node(**reliably(sensor))
    world = World(camera, sensor, make)
    camera.listen("depth")
    broadcast(transform("laser", FRAME_ID, place=(0.5, 0.02, 0.03)))
    factor = world.play_until_scale()
    [depth] = camera.answers(world.step(), "depth")
    answered = np.nanmedian(np.frombuffer(depth.data, np.float32))
    assert factor == pytest.approx((FAR - 0.5) / answered, rel=0.03)


@with_tf2
def test_tf_that_is_late_missing_or_in_two_parts(start_node, camera):
    """The sentence names both frames and the topic; answers keep coming; then all is well."""
    node = start_node(**reliably("scan"))
    world = World(camera, "scan", ahead)
    camera.listen("depth", "semantic")
    said = world.play_until_said("the scale does not follow from /scale/scan: the frame laser")
    assert "has no known place in camera_optical_frame at the image's stamp" in said
    moving = tf2_ros.TransformBroadcaster(camera.node)

    def in_two_parts(header):
        moving.sendTransform(transform("map", "laser", stamp=header.stamp))
        moving.sendTransform(transform("base", FRAME_ID, stamp=header.stamp))
        return ahead(header)

    world.make = in_two_parts
    world.play_until_said("not part of the same tree")

    def late():
        """Tf that comes after image and scan, and a scan that wakes the node."""
        header = camera.header()
        world.sensor.publish(ahead(header))
        camera.send(rgb(header, picture()), camera_info())
        camera.answers(header.stamp, "depth", "semantic")
        moving.sendTransform(transform("laser", FRAME_ID, stamp=header.stamp))
        header.stamp.nanosec += 50_000_000
        world.sensor.publish(ahead(header))
        return world.values().get("scale factor")

    camera.wait(late, f"a scale, not {world.values()}")
    assert node.log.count("does not follow from /scale/scan") >= 1


@with_tf2
def test_a_recording_that_starts_again_brings_its_tf(start_node, camera):
    """Transforms of a time long before are taken again."""
    start_node(**reliably("scan"))
    moving = tf2_ros.TransformBroadcaster(camera.node)
    world = World(camera, "scan", ahead)
    camera.listen("depth")

    def make(header):
        moving.sendTransform(transform("laser", FRAME_ID, stamp=header.stamp))
        return ahead(header)

    world.make = make
    camera._seconds = iter(range(5000, 10**6))
    world.play_until_scale()
    world.play_again(at=100)


@with_tf2
def test_tf_is_heard_only_while_it_is_needed(start_node, camera):
    start_node(**reliably("points"))
    camera.wait_until_active()
    for topic in ("/tf", "/tf_static"):
        camera.wait(lambda topic=topic: camera.node.count_subscribers(topic) == 1, topic)
    assert camera.change_state(Transition.TRANSITION_DEACTIVATE)
    for topic in ("/tf", "/tf_static"):
        camera.wait(lambda topic=topic: not camera.node.count_subscribers(topic), topic)


@pytest.fixture
def floor_weights(tmp_path, small_weights):
    """Weights that take everything for floor, 2 m away."""
    file = weights.read(small_weights)
    [name] = [n for n, t in file.tensors.items() if "semantic_head" in n and t.shape == (40,)]
    file.tensors[name][NYU40.names.index("floor")] = 1000.0
    path = tmp_path / "floor.safetensors"
    weights.write(path, file.manifest, file.tensors)
    return path


class Above(World):
    """Only a camera, above the floor."""

    def __init__(self, camera):
        self.camera, self.make = camera, None
        camera.wait_until_active()
        camera.listen_diagnostics()


def test_of_a_camera_whose_height_is_told(start_node, camera, floor_weights):
    """It looks down, but for 0.07 rad, and the floor is 2 m away, as it believes."""
    settings = {"scale_from.camera_height": TALL, "scale_from.camera_pitch": 1.5}
    start_node(weights=floor_weights, **settings)
    world = Above(camera)
    camera.listen("depth")
    factor = world.play_until_scale()
    [depth] = camera.answers(world.step(), "depth")
    answered = np.nanmedian(np.frombuffer(depth.data, np.float32))
    assert factor == pytest.approx(TALL / answered, rel=0.03)
    assert world.values()["scale input height"].endswith(" refused")


@with_tf2
def test_of_a_camera_whose_height_tf_knows(start_node, camera, floor_weights, broadcast):
    node = start_node(weights=floor_weights, **{"scale_from.ground_frame": "base_footprint"})
    world = Above(camera)
    camera.listen("depth")
    world.play_until_said("the scale does not follow from height: the frame camera_optical_frame")
    broadcast(transform("base_footprint", FRAME_ID, DOWN, place=(0.1, 0.2, TALL)))
    factor = world.play_until_scale()
    [depth] = camera.answers(world.step(), "depth")
    answered = np.nanmedian(np.frombuffer(depth.data, np.float32))
    assert factor == pytest.approx(TALL / answered, rel=0.03)
    assert "the scale does not follow from height" in node.log


@pytest.mark.skipif(tf2_ros is not None, reason="tf2_ros is installed")
def test_without_tf2_the_node_says_what_a_sensor_needs(start_node, camera):
    """And needs it not for a sensor in the camera's own frame."""
    node = start_node(**reliably("points"))
    world = World(camera, "points", lambda header: wall(header, frame_id="lidar"))
    camera.listen("depth")
    said = world.play_until_said("the frame lidar has no known place in camera_optical_frame")
    assert MISSING in said and MISSING in node.log
