"""Coming up, and ending while it does: attempts that fail, and signals of the first seconds."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import State, Transition
from rclpy.lifecycle import LifecycleNode
from robot import ROOT, TIMEOUT
from support import write_small_weights

from sosd_ros.ros.autostart import LONGEST_PAUSE, Autostart, pause

ERROR = DiagnosticStatus.ERROR


def test_pauses_grow():
    """At once for what is late by a second, seldom for what takes a technician."""
    assert [pause(failures) for failures in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert pause(10**9) == LONGEST_PAUSE


@pytest.fixture
def attempts():
    """A node's autostart that always fails, and the notes that it takes."""
    node = LifecycleNode("always_fails")
    tried, given_up = [], []

    def bring_up():
        tried.append(0)
        autostart.step_aside()  # as it hears of its own transitions

    autostart = Autostart(node, bring_up, 3, lambda: given_up.append(0))
    yield autostart, node, tried, given_up
    node.destroy_node()


def test_it_gives_up_after_so_many_attempts(attempts):
    """And has no other attempt planned then."""
    autostart, node, tried, given_up = attempts
    for _ in range(3):
        assert not given_up
        autostart.attempt()
    assert len(tried) == 3 and len(given_up) == 1
    assert autostart.next_attempt is None and not list(node.timers)


def test_whoever_else_makes_a_transition_has_the_node(attempts):
    """Its own transitions, of which it hears as well, do not count."""
    autostart, node, _, _ = attempts
    autostart.attempt()
    assert 0 < autostart.next_attempt <= 1 and len(list(node.timers)) == 1
    autostart.step_aside()
    assert autostart.next_attempt is None and not list(node.timers)


def test_what_is_late_is_waited_for(start_node, camera, tmp_path):
    """A disk with the weights that is mounted late: it comes up without being told to."""
    path = tmp_path / "late.safetensors"
    node = start_node(weights=path)
    camera.wait_for_state(State.PRIMARY_STATE_UNCONFIGURED)
    camera.listen_diagnostics()
    said = camera.wait_for_status("node", ERROR, "fix this, the node tries again in")
    assert said.startswith("unconfigured: cannot configure: weights file")
    assert "attempt 1 failed, the next one is in 1 s" in node.log
    write_small_weights(tmp_path / "new").rename(path)
    camera.wait_until_active()
    camera.listen("depth")


def test_a_client_that_acts_has_the_node(start_node, camera, tmp_path):
    """It configures, in vain at first: the node waits for it, and is not activated behind it."""
    path = tmp_path / "late.safetensors"
    start_node(weights=path)
    camera.listen_diagnostics()
    assert not camera.change_state(Transition.TRANSITION_CONFIGURE)
    camera.wait_for_status("node", ERROR, "fix this, then configure and activate it")
    write_small_weights(tmp_path / "new").rename(path)
    assert camera.change_state(Transition.TRANSITION_CONFIGURE)
    assert camera.state() == State.PRIMARY_STATE_INACTIVE


def test_it_ends_when_enough_attempts_have_failed(start_node):
    """With status 1, for what started it to see."""
    node = start_node(weights="/nowhere/w.safetensors", autostart_attempts=2)
    assert node.process.wait(TIMEOUT) == 1
    assert node.log.count("cannot configure: weights file /nowhere/w.safetensors") == 2
    assert "giving up after 2 attempts (autostart_attempts)" in node.log


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("imports", signal.SIGTERM),
        ("imports", signal.SIGINT),
        ("middleware", signal.SIGTERM),
        ("made", signal.SIGTERM),
        ("configures", signal.SIGTERM),
        ("retries", signal.SIGTERM),
    ],
)
def test_a_signal_ends_it_while_it_starts(start_node, moment, number):
    """Status 0, no traceback, and nothing of it is left in shared memory."""
    program = (ROOT / "test" / "ending_node.py", moment, int(number))
    node = start_node(program=program, forked=moment != "imports")
    assert node.process.wait(TIMEOUT) == 0, node.log
    assert "Traceback" not in node.log
    [said] = re.findall("in shared memory:(.*)", node.log)
    assert bool(said) == (moment not in ("imports", "middleware"))
    assert not [path for path in said.split() if Path(path).exists()]
