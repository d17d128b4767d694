"""The camera and the listener of the demo: publishes frames and collects the answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header

from ..camera import Intrinsics
from ..ros import messages
from ..testbed.frames import Source
from .contact_sheet import Answer, tile

FRAME_ID = "camera_optical_frame"
TOPICS = {
    "/sosd/depth": Image,
    "/sosd/camera_info": CameraInfo,
    "/sosd/semantic": Image,
    "/sosd/points": PointCloud2,
}
Stamp = tuple[int, int]


class Player(Node):
    """Plays frames as a camera would, and notes when which answer arrives.

    Attributes:
        sent: time of publishing, by stamp.
        arrived: time of arrival by stamp, for each topic, in the order of arrival.
        answers: (image, depth, labels) of the last frame of each picture that was answered, at
            the size of a tile of the contact sheet.
        health: the values of the node's diagnostics, as they were last.
    """

    def __init__(self, source: Source) -> None:
        super().__init__("sosd_demo")
        self._source = source
        self._images = self.create_publisher(Image, "image", QoSProfile(depth=1))
        self._infos = self.create_publisher(CameraInfo, "camera_info", QoSProfile(depth=1))
        for topic, kind in TOPICS.items():
            self.create_subscription(kind, topic, self._listener(topic), QoSProfile(depth=10))
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_health, 10)
        self._pictures: dict[Stamp, tuple[int, np.ndarray]] = {}
        self._halves: dict[Stamp, dict[str, np.ndarray]] = {}
        self.finished = False
        self.wrong: list[str] = []
        self.sent: dict[Stamp, float] = {}
        self.arrived: dict[str, dict[Stamp, float]] = {topic: {} for topic in TOPICS}
        self.answers: dict[int, Answer] = {}
        self.health: dict[str, str] = {}

    def is_connected(self) -> bool:
        """Whether the perception node hears both inputs, and we hear all outputs and its health."""
        inputs = (self._images, self._infos)
        return (
            all(publisher.get_subscription_count() for publisher in inputs)
            and all(self.count_publishers(topic) for topic in TOPICS)
            and self.health.get("state") == "active"
        )

    def play_next(self) -> None:
        """Publish the next frame with its CameraInfo, stamped with the present time."""
        number, image = next(self._source.frames, (-1, None))
        if image is None:
            self.finished = True
            return
        header = Header(frame_id=FRAME_ID, stamp=self.get_clock().now().to_msg())
        stamp = _key(header.stamp)
        self._pictures[stamp] = (number, image)
        self.sent[stamp] = time.perf_counter()
        camera = self._source.intrinsics(image.shape[1], image.shape[0])
        self._infos.publish(_camera_info(header, camera))
        self._images.publish(messages.rgb_message(header, image))

    def last_is_answered(self) -> bool:
        last = next(reversed(self.sent))
        return all(last in stamps for stamps in self.arrived.values())

    def _listener(self, topic: str) -> Callable[[Any], None]:
        def listen(message: Any) -> None:
            stamp = _key(message.header.stamp)
            if stamp not in self.sent or message.header.frame_id != FRAME_ID:
                self.wrong.append(f"{topic}: stamp {stamp}, frame {message.header.frame_id!r}")
                return
            self.arrived[topic][stamp] = time.perf_counter()
            if topic in ("/sosd/depth", "/sosd/semantic"):
                self._keep(topic, stamp, message)

        return listen

    def _on_health(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == "sosd: node":
                self.health = {entry.key: entry.value for entry in status.values}

    def _keep(self, topic: str, stamp: Stamp, message: Image) -> None:
        """Put the two halves of an answer together."""
        dtype = np.float32 if message.encoding == "32FC1" else np.uint8
        pixels = np.frombuffer(message.data, dtype).reshape(message.height, message.width)
        halves = self._halves.setdefault(stamp, {})
        halves[topic] = pixels
        if len(halves) == 2:
            number, image = self._pictures[stamp]
            answer = (image, halves["/sosd/depth"], halves["/sosd/semantic"])
            self.answers[number] = tile(answer)
            # Frames without an answer so far were passed over; none comes late.
            for old in [old for old in self._pictures if old <= stamp]:
                del self._pictures[old]
                self._halves.pop(old, None)


def _key(stamp: Time) -> Stamp:
    return stamp.sec, stamp.nanosec


def _camera_info(header: Header, camera: Intrinsics) -> CameraInfo:
    return CameraInfo(
        header=header,
        width=camera.width,
        height=camera.height,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=[camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[camera.fx, 0.0, camera.cx, 0.0, 0.0, camera.fy, camera.cy, 0.0, 0.0, 0.0, 1.0, 0.0],
    )
