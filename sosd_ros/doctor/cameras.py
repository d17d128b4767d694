"""The cameras and perception nodes that can be heard from here."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from .. import camera_info
from ..camera_info import doubts_of
from ..encodings import MessageError, to_rgb
from ..ros.topics import INPUT_QOS, LATCHED_QOS
from ..stamps import nanoseconds
from .finding import Finding

KINDS = {
    "sensor_msgs/msg/Image": Image,
    "sensor_msgs/msg/CompressedImage": CompressedImage,
    "sensor_msgs/msg/CameraInfo": CameraInfo,
    "diagnostic_msgs/msg/DiagnosticArray": DiagnosticArray,
}
OURS = "/label_info/json"  # below the name of a perception node
APART = 1.0  # seconds between a stamp and the clock, beyond which the two do not agree
LOST = "large messages get lost, or the publisher's middleware is another: see docs/middleware.md"


@dataclass
class Heard:
    """What came in a while.

    Attributes:
        kinds: of the topics that somebody publishes, by name.
        last: message of each topic.
        ages: seconds by which its stamp was behind the clock when it came.
        health: statuses of diagnostics by name, as they were last.
    """

    kinds: dict[str, type] = field(default_factory=dict)
    last: dict[str, Any] = field(default_factory=dict)
    ages: dict[str, float] = field(default_factory=dict)
    health: dict[str, DiagnosticStatus] = field(default_factory=dict)

    @property
    def nodes(self) -> list[str]:
        """Perception nodes, with their namespaces."""
        return sorted(name.removesuffix(OURS) for name in self.kinds if name.endswith(OURS))

    @property
    def images(self) -> list[str]:
        """Topics of cameras' images; what perception nodes answer is none."""
        ours = tuple(f"{node}/" for node in self.nodes)
        return sorted(
            name
            for name, kind in self.kinds.items()
            if kind in (Image, CompressedImage) and not name.startswith(ours)
        )


def listen(seconds: float) -> Heard:
    """Subscribe to all cameras and diagnostics that are found, for a while."""
    context = Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = Node("sosd_doctor", context=context)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        heard, end = Heard(), time.monotonic() + seconds
        while time.monotonic() < end:
            _subscribe(node, heard)
            executor.spin_once(timeout_sec=0.1)
        executor.shutdown()
        node.destroy_node()
        return heard
    finally:
        rclpy.shutdown(context=context)


def _subscribe(node: Node, heard: Heard) -> None:
    """To what has been found since the last time."""
    for topic, kinds in node.get_topic_names_and_types():
        if topic in heard.kinds or not (publishers := node.get_publishers_info_by_topic(topic)):
            continue
        kind = KINDS.get(kinds[0], object)
        heard.kinds[topic] = kind
        if kind is object:
            continue
        # What was published once is only sent again to those who ask for it, reliably.
        durabilities = {publisher.qos_profile.durability for publisher in publishers}
        qos = LATCHED_QOS if durabilities == {DurabilityPolicy.TRANSIENT_LOCAL} else INPUT_QOS
        node.create_subscription(kind, topic, _listener(node, heard, topic), qos)


def _listener(node: Node, heard: Heard, topic: str) -> Any:
    def note(message: Any) -> None:
        if isinstance(message, DiagnosticArray):
            heard.health.update((status.name, status) for status in message.status)
            return
        heard.last[topic] = message
        now = node.get_clock().now().nanoseconds
        heard.ages[topic] = (now - nanoseconds(message.header.stamp)) / 1e9

    return note


def findings(heard: Heard, seconds: float) -> Iterator[Finding]:
    """Of every camera and every perception node."""
    if not heard.images:
        yield Finding(
            "cameras",
            "look",
            f"no topic of images in {seconds:g} s",
            "start the camera's driver; on another machine, compare ROS_DOMAIN_ID and the network",
        )
    for topic in heard.images:
        yield from _of_images(heard, topic, seconds)
    for node in heard.nodes:
        yield from _of_node(heard, node)


def info_topic(images: str) -> str:
    """Where a camera's CameraInfo is by convention: beside its images."""
    return f"{images.removesuffix('/compressed').rpartition('/')[0]}/camera_info"


def _of_images(heard: Heard, topic: str, seconds: float) -> Iterator[Finding]:
    message = heard.last.get(topic)
    if message is None:
        what = f"somebody publishes it, but no image came in {seconds:g} s"
        yield Finding(topic, "look", what, LOST)
        return
    try:
        height, width, _ = to_rgb(message).shape
    except MessageError as error:
        yield Finding(
            topic, "look", f"not for the perception node: {error}", "choose another topic"
        )
        return
    form = message.encoding if isinstance(message, Image) else message.format
    what = f"{height}x{width} {form}, frame {message.header.frame_id!r}"
    yield Finding(topic, "ok", what)
    yield from _of_stamp(topic, heard.ages[topic])
    yield from _of_info(heard, topic, message, (width, height))


def _of_stamp(topic: str, age: float) -> Iterator[Finding]:
    if abs(age) > APART:
        what = f"its stamps are {abs(age):.1f} s {'behind' if age > 0 else 'ahead of'} the clock"
        yield Finding(
            topic,
            "look",
            what,
            "let all machines keep time by chrony; with a simulation or a bag, set use_sim_time",
        )


def _of_info(heard: Heard, topic: str, image: Any, size: tuple[int, int]) -> Iterator[Finding]:
    name = info_topic(topic)
    info = heard.last.get(name)
    if info is None:
        is_there = name in heard.kinds
        what = "no message came" if is_there else "nobody publishes it"
        cure = f"without one {topic} has labels, but no depth; name another one: camera_info:=TOPIC"
        yield Finding(name, "look", what, cure)
        return
    try:
        view = camera_info.for_image(info, image.header, size, topic=topic)
    except MessageError as error:
        yield Finding(name, "look", str(error), "see CameraInfo in docs/operations.md")
        return
    doubts = doubts_of(info, view, size, "sensor", "assumed", topic)
    for sentence in doubts.values():
        yield Finding(name, "look", sentence, "see CameraInfo in docs/operations.md")
    camera = view.camera
    yield Finding(name, "ok", f"fx {camera.fx:.1f}, fy {camera.fy:.1f}, fits the images")
    if not doubts and not heard.nodes:
        launch = f"ros2 launch sosd_ros perception.launch.py image:={topic} camera_info:={name}"
        yield Finding(topic, "ok", f"start the node with `{launch}`")


def _of_node(heard: Heard, node: str) -> Iterator[Finding]:
    """What a perception node says of itself on /diagnostics."""
    statuses = {
        name: status
        for name, status in heard.health.items()
        if name.startswith(f"{node.lstrip('/')}: ")
    }
    if not statuses:
        yield Finding(node, "look", "it says nothing on /diagnostics", LOST)
    for name, status in statuses.items():
        if status.level == DiagnosticStatus.OK:
            yield Finding(name, "ok", status.message)
        else:
            is_error = status.level == DiagnosticStatus.ERROR
            cure = "see Diagnostics in docs/operations.md"
            yield Finding(name, "broken" if is_error else "look", status.message, cure)
