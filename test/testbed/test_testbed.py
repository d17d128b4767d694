"""The camera and the processes that demo, benchmark, checks and tests share."""

import ast
import itertools
import os
import signal
import subprocess
import sys
import time

import pytest
from robot import ROOT, TIMEOUT, picture, rgb
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from sosd_ros.testbed.camera import Camera
from sosd_ros.testbed.process import NodeError, profile_variable, running

pytestmark = pytest.mark.usefixtures("middleware")
TOPICS = ("depth", "semantic")


@pytest.fixture
def camera():
    """A camera that hears two answers, which it can give itself."""
    camera = Camera("test_camera", peer="test_echo")
    for topic in TOPICS:
        camera.subscribe(topic)
    yield camera
    camera.close()


@pytest.fixture
def answer(camera):
    """Give an answer of a header, and wait until it has come."""
    echoes = {t: camera.node.create_publisher(Image, f"/test_echo/{t}", 10) for t in TOPICS}
    assert camera.spin_until(lambda: all(e.get_subscription_count() for e in echoes.values()), 60)

    def give(topic, header):
        count = len(camera.arrived[topic])
        echoes[topic].publish(Image(header=header))
        assert camera.spin_until(lambda: len(camera.arrived[topic]) > count, TIMEOUT)

    return give


def test_a_frame_is_answered_when_all_of_its_answers_have_come(camera, answer):
    """At the time of the last of them; each is noted, also twice, and what was never sent."""
    header = camera.header()
    stamp = camera.send(rgb(header, picture()))
    kept = []
    camera.on_answer = lambda topic, message: kept.append((topic, message.header.stamp))
    answer("depth", header)
    assert camera.arrived["depth"][0][0] == stamp and not camera.answered
    answer("depth", header)
    answer("depth", Header())
    answer("semantic", header)
    assert [at for at, _ in camera.arrived["depth"]] == [stamp, stamp, 0]
    assert camera.answered == dict(camera.arrived["semantic"]) == {stamp: camera.answered[stamp]}
    assert camera.sent[stamp] <= camera.answered[stamp]
    assert [topic for topic, _ in kept] == ["depth", "depth", "depth", "semantic"]
    camera.forget()
    assert (camera.sent, camera.answered) == ({}, {})
    assert camera.arrived == {topic: [] for topic in TOPICS}


def test_what_is_waited_for_is_returned(camera):
    """And what it was at last, if it does not come."""
    assert camera.spin_until(lambda: "here", 0.0) == "here"
    assert camera.spin_until(lambda: [], 0.0) == []


def test_a_node_that_ends_ends_the_wait():
    """With its status: what it would have given does not come any more."""
    with running([sys.executable, "-c", "raise SystemExit(3)"]) as process:
        camera = Camera("test_camera", process=process)
        with pytest.raises(NodeError, match="the node ended with status 3; its log is above"):
            camera.spin_until(lambda: False, TIMEOUT)
        camera.close()


def test_a_node_that_answers_nothing_is_an_error(camera, monkeypatch):
    """With the topics that were waited for."""
    monkeypatch.setattr("sosd_ros.testbed.camera.START_TIMEOUT", 0.0)
    with pytest.raises(NodeError, match="no frame was answered on depth, semantic within 0 s"):
        camera.send_until(lambda: camera.answered, lambda: None)


def test_no_tick_comes_before_its_time(camera):
    """The fifth of 100 Hz is due after 40 ms."""
    start = time.monotonic()
    assert list(itertools.islice(camera.ticks(100), 5)) == [0, 1, 2, 3, 4]
    assert time.monotonic() - start >= 0.04


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_told_to_end_is_interrupted(number):
    """So that it ends the node that it has started: its blocks are left in order."""
    program = (
        "from sosd_ros.testbed.camera import Camera\n"
        "from sosd_ros.testbed.process import middleware, running\n"
        "with running(['sleep', '600']) as node, middleware() as context:\n"
        "    camera = Camera('told_to_end', context, node)\n"
        "    print(node.pid, flush=True)\n"
        "    camera.spin_until(lambda: False, 600)\n"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        node = process.stdout.readline()
        process.send_signal(number)
        assert process.wait(TIMEOUT) == -signal.SIGINT
        assert process.stderr.read().endswith("KeyboardInterrupt\n")
    assert subprocess.run(["kill", "-0", node.strip()], capture_output=True).returncode != 0


@pytest.mark.parametrize("distribution", ["humble", "iron", "jazzy", "kilted", "lyrical"])
def test_commands_and_the_launch_file_name_one_profile(distribution, monkeypatch):
    """The launch file has the rule itself: it starts nodes and imports nothing of the package."""
    monkeypatch.setenv("ROS_DISTRO", distribution)
    monkeypatch.setattr("sosd_ros.testbed.process.versions", lambda names: {})
    launch = ast.parse((ROOT / "launch" / "perception.launch.py").read_text())
    [rule] = [e for e in launch.body if isinstance(e, ast.Assign) and e.targets[0].id == "PROFILE"]
    assert eval(ast.unparse(rule.value), {"os": os}) == profile_variable()
