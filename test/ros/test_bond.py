"""The bond with a lifecycle manager, on the wire; the manager's end is of bondpy."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from faulty_node import HANGS
from lifecycle_msgs.msg import State, Transition
from rclpy.qos import QoSProfile
from robot import EAGER, RELIABLE, ROOT, NodeProcess, camera_info, picture, rgb

from sosd_ros.ros.bond import MISSING

try:
    from bond.msg import Status
    from bondpy.bondpy import Bond
except ImportError:
    Bond = None

with_bond = pytest.mark.skipif(Bond is None, reason="no bondpy: it comes with a ROS 2, not PyPI")
CONFIGURE, CLEANUP = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_CLEANUP
ACTIVATE, DEACTIVATE = Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_DEACTIVATE


@pytest.fixture(scope="module")
def managed_node(tmp_path_factory, small_weights):
    """A node that waits for a manager, and whose engine fails when it is asked to."""
    log, program = tmp_path_factory.mktemp("node") / "log", (ROOT / "test" / "faulty_node.py",)
    settings = {"weights": small_weights, "device": "cpu", "autostart": False, **EAGER, **RELIABLE}
    node = NodeProcess(log, program, **settings)
    yield node
    if node.process.poll() is None:
        node.end()
    assert node.process.returncode == 0, node.log
    assert "a callback failed" not in node.log


@pytest.fixture
def configured(managed_node, camera):
    """A camera in front of the configured node, which is unconfigured afterwards."""
    assert camera.change_state(CONFIGURE)
    yield camera
    if managed_node.process.poll() is not None:
        return
    if camera.state() == State.PRIMARY_STATE_ACTIVE:
        assert camera.change_state(DEACTIVATE)
    if camera.state() == State.PRIMARY_STATE_INACTIVE:
        assert camera.change_state(CLEANUP)


@contextmanager
def bond_with(camera):
    """The manager's end of a bond that is formed."""
    formed = []
    bond = Bond(camera.node, "bond", "sosd", on_formed=lambda: formed.append(True))
    bond.start()
    camera.wait(lambda: formed, "a bond")
    yield bond
    bond.shutdown()
    camera.node.destroy_subscription(bond.sub)
    camera.node.destroy_publisher(bond.pub)


def hear_heartbeats(camera, bond):
    """The list of what the node says from now on."""
    heard = []

    def hear(status):
        if status.id == "sosd" and status.instance_id != bond.instance_id:
            heard.append(status)

    camera.node.create_subscription(Status, "bond", hear, QoSProfile(depth=10))
    return heard


def topics_of_bonds(camera):
    """Names of the node's publishers and subscriptions that a bond has."""
    node = camera.node
    names = [name for name, _ in node.get_publisher_names_and_types_by_node("sosd", "/")]
    names += [name for name, _ in node.get_subscriber_names_and_types_by_node("sosd", "/")]
    return [name for name in names if name == "/bond"]


@with_bond
def test_a_bond_lasts_from_activate_to_deactivate(configured):
    """Every time, and nothing of it stays; the node never gives up a manager that is silent."""
    assert topics_of_bonds(configured) == []
    for _ in range(2):
        assert configured.change_state(ACTIVATE)
        with bond_with(configured) as bond:
            heard = hear_heartbeats(configured, bond)
            configured.wait(lambda heard=heard: len(heard) > 2, "heartbeats")
            assert all(status.active for status in heard)
            assert heard[0].heartbeat_period == 0.25 and heard[0].heartbeat_timeout > 1e8
            assert configured.change_state(DEACTIVATE)
            configured.wait(bond.is_broken, "the end of the bond")
            configured.wait(lambda heard=heard: not heard[-1].active, "the node's last word")
        configured.wait(lambda: topics_of_bonds(configured) == [], "no topics of a bond")


@with_bond
def test_a_worker_that_hangs_does_not_stop_the_heart(configured):
    """The process lives: diagnostics tell of the worker. Giving it up ends the bond."""
    assert configured.change_state(ACTIVATE)
    with bond_with(configured) as bond:
        configured.listen("depth")
        pixels = picture()
        pixels[0, 0] = HANGS
        configured.send(rgb(configured.header(), pixels), camera_info())
        configured.listen_diagnostics()
        configured.wait(
            lambda: float(configured.values("node")["worker busy [s]"]) > 0.5, "a hanging worker"
        )
        heard = hear_heartbeats(configured, bond)
        configured.wait(lambda: len(heard) > 2, "heartbeats")
        assert all(status.active for status in heard)
        configured.change_state(DEACTIVATE)
        configured.wait(bond.is_broken, "the end of the bond")


@with_bond
def test_without_a_period_there_is_no_bond(managed_node, camera):
    """As of Nav2's own nodes."""
    assert camera.set_parameters(bond_heartbeat_period=0.0).successful
    assert camera.change_state(CONFIGURE) and camera.change_state(ACTIVATE)
    assert topics_of_bonds(camera) == []
    assert camera.change_state(DEACTIVATE) and camera.change_state(CLEANUP)
    assert camera.set_parameters(bond_heartbeat_period=0.25).successful


@pytest.mark.skipif(Bond is not None, reason="bondpy is installed")
def test_without_bondpy_the_node_says_what_a_manager_needs(configured, managed_node):
    """Once, however often it is activated."""
    assert MISSING not in managed_node.log
    for _ in range(2):
        assert configured.change_state(ACTIVATE)
        assert configured.change_state(DEACTIVATE)
    assert managed_node.log.count(MISSING) == 1


@with_bond
def test_a_node_that_is_told_to_end_says_so(configured, managed_node):
    """At once, and not by its silence."""
    assert configured.change_state(ACTIVATE)
    with bond_with(configured) as bond:
        heard = hear_heartbeats(configured, bond)
        configured.wait(lambda: heard, "a heartbeat")
        managed_node.end()
        configured.wait(lambda: not heard[-1].active, "the node's last word")
        configured.wait(bond.is_broken, "the end of the bond")
