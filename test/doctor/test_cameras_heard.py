"""What the doctor says of cameras and nodes, heard over real DDS."""

import threading
from contextlib import contextmanager

import pytest

pytest.importorskip("rclpy", reason="no ROS 2: install the extra 'ros', or source a ROS 2")

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import String

from sosd_ros.camera import Intrinsics
from sosd_ros.doctor import cameras
from sosd_ros.ros.messages import info_of

SECONDS = 2.0  # and more on a machine that is busy
SIZE = 64, 48
INFO = info_of(Intrinsics(60.0, 60.0, 31.5, 23.5, *SIZE))
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def image(encoding="rgb8", size=3):
    """Black; ``size`` in bytes of a pixel."""
    width, height = SIZE
    message = Image(width=width, height=height, encoding=encoding, step=size * width)
    message.header.frame_id = "camera"
    message.data = bytes(height * message.step)
    return message


def status(name, level, message):
    return DiagnosticStatus(name=name, level=level, message=message)


REPEATED = {
    "front/image_raw": image(),
    "front/camera_info": INFO,
    "once/image_raw": image(),
    "alone/image_raw": image(),
    "other/image_raw": image(),
    "other/camera_info": info_of(Intrinsics(60.0, 60.0, 31.5, 23.5, 640, 480)),
    "late/image_raw": image(),
    "late/camera_info": INFO,
    "depth/image_raw": image("32FC1", 4),
    "sosd/overlay": image(),
    "diagnostics": DiagnosticArray(
        status=[
            status("sosd: front", DiagnosticStatus.ERROR, "no image"),
            status("sosd: node", DiagnosticStatus.OK, "active"),
            status("motor", DiagnosticStatus.ERROR, "hot"),
        ]
    ),
}
ONCE = {
    "once/camera_info": INFO,
    "sosd/label_info/json": String(data="{}"),
    "second/sosd/label_info/json": String(data="{}"),
}
UNSTAMPED = {"late/image_raw", "late/camera_info"}  # half a century behind the clock
SILENT = "silent/image_raw"


@contextmanager
def somebody():
    """A node of its own process, as far as ROS is concerned."""
    context = Context()
    rclpy.init(context=context)
    node = Node("somebody", context=context)
    try:
        yield node
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)


@contextmanager
def publishing(node):
    """All that is published above: some of it once, the rest again and again."""
    node.create_publisher(Image, SILENT, 1)
    for topic, message in ONCE.items():
        node.create_publisher(type(message), topic, LATCHED).publish(message)
    ends = {topic: node.create_publisher(type(m), topic, 1) for topic, m in REPEATED.items()}
    ended = threading.Event()

    def go_on():
        while not ended.wait(0.05):
            for topic, message in REPEATED.items():
                if topic not in UNSTAMPED:
                    message.header.stamp = node.get_clock().now().to_msg()
                ends[topic].publish(message)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.fixture(scope="module")
def found(middleware):
    """The findings, as (level, text) by subject."""
    stamped = [topic for topic, m in {**REPEATED, **ONCE}.items() if hasattr(m, "height")]
    seconds, heard = SECONDS, cameras.Heard()
    with somebody() as node, publishing(node):
        while not (
            {f"/{topic}" for topic in stamped} <= heard.last.keys()
            and {f"/{topic}" for topic in (*ONCE, SILENT)} <= heard.kinds.keys()
            and heard.health
        ):
            heard = cameras.listen(seconds)
            seconds *= 2
    by_subject = {}
    for finding in cameras.findings(heard, SECONDS):
        by_subject.setdefault(finding.subject, []).append((finding.level, finding.what))
    return by_subject


def test_no_camera(middleware):
    [finding] = cameras.findings(cameras.Heard(), 1.0)
    assert (finding.subject, finding.level) == ("cameras", "look")


def test_a_camera_that_is_well(found):
    assert found["/front/image_raw"] == [("ok", "48x64 rgb8, frame 'camera'")]
    assert found["/front/camera_info"] == [("ok", "fx 60.0, fy 60.0, fits the images")]


def test_an_info_that_was_published_once(found):
    """Before anybody listened."""
    assert found["/once/camera_info"] == found["/front/camera_info"]


def test_a_camera_without_its_info(found):
    assert found["/alone/camera_info"] == [("look", "nobody publishes it")]


def test_an_info_of_another_size(found):
    [(level, what)] = found["/other/camera_info"]
    assert level == "look" and "640x480" in what


def test_stamps_of_another_clock(found):
    _, (level, what) = found["/late/image_raw"]
    assert level == "look"
    assert what.startswith("its stamps are ") and what.endswith(" s behind the clock")


def test_a_depth_image_is_not_for_the_node(found):
    [(level, what)] = found["/depth/image_raw"]
    assert level == "look" and "32FC1" in what


def test_a_camera_that_says_nothing(found):
    assert found[f"/{SILENT}"] == [
        ("look", f"somebody publishes it, but no image came in {SECONDS:g} s")
    ]


def test_a_perception_node_says_how_it_is(found):
    """What its diagnostics say, with their level; what it answers is no camera."""
    assert found["sosd: front"] == [("broken", "no image")]
    assert found["sosd: node"] == [("ok", "active")]
    assert not {"motor", "/sosd/overlay"} & found.keys()


def test_a_perception_node_that_is_silent(found):
    assert found["/second/sosd"] == [("look", "it says nothing on /diagnostics")]


def test_where_there_is_no_node_yet_it_is_said_how_to_start_it():
    heard = cameras.Heard(
        kinds={"/front/image_raw": Image},
        last={"/front/image_raw": image(), "/front/camera_info": INFO},
        ages={"/front/image_raw": 0.1},
    )
    *_, last = cameras.findings(heard, SECONDS)
    launch = "perception.launch.py image:=/front/image_raw camera_info:=/front/camera_info"
    assert last.level == "ok" and launch in last.what


def test_where_a_cameras_info_is():
    """Beside its images, whatever they are called and carried by."""
    assert cameras.info_topic("/front/image_raw") == "/front/camera_info"
    assert cameras.info_topic("/front/image_raw/compressed") == "/front/camera_info"
    assert cameras.info_topic("/image") == "/camera_info"
