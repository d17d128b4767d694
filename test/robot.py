"""A robot around the real node: the node as a process, and a camera and listeners over Fast DDS."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2: install the extra 'ros', or source a ROS 2")

from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState
from processes import ROOT, ForkedProcess
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from sosd_ros.camera import Intrinsics
from sosd_ros.ros import messages
from sosd_ros.ros.messages import info_of
from sosd_ros.ros.topics import KINDS
from sosd_ros.testbed import camera
from sosd_ros.testbed.process import reliable_inputs

TIMEOUT = 90.0  # seconds, for a machine that is busy with something else; not a speed limit
FOR_PEOPLE = ("confidence", "overlay", "depth/colored")
OF_SPREAD = ("depth_uncertainty",)  # of weights that say how unsure depth is
OUTPUTS = [topic for topic in KINDS if topic not in (*FOR_PEOPLE, *OF_SPREAD)]
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)

LENSES = {  # the focal lengths in K and in P, and D
    "plumb_bob": (70.0, 52.0, [-0.25, 0.05, 0.001, -0.001, 0.0]),
    "rational_polynomial": (70.0, 52.0, [0.5, -2.6, 0.0005, -0.0003, 1.5, 0.38, -2.42, 1.43]),
    "equidistant": (30.0, 15.0, [-0.01, 0.002, 0.0, 0.0]),
}


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


class Camera(camera.Camera):
    """Waits for events and never for a duration, and keeps the answers.

    Args:
        kind: of the images, Image or CompressedImage.
        make_image: makes the image message of a header.
        name: of the camera, whose topics lie below it.
    """

    _seconds = itertools.count(1000)  # for all cameras, so that no two messages share a stamp

    def __init__(self, kind=Image, make_image=None, name=""):
        super().__init__("test_camera", below=f"{name}/" if name else "", kind=kind, queue=50)
        self.make_image = make_image or (lambda header: rgb(header, picture()))
        self.heard = {}
        self.on_answer = lambda topic, message: self.heard.setdefault(topic, []).append(message)

    def wait(self, condition, what):
        """Spin until ``condition()`` is true; its value."""
        value = self.spin_until(condition, TIMEOUT)
        assert value, f"timed out waiting for {what}"
        return value

    def listen(self, *topics):
        """Subscribe to outputs, and play frames until an answer has come on each."""
        for topic in topics:
            self.heard.setdefault(topic, [])
            self.subscribe(topic)
        self.send_until(
            lambda: all(self.heard[topic] for topic in topics),
            lambda: self.send(self.make_image(self.header()), camera_info()),
        )

    def listen_latched(self, kind, topic):
        """Subscribe to a topic whose last message is kept; the list of what is heard."""
        heard = self.heard.setdefault(topic, [])
        self.node.create_subscription(kind, topic, heard.append, LATCHED)
        return heard

    def listen_diagnostics(self):
        """Note the latest diagnostics, until the first have come."""
        super().listen_diagnostics()
        self.wait(lambda: self.health, "diagnostics")

    def status(self, name) -> DiagnosticStatus | None:
        """The latest status of ``node``, ``camera`` or ``camera front``."""
        return self.health.get(f"sosd: {name}")

    def fresh_values(self, name) -> dict[str, str]:
        """The same, from diagnostics that were made after this call."""
        now = self.node.get_clock().now().nanoseconds
        self.wait(lambda: self.health_time > now, "fresh diagnostics")
        return self.values(name)

    def wait_for_status(self, name, level, words):
        """Wait until a status has a level and says certain words; its message."""

        def says_it():
            status = self.status(name)
            return status and status.level == level and words in status.message and status.message

        return self.wait(says_it, f"{words!r} of {name}, not {self.status(name)}")

    def wait_until_active(self):
        self.wait_for_state(State.PRIMARY_STATE_ACTIVE)
        for publisher in (self.images, self.infos):
            self.wait(publisher.get_subscription_count, f"subscriber of {publisher.topic_name}")

    def bring_up(self):
        """Configure and activate the node, and wait until it hears."""
        assert self.change_state(Transition.TRANSITION_CONFIGURE)
        assert self.change_state(Transition.TRANSITION_ACTIVATE)
        self.wait_until_active()

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
        answer = self.ask(client, request, TIMEOUT)
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
        """A node's life-cycle state."""
        state = self.state_of(node, TIMEOUT)
        assert state is not None, f"timed out waiting for the state of {node}"
        return state

    def header(self):
        """A stamp that no other message has."""
        header = Header(frame_id=camera.FRAME_ID)
        header.stamp.sec, header.stamp.nanosec = next(self._seconds), 123456789
        return header

    def send(self, message, info=None):
        """Publish an image message, after its CameraInfo if there is one; its stamp."""
        super().send(message, info)
        return message.header.stamp

    def answers(self, stamp, *topics):
        """Wait for the answers to a stamp on topics; the messages in that order."""

        def found(topic):
            return next((m for m in self.heard[topic] if m.header.stamp == stamp), None)

        return [self.wait(lambda topic=topic: found(topic), topic) for topic in topics]


def camera_info(width=96, height=64, focal=100.0):
    return info_of(Intrinsics(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height))


def raw_info(model):
    """K and D of a lens, and P of a camera that sees beside and beyond its image."""
    focal, rectified_focal, coefficients = LENSES[model]
    info = camera_info(focal=focal)
    info.distortion_model, info.d = model, coefficients
    info.p[0] = info.p[5] = rectified_focal
    info.r = cv2.Rodrigues(np.array([0.02, -0.03, 0.01]))[0].ravel()
    return info


def picture(height=64, width=96):
    """(H, W, 3) uint8: the same smooth colours in every test."""
    y, x = np.mgrid[0:height, 0:width]
    channels = (x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height))
    return np.stack(channels, axis=-1).astype(np.uint8)


def pixels(message, dtype):
    return np.frombuffer(message.data, dtype).reshape(message.height, message.width, -1).squeeze()


rgb = messages.rgb_message
reliable = partial(reliable_inputs, depth=50)
RELIABLE = reliable("")


@contextmanager
def node_for_a_file(tmp_path_factory, weights, **parameters):
    """A node for all tests of a file, which leave it as they found it."""
    log = tmp_path_factory.mktemp("node") / "log"
    defaults = {"weights": weights, "device": "cpu", **EAGER, **RELIABLE}
    node = NodeProcess(log, **(defaults | parameters))
    yield node
    assert node.end() == 0, node.log


EAGER = {"backend": "torch", "precision": "fp32"}  # without a trial at each start
