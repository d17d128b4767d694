"""A robot around the real node: the node as a process, and a camera and listeners over Fast DDS."""

from __future__ import annotations

import itertools
import operator
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import rclpy
import rclpy.time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import ChangeState, GetState
from processes import ROOT, ForkedProcess
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header

from sosd_ros.ros import messages

FRAME = "camera_optical_frame"
TIMEOUT = 90.0  # seconds, for a machine that is busy with something else; not a speed limit
OUTPUTS = {"depth": Image, "camera_info": CameraInfo, "semantic": Image, "points": PointCloud2}
FOR_PEOPLE = {"confidence": Image, "overlay": Image, "depth/colored": Image}
OF_SPREAD = {"depth_uncertainty": Image}  # of weights that say how unsure depth is


class NodeProcess:
    """The perception node as ``python -m sosd_ros.ros.node``, with its log in a file.

    Args:
        log: the file.
        program: what is run instead, with its arguments.
        forked: whether the process is spared the imports and Python's own end, see ``processes``.
        parameters: of the node.
    """

    def __init__(self, log: Path, program=("-m", "sosd_ros.ros.node"), forked=True, **parameters):
        arguments = [f"{name}:={value}" for name, value in parameters.items()]
        pairs = itertools.chain.from_iterable(("-p", argument) for argument in arguments)
        program = [*map(str, program), "--ros-args", *pairs, "--log-level", "sosd:=debug"]
        self.log_path = log
        log.touch()
        if forked:
            self.process = ForkedProcess(program, log, log)
            return
        with log.open("a") as file:
            self.process = subprocess.Popen(
                [sys.executable, *program],
                stdout=file,
                stderr=file,
                cwd=ROOT,
                # A program elsewhere would else find an installed package.
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def end(self, signal_number=signal.SIGINT) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(signal_number)
        try:
            return self.process.wait(TIMEOUT)
        finally:
            self.process.kill()


class Camera:
    """Publishes images and hears the answers; waits for events and never for a duration.

    Args:
        image_type: Image or CompressedImage.
        image_topic: where images go, below the camera's name.
        make_image: makes the image message of a header.
        name: of the camera, whose topics lie below it.
    """

    _seconds = itertools.count(1000)  # for all cameras, so that no two messages share a stamp

    def __init__(self, image_type=Image, image_topic="image", make_image=None, name=""):
        self.below = f"{name}/" if name else ""
        self.make_image = make_image or (lambda header: rgb(header, picture()))
        self.node = rclpy.create_node("test_camera")
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.images = self.node.create_publisher(image_type, f"{self.below}{image_topic}", 10)
        self.infos = self.node.create_publisher(CameraInfo, f"{self.below}camera_info", 10)
        self.heard = {}
        self.health = {}

    def close(self):
        self.executor.shutdown()
        self.node.destroy_node()

    def wait(self, condition, what):
        """Spin until ``condition()`` is true; its value."""
        deadline = time.monotonic() + TIMEOUT
        while not (value := condition()):
            assert time.monotonic() < deadline, f"timed out waiting for {what}"
            self.executor.spin_once(timeout_sec=0.1)
        return value

    def listen(self, *topics):
        """Subscribe to outputs, and play frames until an answer has come on each.

        Discovery has two sides, and only an answer proves that the node knows of us.
        """
        for topic in topics:
            heard = self.heard.setdefault(topic, [])
            self.node.create_subscription(
                (OUTPUTS | FOR_PEOPLE | OF_SPREAD)[topic],
                f"/sosd/{self.below}{topic}",
                heard.append,
                QoSProfile(depth=50),
            )
        self.wait(self._is_heard(topics), "a first answer")

    def listen_latched(self, kind, topic):
        """Subscribe to a topic whose last message is kept; the list of what is heard."""
        heard = self.heard.setdefault(topic, [])
        qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.node.create_subscription(kind, topic, heard.append, qos)
        return heard

    def listen_diagnostics(self):
        """Note the latest diagnostics, until the first have come."""

        def note(array):
            self.health |= {status.name: status for status in array.status}
            self.health_time = rclpy.time.Time.from_msg(array.header.stamp)

        self.node.create_subscription(DiagnosticArray, "/diagnostics", note, 10)
        self.wait(lambda: self.health, "diagnostics")

    def status(self, name) -> DiagnosticStatus | None:
        """The latest status of ``node``, ``camera`` or ``camera front``."""
        return self.health.get(f"sosd: {name}")

    def values(self, name) -> dict[str, str]:
        """The key-value pairs of a status; none before it has come."""
        status = self.status(name)
        return {pair.key: pair.value for pair in status.values} if status else {}

    def fresh_values(self, name) -> dict[str, str]:
        """The same, from diagnostics that were made after this call."""
        now = self.node.get_clock().now()
        self.wait(lambda: self.health_time > now, "fresh diagnostics")
        return self.values(name)

    def wait_for_status(self, name, level, words):
        """Wait until a status has a level and says certain words; its message."""

        def says_it():
            status = self.status(name)
            return status and status.level == level and words in status.message and status.message

        return self.wait(says_it, f"{words!r} of {name}, not {self.status(name)}")

    def _is_heard(self, topics):
        """A condition that sends a frame whenever the one before has had time to be answered."""
        sent_at = -TIMEOUT

        def condition():
            nonlocal sent_at
            if time.monotonic() - sent_at > 0.5:
                self.send(self.make_image(self.header()), camera_info())
                sent_at = time.monotonic()
            return all(self.heard[topic] for topic in topics)

        return condition

    def wait_until_active(self):
        self.wait_for_state(State.PRIMARY_STATE_ACTIVE)
        for publisher in (self.images, self.infos):
            self.wait(publisher.get_subscription_count, f"subscriber of {publisher.topic_name}")

    def wait_for_state(self, state):
        self.wait(lambda: self.state() == state, f"life-cycle state {state}")

    def change_state(self, transition) -> bool:
        request = ChangeState.Request()
        request.transition.id = transition
        return self.call(ChangeState, "/sosd/change_state", request).success

    def call(self, kind, name, request):
        client = self.node.create_client(kind, name)
        self.wait(client.service_is_ready, name)
        # The node hears of our clients in the order in which they were made: once it has
        # answered a later one, it knows this one too, and its answer will not be lost.
        self.state()
        answer = self._answer(client, request, TIMEOUT)
        assert answer is not None, f"{name} has not answered"
        return answer

    def set_parameters(self, **values):
        """Set parameters of the node all at once, with __ for dots; the result."""
        request = SetParametersAtomically.Request()
        request.parameters = [
            Parameter(name.replace("__", "."), value=value).to_parameter_msg()
            for name, value in values.items()
        ]
        return self.call(SetParametersAtomically, "/sosd/set_parameters_atomically", request).result

    def state(self, node="/sosd"):
        """A node's life-cycle state.

        A service throws away the answer to a client that it has not heard of yet, although the
        client may know the service: discovery has two sides. So this asks until it is answered.
        """
        client = self.node.create_client(GetState, f"{node}/get_state")
        self.wait(client.service_is_ready, client.srv_name)
        patience = itertools.accumulate(itertools.repeat(2), operator.mul, initial=0.1)
        answer = self.wait(
            lambda: self._answer(client, GetState.Request(), next(patience)), client.srv_name
        )
        self.node.destroy_client(client)
        return answer.current_state.id

    def _answer(self, client, request, patience):
        """The answer to a request, or None if none came in ``patience`` seconds."""
        future = client.call_async(request)
        deadline = time.monotonic() + patience
        while not future.done() and time.monotonic() < deadline:
            self.executor.spin_once(timeout_sec=0.1)
        return future.result() if future.done() else None

    def header(self):
        """A stamp that no other message has."""
        header = Header(frame_id=FRAME)
        header.stamp.sec, header.stamp.nanosec = next(self._seconds), 123456789
        return header

    def send(self, message, info=None):
        """Publish an image message, after its CameraInfo if there is one."""
        if info is not None:
            info.header = message.header
            self.infos.publish(info)
        self.images.publish(message)
        return message.header.stamp

    def answers(self, stamp, *topics):
        """Wait for the answers to a stamp on topics; the messages in that order."""

        def found(topic):
            return next((m for m in self.heard[topic] if m.header.stamp == stamp), None)

        return [self.wait(lambda topic=topic: found(topic), topic) for topic in topics]


def camera_info(width=96, height=64, focal=100.0):
    cx, cy = (width - 1) / 2, (height - 1) / 2
    info = CameraInfo(width=width, height=height)
    info.k = [focal, 0.0, cx, 0.0, focal, cy, 0.0, 0.0, 1.0]
    info.p = [focal, 0.0, cx, 0.0, 0.0, focal, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return info


def picture(height=64, width=96):
    """(H, W, 3) uint8: the same smooth colours in every test."""
    y, x = np.mgrid[0:height, 0:width]
    channels = (x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height))
    return np.stack(channels, axis=-1).astype(np.uint8)


def pixels(message, dtype):
    return np.frombuffer(message.data, dtype).reshape(message.height, message.width, -1).squeeze()


def rgb(header, image):
    return messages.rgb_message(header, image)


def reliable(*cameras):
    """Parameters that let no message be lost, as best effort and a depth of 1 may, and a test not.

    Args:
        cameras: their names.
    """
    topics = ("image", "camera_info", "image/compressed")
    names = [
        f"/{camera}/{topic}" if camera else f"/{topic}" for camera in cameras for topic in topics
    ]
    policies = {"reliability": "reliable", "depth": 50}
    return {
        f"qos_overrides.{name}.subscription.{policy}": value
        for name in names
        for policy, value in policies.items()
    }


RELIABLE = reliable("")
EAGER = {"backend": "torch", "precision": "fp32"}  # without a trial at each start
