"""Fixtures for tests over DDS: a domain of their own, nodes, and a camera."""

from __future__ import annotations

import os

import pytest

rclpy = pytest.importorskip("rclpy", reason="no ROS 2: install the extra 'ros', or source a ROS 2")

from robot import EAGER, RELIABLE, Camera, NodeProcess  # noqa: E402

from sosd_ros.process import use_local_middleware  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def middleware():
    """A domain of this run's own, on this machine only, with room for images."""
    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    use_local_middleware()
    rclpy.init()
    yield
    rclpy.shutdown()


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
