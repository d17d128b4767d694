"""Fixtures for tests over DDS: nodes, and a camera."""

from __future__ import annotations

import pytest
from robot import EAGER, RELIABLE, Camera, NodeProcess, node_for_a_file


@pytest.fixture(scope="session", autouse=True)
def _over_dds(middleware):
    pass


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
    with node_for_a_file(tmp_path_factory, small_weights) as node:
        yield node
