"""A camera that plays frames to a node, and hears its answers."""

from __future__ import annotations

import itertools
import operator
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from subprocess import Popen
from typing import Any, TypeVar

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from ..ros.topics import KINDS
from ..stamps import nanoseconds
from .process import NodeError, check_running

FRAME_ID = "camera_optical_frame"
QUEUE = 10  # messages that either end keeps, as drivers and listeners commonly do
START_TIMEOUT = 600.0  # seconds; a busy machine reads torch and compiles kernels for minutes
RETRY = 0.5  # seconds until a frame that discovery may have missed is sent again
T = TypeVar("T")


class Camera:
    """Publishes frames when told to, and notes when which answer comes.

    Stamps are in nanoseconds, times in seconds of ``time.monotonic``.

    Args:
        name: of its ROS node.
        context: that it lives in; by default rclpy's own.
        process: of the node under test, which has to live while the camera spins.
        peer: name of the node under test, below which its answers are.
        below: what stands before its topics, as ``front/`` of several cameras.
        kind: of its images, Image or CompressedImage.
        queue: messages that either end keeps.

    Attributes:
        sent: time of publishing by stamp.
        arrived: (stamp, time) of the answers by topic, in the order of arrival.
        answered: time of the last of its answers by stamp, of the frames that have all of them.
        health: statuses of the diagnostics by name, as they were last.
        health_time: the diagnostics' stamp; 0 before the first.
        on_answer: called with the topic and the message of each answer once it is noted.
    """

    def __init__(
        self,
        name: str,
        context: Context | None = None,
        process: Popen | None = None,
        peer: str = "sosd",
        below: str = "",
        kind: type = Image,
        queue: int = QUEUE,
    ) -> None:
        self.node = rclpy.create_node(name, context=context)
        self.executor = SingleThreadedExecutor(context=context)
        self.executor.add_node(self.node)
        topic = "image/compressed" if kind is CompressedImage else "image"
        self.images: Any = self.node.create_publisher(kind, f"{below}{topic}", queue)
        self.infos: Any = self.node.create_publisher(CameraInfo, f"{below}camera_info", queue)
        self._process = process
        self._outputs = f"/{peer}/{below}"
        self._queue = queue
        self.arrived: dict[str, list[tuple[int, float]]] = {}
        self.health: dict[str, DiagnosticStatus] = {}
        self.health_time = 0
        self.on_answer: Callable[[str, Any], None] = lambda topic, message: None
        self.forget()

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()

    def forget(self) -> None:
        """Begin anew, with no frame sent and none answered."""
        self.sent: dict[int, float] = {}
        self.arrived = {topic: [] for topic in self.arrived}
        self.answered: dict[int, float] = {}
        self._topics: defaultdict[int, set[str]] = defaultdict(set)

    def subscribe(self, topic: str, **options: Any) -> None:
        """Listen to an answer; ``options`` are those of the subscription."""
        self.arrived[topic] = []
        name, hear = self._outputs + topic, partial(self._hear, topic)
        self.node.create_subscription(KINDS[topic], name, hear, self._queue, **options)

    def listen_diagnostics(self) -> None:
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._note_health, QUEUE)

    def is_connected(self) -> bool:
        """Whether somebody hears both of its topics, and gives all answers."""
        inputs = (self.images, self.infos)
        return all(publisher.get_subscription_count() for publisher in inputs) and all(
            map(self.publishers_of, self.arrived)
        )

    def publishers_of(self, topic: str) -> int:
        """How many nodes give this answer."""
        return int(self.node.count_publishers(self._outputs + topic))

    def header(self) -> Header:
        """Of the present time."""
        return Header(frame_id=FRAME_ID, stamp=self.node.get_clock().now().to_msg())

    def send(self, image: Image | CompressedImage, info: CameraInfo | None = None) -> int:
        """Publish an image, after its CameraInfo if there is one, which gets its header.

        Returns:
            Its stamp.
        """
        stamp = nanoseconds(image.header.stamp)
        self.sent[stamp] = time.monotonic()
        if info is not None:
            info.header = image.header
            self.infos.publish(info)
        self.images.publish(image)
        return stamp

    def send_until(self, condition: Callable[[], object], send: Callable[[], object]) -> None:
        """Send frames until ``condition()`` is true, such as that one is answered.

        Discovery has two sides: only an answer proves that the node knows us.

        Raises:
            NodeError: if it ends, or takes too long.
        """
        deadline = time.monotonic() + START_TIMEOUT
        while not condition():
            if time.monotonic() > deadline:
                topics = ", ".join(self.arrived)
                raise NodeError(f"no frame was answered on {topics} within {START_TIMEOUT:g} s")
            send()
            self.spin_until(condition, RETRY)

    def last_is_answered(self) -> bool:
        """Whether the frame that was sent last has all of its answers."""
        return next(reversed(self.sent)) in self.answered

    def values(self, name: str) -> dict[str, str]:
        """What the diagnostics say of ``node``, ``camera`` or ``camera front``; may be empty."""
        status = self.health.get(f"sosd: {name}")
        return {pair.key: pair.value for pair in status.values} if status else {}

    def spin_until(self, condition: Callable[[], T], timeout: float) -> T:
        """Spin until ``condition()`` is true, or for ``timeout`` seconds; what it was at last.

        Raises:
            NodeError: if the node under test ends.
        """
        deadline = time.monotonic() + timeout
        while not (value := condition()) and (rest := deadline - time.monotonic()) > 0:
            if self._process is not None:
                check_running(self._process)
            self.executor.spin_once(timeout_sec=min(rest, 0.1))
        return value

    def ticks(self, rate: float) -> Iterator[int]:
        """Count from 0 at ``rate`` Hz without end, and spin in between.

        By the schedule, not from one to the next, so that what is late does not add up.
        """
        start = time.monotonic()
        for number in itertools.count():
            self.spin_until(lambda: False, start + number / rate - time.monotonic())
            yield number

    def wait_until_active(self) -> None:
        """Wait for the perception node that was just started.

        It starts to say its state when it has been configured and activated, or was not to be.

        Raises:
            NodeError: if it ends, cannot be configured, or takes too long.
        """
        state = self.state_of("/sosd", START_TIMEOUT)
        if state is None:
            raise NodeError(f"the node was not ready within {START_TIMEOUT:g} s")
        if state != State.PRIMARY_STATE_ACTIVE:
            raise NodeError("the node could not be configured; its log above says why")

    def state_of(self, node: str, timeout: float) -> int | None:
        """A node's life-cycle state; ``None`` if it does not say it within ``timeout`` seconds.

        A service throws away the answer to a client that it has not heard of yet, although the
        client may know the service: discovery has two sides. So this asks until it is answered.
        """
        client: Any = self.node.create_client(GetState, f"{node}/get_state")
        patience = itertools.accumulate(itertools.repeat(2), operator.mul, initial=0.1)

        def ask() -> Any:
            return client.service_is_ready() and self.ask(
                client, GetState.Request(), min(next(patience), timeout)
            )

        answer = self.spin_until(ask, timeout)
        self.node.destroy_client(client)
        return answer.current_state.id if answer else None

    def ask(self, client: Any, request: Any, timeout: float) -> Any:
        """A service's answer; ``None`` if none comes within ``timeout`` seconds."""
        future = client.call_async(request)
        return future.result() if self.spin_until(future.done, timeout) else None

    def _hear(self, topic: str, message: Any) -> None:
        stamp, now = nanoseconds(message.header.stamp), time.monotonic()
        self.arrived[topic].append((stamp, now))
        self._topics[stamp].add(topic)
        if len(self._topics[stamp]) == len(self.arrived):
            self.answered[stamp] = now
        self.on_answer(topic, message)

    def _note_health(self, message: DiagnosticArray) -> None:
        self.health |= {status.name: status for status in message.status}
        self.health_time = nanoseconds(message.header.stamp)
