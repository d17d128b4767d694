"""What a generation of rclpy, the one that is installed, must have and must leave to us."""

from __future__ import annotations

import ast

import pytest
from rclpy.lifecycle import LifecycleNode
from robot import ROOT

from sosd_ros.ros.generations import steady_clock


@pytest.fixture(scope="module")
def written():
    """The class PerceptionNode, as it is written."""
    tree = ast.parse((ROOT / "sosd_ros" / "ros" / "node.py").read_text())
    return next(
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name == "PerceptionNode"
    )


def is_assigned(attribute):
    return isinstance(attribute.ctx, ast.Store)


def test_the_node_hides_nothing_of_rclpys(written):
    """A later rclpy may come to use a name of ours for its own ends; only hooks are overridden."""
    attributes = (node for node in ast.walk(written) if isinstance(node, ast.Attribute))
    ours = {a.attr for a in attributes if ast.unparse(a.value) == "self" and is_assigned(a)}
    ours |= {method.name for method in written.body if isinstance(method, ast.FunctionDef)}
    assert {"_engine", "_cameras", "on_configure"} <= ours
    node = LifecycleNode("bare")
    theirs = set(dir(node)) - set(dir(object))
    node.destroy_node()
    hooks = {f"on_{name}" for name in ("configure", "activate", "deactivate", "cleanup")}
    hooks |= {"on_shutdown", "on_error", "destroy_node", "__init__"}
    assert ours & theirs <= hooks


def test_there_is_a_clock_that_simulated_time_does_not_move():
    """Timers of the node's own run by it."""
    assert steady_clock().now().nanoseconds > 0
