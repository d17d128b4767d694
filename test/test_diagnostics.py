"""Health as diagnostic messages: the level, the sentence, and the figures."""

import dataclasses
import re
import threading
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from sosd_ros.diagnostics import Health, Monitor, Thresholds, statuses
from sosd_ros.statistics import CameraSnapshot, Percentiles, Snapshot

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
HEALTH = Health(
    name="sosd",
    state="active",
    active=True,
    device="cpu",
    backend="torch",
    weights="w.safetensors",
    sha256="abc",
    memory=None,
    last_error="",
    busy=0.0,
    incompatible={},
)
CAMERA = CameraSnapshot(
    received=10,
    infos=10,
    answered=8,
    dropped={"superseded": 2},
    without_scale={},
    recent={"superseded": 2},
    input_rate=30.0,
    output_rate=24.0,
    since_image=0.02,
    since_info=0.02,
)
SNAPSHOT = Snapshot({"total": Percentiles(0.05, 0.1, 0.2)}, {"": CAMERA})


def node(snapshot=SNAPSHOT, thresholds=None, **changes):
    health = dataclasses.replace(HEALTH, **changes)
    return statuses(health, snapshot, thresholds or Thresholds())[0]


def camera(thresholds=None, health=HEALTH, **changes):
    snapshot = Snapshot({}, {"front": CAMERA._replace(**changes)})
    return statuses(health, snapshot, thresholds or Thresholds())[1]


def test_all_well():
    """OK, with the names, the rates and every figure as text."""
    of_node, of_camera = statuses(HEALTH, SNAPSHOT, Thresholds())
    assert (of_node.name, of_node.level, of_node.message) == ("sosd: node", OK, "active on cpu")
    assert of_camera.name == "sosd: camera"
    assert (of_camera.level, of_camera.message) == (OK, "30.0 Hz in, 24.0 Hz answered")
    values = {pair.key: pair.value for pair in of_node.values}
    assert values["latency total p95 [ms]"] == "100.0"
    assert values["sha256"] == "abc"
    assert {pair.key: pair.value for pair in of_camera.values}["dropped: superseded"] == "2"


@pytest.mark.parametrize(
    ("changes", "level", "words"),
    [
        ({"active": False, "state": "inactive"}, WARN, "inactive: no image is answered"),
        ({"active": False, "last_error": "cannot configure: x"}, ERROR, "cannot configure: x"),
        ({"busy": 1.5}, ERROR, "the worker has been at one batch for 1.5 s"),
        ({"incompatible": {"/image": "it does not fit"}}, WARN, "it does not fit"),
        ({"busy": 1.5, "incompatible": {"/image": "misfit"}}, ERROR, "1.5 s; misfit"),
    ],
)
def test_what_is_wrong_with_the_node(changes, level, words):
    """The worst first."""
    status = node(**changes)
    assert status.level == level and words in status.message


@pytest.mark.parametrize(
    ("thresholds", "level"),
    [
        ({"latency_warn": 0.2}, OK),
        ({"latency_warn": 0.05}, WARN),
        ({"latency_warn": 0.01, "latency_error": 0.05}, ERROR),
    ],
)
def test_latency_is_judged_by_its_thresholds(thresholds, level):
    """Its p95 is 100 ms."""
    assert node(thresholds=Thresholds(**thresholds)).level == level


@pytest.mark.parametrize(
    ("changes", "level", "words"),
    [
        ({"since_image": 1.5}, ERROR, "no image for 1.5 s"),
        ({"since_image": 1.5, "received": 0}, ERROR, "none has ever come"),
        ({"since_info": 1.5}, WARN, "no CameraInfo for 1.5 s: depth and points rely on the last"),
        ({"since_info": 1.5, "infos": 0}, WARN, "depth and points are not"),
        ({"recent": {"encoding": 3, "step": 1}}, WARN, "3 by encoding, 1 by step"),
        ({"recent": {"superseded": 9, "unwanted": 9, "stopped": 1}}, OK, "30.0 Hz in"),
    ],
)
def test_what_is_wrong_with_a_camera(changes, level, words):
    """What the slot and the absence of listeners drop is no fault."""
    status = camera(**changes)
    assert status.level == level and words in status.message
    assert status.name == "sosd: camera front"


def test_rates_are_judged_while_answers_are_wanted():
    """24 Hz is below 25 and below 30; with nobody listening it is not judged."""
    assert camera(Thresholds(rate_warn=25.0)).level == WARN
    assert camera(Thresholds(rate_warn=30.0, rate_error=25.0)).level == ERROR
    assert camera(Thresholds(rate_error=25.0), recent={"unwanted": 1}).level == OK


def test_cameras_are_not_judged_while_the_node_is_not_active():
    """Nobody listens to them."""
    health = dataclasses.replace(HEALTH, active=False, state="inactive")
    status = camera(health=health, since_image=100.0)
    assert (status.level, status.message) == (OK, "not listened to: the node is inactive")


def test_device_memory_is_shown_where_there_is_some():
    """In MiB."""
    values = {pair.key: pair.value for pair in node(memory=(2**20, 2**30)).values}
    assert values["device memory used [MiB]"] == "1"
    assert values["device memory total [MiB]"] == "1024"


def test_the_monitor_outlives_what_fails_and_stops_when_told():
    """It goes on after an exception, which is handed over."""
    reports, errors = threading.Semaphore(0), []

    def report():
        reports.release()
        raise ValueError("once more")

    monitor = Monitor(report, period=0.0, on_error=errors.append)
    assert reports.acquire(timeout=60) and reports.acquire(timeout=60)
    monitor.stop()
    assert str(errors[0]) == "once more"


def test_the_operators_page_knows_every_cause():
    """Each cause that the code counts by has its row."""
    root = Path(__file__).parents[1]
    page = (root / "docs" / "operations.md").read_text()
    code = "".join(
        (root / "sosd_ros" / f"{name}.py").read_text() for name in ("messages", "pipeline", "node")
    )
    raised = re.findall(r'MessageError\(\s*"([a-z_]+)"', code)
    dropped = re.findall(r'(?:dropped|_drop)\([^"()]*"([a-z_]+)"', code)
    assert len(set(raised)) >= 9 and len(set(dropped)) >= 6
    for cause in {*raised, *dropped}:
        assert f"`{cause}`" in page, cause
