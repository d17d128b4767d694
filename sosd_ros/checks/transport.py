"""``python -m sosd_ros.checks.transport``: do large images and clouds arrive at camera rate?

One process sends them and another receives them, through the middleware that
``RMW_IMPLEMENTATION`` names: with its defaults, and with the profile that this package has for it.
Fails if a message is lost with the profile.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.synchronize import Event
from typing import Any, NamedTuple

import rclpy
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import Image, PointCloud2

from .. import commands
from ..doctor.middleware import PROFILES
from ..ros.malloc import keep_freed_memory
from ..share import share
from ..stamps import nanoseconds
from ..testbed.process import profile_variable
from ..testbed.times import Times, rate_of

TOPIC = "sosd_transport"
DEPTH = 10  # messages that each end keeps
START, END = "start", "end"  # frame ids of the empty messages before and after the frames
TIMEOUT = 60.0  # seconds beyond the frames' own time, to start, to find each other and to end


class Case(NamedTuple):
    """What is measured.

    Attributes:
        profiled: with this package's profile, not with the middleware's defaults.
        kind: a key of ``MESSAGES``.
        reliable: not best effort.
    """

    profiled: bool
    kind: str
    reliable: bool


class Arrival(NamedTuple):
    """Of one message, in seconds of the machine's monotonic clock.

    Attributes:
        sent: before it was handed to the middleware.
        received: as the subscription's callback got it.
    """

    sent: float
    received: float


MESSAGES: dict[str, tuple[Any, int]] = {  # and their bytes; the middleware does not look into them
    "image 2048x1024": (Image, 2048 * 1024 * 3),
    "cloud 640x480": (PointCloud2, 640 * 480 * 20),
}


def profile(middleware: str) -> tuple[str, str]:
    """The environment variable that names a middleware's profile, and its value for ours.

    Args:
        middleware: as in ``RMW_IMPLEMENTATION``.

    Raises:
        ValueError: if there is no profile for it.
    """
    kind = "rmw_fastrtps_cpp" if middleware.startswith("rmw_fastrtps") else middleware
    if kind in PROFILES:
        variable, name = PROFILES[kind]
        scheme = "file://" if kind == "rmw_cyclonedds_cpp" else ""
        return variable or profile_variable(), f"{scheme}{share('config', name)}"
    raise ValueError(
        f"there is no profile for {middleware}, expected rmw_fastrtps_cpp, rmw_cyclonedds_cpp or "
        "rmw_zenoh_cpp; set RMW_IMPLEMENTATION to one of them"
    )


def measure(case: Case, rate: float, frames: int) -> dict[int, Arrival]:
    """Send frames from one process to another.

    Args:
        rate: messages a second.
        frames: how many.

    Returns:
        Those that arrived, by number from 0.

    Raises:
        RuntimeError: if the processes do not find each other, or one fails.
    """
    # New processes, as the middleware reads its settings once.
    context = multiprocessing.get_context("spawn")
    found, over = context.Event(), context.Event()
    ours, theirs = context.Pipe(duplex=False)
    sender = context.Process(target=_send, args=(case, rate, frames, found, over))
    receiver = context.Process(target=_receive, args=(case, found, over, theirs))
    for process in (receiver, sender):
        process.start()
    theirs.close()  # so that the receiver's death is the end of our end
    try:
        if ours in wait([ours, sender.sentinel], frames / rate + TIMEOUT):
            return ours.recv()
        reason = "they did not find each other" if not found.is_set() else "the end did not arrive"
    except EOFError:
        reason = "the receiver failed"
    finally:
        over.set()
        for process in (receiver, sender):
            process.join(TIMEOUT)
            process.kill()
    raise RuntimeError(
        f"no result from the two processes: {reason}; see above, and with Zenoh check that its "
        "router runs"
    )


def _send(case: Case, rate: float, frames: int, found: Event, over: Event) -> None:
    kind, size = MESSAGES[case.kind]
    message = kind()
    message.data.frombytes(bytes(size))
    with _node("sender", case.profiled) as node:
        publisher = node.create_publisher(kind, TOPIC, _qos(case))
        # Empty messages arrive with any settings. They tell that the receiver is there, and,
        # as messages are in order, that nothing more will come.
        while not found.wait(1 / rate) and not over.is_set():
            publisher.publish(_empty(kind, START))
        start = time.monotonic()
        for number in range(frames):
            time.sleep(max(0.0, start + number / rate - time.monotonic()))
            message.header.frame_id = str(number)
            message.header.stamp = Time(nanoseconds=time.monotonic_ns()).to_msg()
            publisher.publish(message)
        publisher.wait_for_all_acked(Duration(seconds=TIMEOUT))
        while not over.wait(1 / rate):
            publisher.publish(_empty(kind, END))


def _receive(case: Case, found: Event, over: Event, results: Connection) -> None:
    arrivals: dict[int, Arrival] = {}

    def listen(message: Any) -> None:
        received = time.monotonic()
        if message.header.frame_id == START:
            found.set()
        elif message.header.frame_id == END:
            results.send(arrivals)
            over.set()
        else:
            sent = 1e-9 * nanoseconds(message.header.stamp)
            arrivals[int(message.header.frame_id)] = Arrival(sent, received)

    with _node("receiver", case.profiled) as node:
        node.create_subscription(MESSAGES[case.kind][0], TOPIC, listen, _qos(case))
        while not over.is_set():
            rclpy.spin_once(node, timeout_sec=0.1)


@contextmanager
def _node(name: str, profiled: bool) -> Iterator[Node]:
    """A node in a process of its own, with this package's profile or with none."""
    variable, value = profile(get_rmw_implementation_identifier())
    os.environ.pop(variable, None)
    if profiled:
        os.environ[variable] = value
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    keep_freed_memory()  # as the perception node does
    rclpy.init()
    node = rclpy.create_node(f"{TOPIC}_{name}")
    try:
        yield node
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def _qos(case: Case) -> QoSProfile:
    policy = ReliabilityPolicy.RELIABLE if case.reliable else ReliabilityPolicy.BEST_EFFORT
    return QoSProfile(depth=DEPTH, reliability=policy)


def _empty(kind: type, frame: str) -> Any:
    message = kind()
    message.header.frame_id = frame
    return message


HEADER = (
    f"{'settings':<16}{'message':<18}{'reliability':<13}{'received':>12}{'Hz':>8}"
    f"{'p50 ms':>11}{'p95 ms':>9}{'p99 ms':>9}"
)


def row(case: Case, frames: int, arrivals: dict[int, Arrival]) -> str:
    """A line of the table under ``HEADER``."""
    words = (
        f"{'our profile' if case.profiled else 'defaults':<16}{case.kind:<18}"
        f"{'reliable' if case.reliable else 'best effort':<13}{len(arrivals):>5} of {frames:<4}"
    )
    if len(arrivals) < 2:
        return words
    rate = rate_of([arrival.received for arrival in arrivals.values()])
    latency = Times.of([arrival.received - arrival.sent for arrival in arrivals.values()])
    return f"{words}{rate:>8.1f}   {latency}"


def command_line() -> argparse.ArgumentParser:
    parser = commands.parser("sosd_ros.checks.transport", __doc__, "--rate 30")
    parser.add_argument(
        "--rate", type=commands.positive, default=30.0, help="messages/s (%(default)g)"
    )
    parser.add_argument(
        "--frames", type=commands.count, default=300, help="of each case (%(default)d)"
    )
    return parser


def run(arguments: argparse.Namespace) -> None:
    middleware = get_rmw_implementation_identifier()
    lost = 0
    variable, value = profile(middleware)
    print(f"middleware   {middleware}\nour profile  {variable}={value}\n{HEADER}", flush=True)
    for case in itertools.starmap(Case, itertools.product((False, True), MESSAGES, (False, True))):
        arrivals = measure(case, arguments.rate, arguments.frames)
        print(row(case, arguments.frames, arrivals), flush=True)
        lost += case.profiled * (arguments.frames - len(arrivals))
    if lost:
        sys.exit(f"failed: {lost} messages were lost with our profile; see docs/middleware.md")
    print("passed: all messages arrived with our profile")


if __name__ == "__main__":
    commands.main(command_line(), run, RuntimeError)
