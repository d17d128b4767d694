"""A camera's inputs over real DDS: under which names, and from which publishers, they are heard."""

from __future__ import annotations

import time

import pytest
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.time import Time
from robot import BEST_EFFORT, LATCHED, TIMEOUT, camera_info
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from sosd_ros.ros.topics import CameraTopics

VOLATILE = QoSProfile(depth=1)


class Ears:
    """The topics of one camera, without a network behind them."""

    def __init__(self, name="", transport="raw", remaps=(), namespace=None):
        arguments = [word for remap in remaps for word in ("-r", remap)]
        self.node = LifecycleNode(
            "sosd", namespace=namespace, cli_args=["--ros-args", *arguments, "--"]
        )
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.infos, self.images, self.misfits = [], [], []
        self.topics = CameraTopics(
            self.node, name, set(), lambda *misfit: self.misfits.append(misfit)
        )
        self.topics.subscribe(transport, self.images.append, self._on_info, lambda lost: None)

    def _on_info(self, info):
        self.infos.append(info.header.stamp.sec)
        self.topics.infos.add(info)

    def wait(self, condition):
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            assert time.monotonic() < deadline, f"heard {self.infos}"
            self.executor.spin_once(timeout_sec=0.1)

    def close(self):
        self.topics.destroy()
        self.executor.shutdown()
        self.node.destroy_node()


@pytest.fixture
def listen():
    """Make ears; they are closed with the test."""
    made = []

    def make(*arguments, **options):
        made.append(Ears(*arguments, **options))
        return made[-1]

    yield make
    for ears in made:
        ears.close()


def info(seconds):
    message = camera_info()
    message.header.stamp.sec = seconds
    return message


# Names


@pytest.mark.parametrize(
    ("options", "topic"),
    [
        ({}, "/image/compressed"),
        ({"remaps": ["image:=/camera/image"]}, "/camera/image/compressed"),
        ({"remaps": ["sosd:image:=/camera/image"]}, "/camera/image/compressed"),
        (
            {"remaps": ["image:=image_rect"], "namespace": "/robot1"},
            "/robot1/image_rect/compressed",
        ),
        ({"remaps": ["__ns:=/robot1", "image:=a/b"]}, "/robot1/a/b/compressed"),
        ({"name": "front", "remaps": ["front/image:=/cam1/image"]}, "/cam1/image/compressed"),
        ({"name": "front", "namespace": "/robot1"}, "/robot1/front/image/compressed"),
        ({"remaps": ["image/compressed:=/jpegs"]}, "/jpegs"),  # the transport's own topic
        ({"remaps": ["image:=/a", "image/compressed:=/b"]}, "/a/compressed"),
        ({"remaps": ["image:=/a", "/a/compressed:=/b"]}, "/b"),
    ],
    ids=str,
)
def test_a_compressed_topic_follows_the_remap_of_its_base(listen, options, topic):
    """image_transport's rule: the base is remapped, then the transport's name is added."""
    assert listen(transport="compressed", **options).topics.image_topic == topic


def test_images_come_by_the_remapped_topic(listen):
    """Raw and compressed, each to who asked for it."""
    for transport, kind, topic in (
        ("raw", Image, "/camera/image"),
        ("compressed", CompressedImage, "/camera/image/compressed"),
    ):
        ears = listen(transport=transport, remaps=["image:=/camera/image"])
        publisher = ears.node.create_publisher(kind, topic, VOLATILE)
        ears.wait(lambda publisher=publisher: publisher.get_subscription_count())
        publisher.publish(kind())
        ears.wait(lambda ears=ears: ears.images)


# CameraInfos


@pytest.mark.parametrize("qos", [LATCHED, VOLATILE, BEST_EFFORT], ids=["latched", "volatile", "be"])
@pytest.mark.parametrize("comes_first", ["publisher", "node"])
def test_a_camera_info_is_heard_of_every_publisher(listen, camera, qos, comes_first):
    """One that keeps it is heard by who comes later; all are heard by who is there."""
    if comes_first == "node":
        ears = listen()
    publisher = camera.node.create_publisher(CameraInfo, "camera_info", qos)
    if comes_first == "publisher":
        publisher.publish(info(7))
        ears = listen()
        if qos is not LATCHED:
            ears.wait(publisher.get_subscription_count)
            assert ears.infos == []
    else:
        ears.wait(publisher.get_subscription_count)
    if qos is LATCHED and comes_first == "publisher":
        ears.wait(lambda: ears.infos == [7])
    publisher.publish(info(8))
    ears.wait(lambda: 8 in ears.infos)
    assert not ears.misfits


def test_one_that_spoke_before_it_was_known_is_heard(listen, camera):
    """A static camera that starts after the node, says its one word and goes on with images."""
    ears = listen()
    publisher = camera.node.create_publisher(CameraInfo, "camera_info", LATCHED)
    publisher.publish(info(7))
    ears.wait(lambda: ears.infos)
    ears.wait(lambda: ears.topics.has_latched_info)
    camera.node.destroy_publisher(publisher)
    ears.wait(lambda: not ears.topics.has_latched_info)
    assert set(ears.infos) == {7}  # perhaps by both subscriptions


def test_both_kinds_at_once_are_both_heard(listen, camera):
    """Who keeps its CameraInfo does not shut out who does not."""
    kept = camera.node.create_publisher(CameraInfo, "camera_info", LATCHED)
    kept.publish(info(1))
    ears = listen()
    ears.wait(lambda: ears.infos == [1])
    volatile = camera.node.create_publisher(CameraInfo, "camera_info", VOLATILE)
    ears.wait(volatile.get_subscription_count)
    for seconds in (2, 3, 4):
        for publisher in (volatile, kept):
            publisher.publish(info(10 * seconds + (publisher is kept)))
            ears.wait(lambda s=10 * seconds + (publisher is kept): s in ears.infos)
    assert not ears.misfits


def test_an_ordinary_driver_is_not_warned_of_us(listen, camera):
    """A subscription that asks for more than is offered would have every driver warn of it."""
    publisher = camera.node.create_publisher(CameraInfo, "camera_info", VOLATILE)
    ears = listen()
    ears.wait(publisher.get_subscription_count)
    publisher.publish(info(1))
    ears.wait(lambda: ears.infos)
    peers = camera.node.get_subscriptions_info_by_topic("camera_info")
    assert [peer.qos_profile.durability for peer in peers] == [DurabilityPolicy.VOLATILE]


# The stream


def test_a_stream_that_ends_leaves_nothing_to_the_next(listen):
    """Of a simulation whose stamps went back, the clock is believed again."""
    ears = listen()
    ears.node.set_parameters([Parameter("use_sim_time", value=True)])
    clock = ears.node.get_clock()
    clock.set_ros_time_override(Time(seconds=60, clock_type=clock.clock_type))
    age = [ears.topics.age.is_exceeded(seconds * 10**9, 1.0) for seconds in (60, 1)]
    assert age == [False, False]
    ears.topics.unsubscribe()
    assert ears.topics.age.is_exceeded(10**9, 1.0)
    assert not ears.topics.order.step_back(0)
