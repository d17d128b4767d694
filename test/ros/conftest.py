"""Fixtures for tests over DDS: a domain of their own, nodes, and a camera."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

import pytest

rclpy = pytest.importorskip("rclpy", reason="no ROS 2: install the extra 'ros', or source a ROS 2")

from robot import EAGER, RELIABLE, Camera, NodeProcess  # noqa: E402

from sosd_ros.testbed.process import use_local_middleware  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def middleware():
    """A domain of this run's own, on this machine only, with room for images."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    run = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    os.environ["ROS_DOMAIN_ID"] = str(1 + (2 * run + worker) % 100)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    use_local_middleware()
    rclpy.init()
    yield
    rclpy.shutdown()
    free_what_the_killed_left()


def free_what_the_killed_left():
    """Remove segments of Fast DDS whose owner has ended, 70 MB each, as ``fastdds shm clean`` does.

    The owner of a segment holds a lock on the file beside it.
    """
    for lock in Path("/dev/shm").glob("fast*_el"):
        if "_port" in lock.name:
            continue
        with contextlib.suppress(OSError), lock.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lock.with_name(lock.name.removesuffix("_el")).unlink(missing_ok=True)
            lock.unlink()


@pytest.fixture
def camera():
    """A camera that hears nothing yet."""
    camera = Camera()
    yield camera
    camera.close()


@pytest.fixture
def start_node(tmp_path, small_weights):
    """Start nodes; those that still run are ended with the test.

    In order, since each that is killed leaves its segment of shared memory behind, 64 MB of RAM.
    """
    nodes = []

    def start(**parameters):
        defaults = {"weights": small_weights, "device": "cpu", **EAGER, **RELIABLE}
        nodes.append(NodeProcess(tmp_path / f"node{len(nodes)}.log", **(defaults | parameters)))
        return nodes[-1]

    yield start
    for node in nodes:
        if node.process.poll() is None:
            node.end()


@pytest.fixture(scope="module")
def shared_node(tmp_path_factory, small_weights):
    """One node for all tests of a file, which leave it as they found it."""
    log = tmp_path_factory.mktemp("node") / "log"
    node = NodeProcess(log, weights=small_weights, device="cpu", **EAGER, **RELIABLE)
    yield node
    assert node.end() == 0, node.log
