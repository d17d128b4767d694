"""A camera that plays the sample frames to a node under test, and hears its answers."""

from __future__ import annotations

import itertools
import re
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import cv2
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header

from ..ros import messages
from ..ros.stamps import nanoseconds
from ..testbed.frames import open_source

FRAME_ID = "camera_optical_frame"
ANSWERS = {"depth": Image, "semantic": Image, "confidence": Image, "points": PointCloud2}
OF_SPREAD = {"depth_uncertainty": Image}  # of weights that say how unsure they are
QUEUE = 10  # messages that either end keeps, as drivers and listeners commonly do


class Camera(Node):
    """Publishes frames when told to, and notes when which answer comes.

    Args:
        name: of the node under test, below which its answers are.
        size: (height, width) of the frames.
        context: that the camera lives in.
        answers: types of the topics that it listens to.

    Attributes:
        sent: time of publishing by stamp, in nanoseconds; times are of ``time.monotonic``.
        arrived: time of arrival by topic, by stamp.
        last_heard: when the last answer came; minus infinity before the first.
        newest: stamp of the newest frame that has all of its answers; 0 before the first.
        keeps: whether to keep the answers, which are megabytes.
        kept: those answers by topic, by stamp.
        stages: median milliseconds by stage, which the node under test says of its last frames.
    """

    def __init__(
        self,
        name: str,
        size: tuple[int, int],
        context: Context,
        answers: Mapping[str, type] = ANSWERS,
    ) -> None:
        super().__init__("sosd_benchmark", context=context)
        self._images = self.create_publisher(Image, "image", QUEUE)
        self._infos = self.create_publisher(CameraInfo, "camera_info", QUEUE)
        self.topics = tuple(answers)
        for topic, kind in answers.items():
            self.create_subscription(kind, f"/{name}/{topic}", self._listener(topic), QUEUE)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._note_stages, QUEUE)
        self.stages: dict[str, float] = {}
        self._name = name
        # Made once: a camera's own work should not show in the figures.
        self._pictures = _frames(size)
        self.keeps = False
        self.forget()

    def forget(self) -> None:
        """Begin anew at the first picture, with none sent and none answered."""
        self._frames = itertools.cycle(self._pictures)
        self.kept: defaultdict[int, dict[str, Any]] = defaultdict(dict)
        self.sent: dict[int, float] = {}
        self.arrived: defaultdict[int, dict[str, float]] = defaultdict(dict)
        self.last_heard = float("-inf")
        self.newest = 0

    def is_connected(self) -> bool:
        """Whether the node under test hears both inputs, and we hear all of its outputs."""
        inputs = (self._images, self._infos)
        return all(publisher.get_subscription_count() for publisher in inputs) and all(
            self.publishers_of(topic) for topic in self.topics
        )

    def publishers_of(self, topic: str) -> int:
        """How many nodes give this answer."""
        return int(self.count_publishers(f"/{self._name}/{topic}"))

    def send(self) -> int:
        """Publish the next frame with its CameraInfo, of the present time; its stamp."""
        image, info = next(self._frames)
        header = Header(frame_id=FRAME_ID, stamp=self.get_clock().now().to_msg())
        stamp = nanoseconds(header.stamp)
        self.sent[stamp] = time.monotonic()
        image.header = info.header = header
        self._infos.publish(info)
        self._images.publish(image)
        return stamp

    def is_answered(self, stamp: int) -> bool:
        return len(self.arrived[stamp]) == len(self.topics)

    def answered(self) -> dict[int, float]:
        """When the last of its answers came, for each frame that has all of them, by stamp."""
        return {
            stamp: max(self.arrived[stamp].values())
            for stamp in self.sent
            if self.is_answered(stamp)
        }

    def _note_stages(self, message: DiagnosticArray) -> None:
        for item in (item for status in message.status for item in status.values):
            if stage := re.fullmatch(r"latency (\w+) p50 \[ms\]", item.key):
                self.stages[stage[1]] = float(item.value)

    def _listener(self, topic: str) -> Callable[[Any], None]:
        def listen(message: Any) -> None:
            self.last_heard = time.monotonic()
            stamp = nanoseconds(message.header.stamp)
            self.arrived[stamp][topic] = self.last_heard
            if self.keeps:
                self.kept[stamp][topic] = message
            if self.is_answered(stamp):
                self.newest = max(self.newest, stamp)

        return listen


def _frames(size: tuple[int, int]) -> list[tuple[Image, CameraInfo]]:
    """The sample frames at ``size``, each with what describes its camera; without headers."""
    height, width = size
    source = open_source(None, rate=1)
    camera = source.intrinsics(width, height)
    p = [camera.fx, 0.0, camera.cx, 0.0, 0.0, camera.fy, camera.cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    info = CameraInfo(width=width, height=height, distortion_model="plumb_bob", d=[0.0] * 5, p=p)
    info.k = [number for i, number in enumerate(p) if i % 4 < 3]
    info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    resized = (
        cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        for _, image in source.frames
    )
    return [(messages.rgb_message(Header(), image), info) for image in resized]
