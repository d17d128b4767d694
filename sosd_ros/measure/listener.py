"""Hears what a perception node answers, and says why nothing comes."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from operator import methodcaller
from typing import Any, NamedTuple

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.srv import GetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image
from std_msgs.msg import String

from .. import camera_info
from ..labels import UNLABELLED, LabelSet
from ..ros import messages
from ..ros.generations import steady_clock
from ..ros.topics import INPUT_QOS, KINDS, LATCHED_QOS
from ..stamps import nanoseconds
from ..testbed.process import carry_large_messages
from .reading import Measurable

TOPICS = ("depth", "camera_info", "semantic", "confidence", "depth_uncertainty")
NEEDED = 2  # of them, the first; the others are there if the network answers them
PATIENCE = 5.0  # seconds until it is said why nothing comes, and between two looks at that
ASK_EVERY = 1.0  # seconds between two looks at the node's parameters
MOST_STAMPS = 8  # whose answers have not all come yet


PARAMETERS = ("depth_scale", "rectified", "scale.apply")


class NodeParameters(NamedTuple):
    """Their values."""

    depth_scale: float
    rectified: str
    applies_scale: bool


class Listener:
    """Puts together what a perception node answers for each image.

    Args:
        context: that it lives in.
        peer: name of the node, with its namespace.
        camera: one of several of the node; may be empty.
        name: our own.
        topics: that answer an image; the first ``NEEDED`` are always there.

    Attributes:
        settings: of the node, as they were in the last second; ``None`` while they are not known.
        scale: what the node estimates it as, in words; empty if it does not.
        labels: its classes; ``None`` while they are not known.
        on_health: called with the values of the node's and of the camera's diagnostics.
    """

    def __init__(
        self,
        context: Context,
        peer: str,
        camera: str = "",
        name: str = "sosd_measure",
        topics: Sequence[str] = TOPICS,
    ) -> None:
        self._peer = f"/{peer.lstrip('/')}"
        self._status = f"{self._peer.lstrip('/')}: camera {camera}".rstrip()
        self._below = f"{self._peer}/{camera}/" if camera else f"{self._peer}/"
        self._topics = topics
        self._node = Node(name, context=context)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self._node)
        self._health: dict[str, DiagnosticStatus] = {}
        self._rays = lru_cache(maxsize=1)(methodcaller("rays"))
        self._asked: Any = None  # a future
        self.settings: NodeParameters | None = None
        self.scale = ""
        self.labels: LabelSet | None = None
        self.on_health: Callable[[Mapping[str, str]], None] = lambda values: None
        self._pending: dict[int, dict[str, Any]] = {}  # by stamp and topic
        self._whole: dict[str, Any] | None = None  # the last that has all
        for topic in topics:
            self._listen(KINDS[topic], self._below + topic, partial(self._hear, topic), INPUT_QOS)
        self._listen(String, f"{self._peer}/label_info/json", self._note_labels, LATCHED_QOS)
        self._listen(DiagnosticArray, "/diagnostics", self._note_health, 10)
        self._client: Any = self._node.create_client(GetParameters, f"{self._peer}/get_parameters")
        self._node.create_timer(ASK_EVERY, self._ask, clock=steady_clock())

    def close(self) -> None:
        self._executor.shutdown()
        self._node.destroy_node()

    def name_of(self, label: int) -> str:
        """Of a class."""
        if label == UNLABELLED:
            return "unlabelled"
        names = self.labels.names if self.labels else ()
        return names[label] if label < len(names) else f"class {label}"

    def next(self, say: Callable[[str], None]) -> Measurable:
        """Wait for the next image's answers, of ``TOPICS``.

        Args:
            say: is told why nothing comes, in a sentence, and again if that changes.

        Raises:
            ValueError: if the CameraInfo cannot be used.
        """
        answers = self.messages(say, lambda: self.settings is not None)
        assert self.settings is not None
        return self._frame(answers, self.settings)

    def messages(
        self, say: Callable[[str], None], is_ready: Callable[[], bool] = lambda: True
    ) -> dict[str, Any]:
        """Wait for the next image's answers, messages by topic, and until ``is_ready()``."""
        self._whole, looked, said = None, time.monotonic(), ""
        self._health.clear()  # a node that has ended would seem to be well
        while self._whole is None or not is_ready():
            with _uninterrupted():
                self._executor.spin_once(timeout_sec=0.1)
            if time.monotonic() - looked > PATIENCE:
                looked = time.monotonic()
                if (trouble := self._trouble()) != said:
                    say(trouble)
                said = trouble
        return self._whole

    def refresh(self, say: Callable[[str], None]) -> None:
        """Forget what was heard while nobody waited, which the middleware has kept."""
        self.settings = None
        self._pending.clear()
        self._ask()
        self.next(say)  # of each topic it keeps one message

    def _listen(self, kind: type, topic: str, callback: Callable[[Any], None], qos: Any) -> None:
        # rclpy counts a callback's arguments: partial objects confuse it.
        self._node.create_subscription(kind, topic, lambda message: callback(message), qos)

    def _hear(self, topic: str, message: Any) -> None:
        stamp = nanoseconds(message.header.stamp)
        answers = self._pending.setdefault(stamp, {})
        answers[topic] = message
        if self._expected() <= answers.keys():
            self._whole = answers
            self._pending.clear()
        elif len(self._pending) > MOST_STAMPS:
            del self._pending[next(iter(self._pending))]

    def _expected(self) -> set[str]:
        """The topics that every image is answered on."""
        offered = (topic for topic in self._topics if self._is_offered(topic))
        return {*self._topics[:NEEDED], *offered}

    def _is_offered(self, topic: str) -> bool:
        return bool(self._node.count_publishers(self._below + topic))

    def _frame(self, answers: dict[str, Any], settings: NodeParameters) -> Measurable:
        depth, info = answers["depth"], answers["camera_info"]
        rectified = "rays" if settings.rectified == "rays" else "true"
        size = depth.width, depth.height
        view = camera_info.for_image(info, depth.header, size, rectified=rectified)
        planes = {
            topic: messages.plane(answers[topic]) for topic in TOPICS[NEEDED:] if topic in answers
        }
        return Measurable(
            _metres(depth),
            self._rays(view.lens or view.camera),
            planes.get("semantic"),
            planes.get("confidence"),
            planes.get("depth_uncertainty"),
        )

    # What the node is and has

    def _ask(self) -> None:
        """Ask for its parameters anew: what was answered before we were known is lost."""
        if self._asked is not None:
            self._client.remove_pending_request(self._asked)
            self._asked = None
        if self._client.service_is_ready():
            request = GetParameters.Request(names=list(PARAMETERS))
            self._asked = self._client.call_async(request)
            self._asked.add_done_callback(self._note_settings)

    def _note_settings(self, asked: Any) -> None:
        if asked is self._asked and (answer := asked.result()) is not None:
            values: list[Any] = [parameter_value_to_python(value) for value in answer.values]
            self.settings = NodeParameters(*values) if len(values) == len(PARAMETERS) else None

    def _note_labels(self, message: String) -> None:
        self.labels = LabelSet.from_dict(json.loads(message.data))

    def _note_health(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.startswith(f"{self._peer.lstrip('/')}: "):
                self._health[status.name] = status
            values = {pair.key: pair.value for pair in status.values}
            if status.name == self._status:
                self.scale = scale_of(values)
            if status.name in (self._status, f"{self._peer.lstrip('/')}: node"):
                self.on_health(values)

    def _trouble(self) -> str:
        """Why nothing comes, and what to do."""
        ill = [s for s in self._health.values() if s.level != DiagnosticStatus.OK]
        if ill:
            return "; ".join(f"{status.name}: {status.message}" for status in ill)
        if not any(map(self._is_offered, self._topics[:NEEDED])):
            if not self._health:
                return (
                    f"no node {self._peer} is heard: start it, or name it with --node; from "
                    "another machine, the network and ROS_DOMAIN_ID have to be the same"
                )
            return (
                f"{self._peer} does not publish {self._below}{self._topics[0]}: name one of its "
                "cameras with --camera, and check that its network answers depth"
            )
        missing = sorted(self._expected() - {t for said in self._pending.values() for t in said})
        if missing:
            topics = ", ".join(self._below + topic for topic in missing)
            return f"nothing comes on {topics}: see docs/middleware.md"
        if self.settings is None:
            return (
                f"{self._peer} does not answer requests for its parameters "
                f"{' and '.join(PARAMETERS)}: check that it is a perception node of this version"
            )
        return (
            f"no image is answered on all of {', '.join(sorted(self._expected()))}: let their "
            "publish_rate be equal, or 0"
        )


@contextmanager
def listening(*arguments: Any, **options: Any) -> Iterator[Listener]:
    """A listener in a context of its own, made with these arguments; signals stay with Python."""
    carry_large_messages()
    context = Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    try:
        listener = Listener(context, *arguments, **options)
        try:
            yield listener
        finally:
            listener.close()
    finally:
        rclpy.shutdown(context=context)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait for its end.

    rclpy's C++ calls Python, and takes an exception of a signal there for a message that cannot be
    taken. No such exception comes in another thread than the main one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    kept = {
        each: signal.signal(each, lambda number, frame: came.append(number))
        for each in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for each, handler in kept.items():
            signal.signal(each, handler)
        if came:
            signal.raise_signal(came[0])


def scale_of(values: Mapping[str, str]) -> str:
    """What diagnostics of a camera say of its scale, in words; empty if nothing."""
    if "scale factor" not in values:
        return ""
    if not values["scale factor"]:
        return f"no scale: {values['scale not renewed']}"
    shift, applied = float(values["scale shift [m]"]), values["scale applied"] == "true"
    return (
        f"scale {values['scale factor']}{f' and {shift:+.2f} m' if shift else ''} +- "
        f"{values['scale spread [%]']}% by {values['scale points']} points in "
        f"{values['scale frames']} frames, {'' if applied else 'not '}applied"
    )


def _metres(depth: Image) -> np.ndarray:
    """(H, W) float32, NaN where there is no depth."""
    values = messages.plane(depth)
    if values.dtype == np.uint16:  # millimetres, of which 0 are none
        return np.where(values > 0, np.float32(0.001) * values, np.float32(np.nan))
    return values
