"""Faults, each injected into the real node: what it does, what it says, and that it goes on."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from faulty_node import FAILS, FREE_FAILS, HANGS, HANGS_THEN_FAILS, OUT_OF_MEMORY_ONCE
from lifecycle_msgs.msg import State, Transition
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import GetParameters, SetParameters
from robot import BEST_EFFORT, LATCHED, OUTPUTS, ROOT, TIMEOUT, Camera, camera_info, picture, rgb
from sensor_msgs.msg import Image, PointCloud2
from support import write_small_weights

from sosd_ros.ros.node import EXIT_TIMEOUT
from sosd_ros.ros.pipeline import PUBLISH_TIMEOUT

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
FAULTY_NODE = (ROOT / "test" / "faulty_node.py",)


def poisoned(camera, fault):
    """An image that makes the engine of faulty_node fail."""
    pixels = picture()
    pixels[0, 0] = fault
    return rgb(camera.header(), pixels)


def is_answered(camera, *topics):
    camera.answers(camera.send(rgb(camera.header(), picture()), camera_info()), *topics)


@pytest.fixture
def faulty(start_node, camera):
    """A node that fails on demand, in front of a camera that hears depth."""
    node = start_node(program=FAULTY_NODE)
    camera.wait_until_active()
    camera.listen_diagnostics()
    camera.listen("depth", "semantic")
    return node


def test_out_of_memory_is_survived(faulty, camera):
    """Memory is freed, the frame is tried again and answered, and the log tells of it."""
    stamp = camera.send(poisoned(camera, OUT_OF_MEMORY_ONCE), camera_info())
    camera.answers(stamp, "depth", "semantic")
    assert "made the engine fail with OutOfMemoryError: injected" in faulty.log
    assert camera.state() == State.PRIMARY_STATE_ACTIVE
    camera.wait_for_status("node", WARN, "failed")
    values = camera.values("node")
    assert values["engine retries"] == "1" and "OutOfMemoryError" in values["last error"]


def test_an_engine_that_fails_twice_leads_to_the_error_state_and_back(faulty, camera):
    """Unconfigured, the reason in log and diagnostics; configure and activate mend it."""
    camera.send(poisoned(camera, FAILS), camera_info())
    camera.wait_for_state(State.PRIMARY_STATE_UNCONFIGURED)
    reason = "the engine failed twice in a row: RuntimeError: injected: unspecified launch failure"
    assert reason in faulty.log
    camera.wait_for_status("node", ERROR, reason)
    assert camera.values("node")["last error"] == reason
    camera.bring_up()
    camera.listen("points")
    is_answered(camera, "depth", "semantic", "points")
    assert camera.values("node")["last error"] in ("", reason)  # of before, or of now
    camera.wait_for_status("node", OK, "")


def test_a_worker_that_hangs_is_shown_and_can_be_left(faulty, camera):
    """The watchdog tells; deactivating gives it up, and the node can be configured again."""
    camera.send(poisoned(camera, HANGS), camera_info())
    camera.wait_for_status("node", ERROR, "worker")
    assert float(camera.values("node")["worker busy [s]"]) > 1
    assert not camera.change_state(Transition.TRANSITION_DEACTIVATE)
    camera.wait_for_state(State.PRIMARY_STATE_UNCONFIGURED)
    camera.wait_for_status("node", ERROR, "the worker hangs and was abandoned")
    camera.bring_up()
    camera.listen("points")
    is_answered(camera, "depth")
    assert faulty.end(signal.SIGTERM) == 0, faulty.log


def test_what_was_given_up_does_not_reach_what_came_after(faulty, camera):
    """The abandoned call fails at last: its frame is stopped, and the new session goes on."""
    camera.send(poisoned(camera, HANGS_THEN_FAILS), camera_info())
    camera.wait(lambda: float(camera.values("node")["worker busy [s]"]) > 0, "a busy worker")
    assert not camera.change_state(Transition.TRANSITION_DEACTIVATE)
    values = camera.fresh_values("camera")
    dropped = sum(int(count) for key, count in values.items() if key.startswith("dropped: "))
    assert values["dropped: stopped"] == "1"
    assert int(values["received"]) == int(values["answered"]) + dropped
    camera.bring_up()
    faulty.process.send_signal(signal.SIGUSR1)
    camera.listen("points")
    for _ in range(5):
        is_answered(camera, "depth")
    assert camera.state() == State.PRIMARY_STATE_ACTIVE
    assert "failed twice" not in faulty.log
    assert camera.fresh_values("node")["last error"] == ""


def test_a_device_that_only_a_new_process_can_use_ends_the_process(faulty, camera):
    """A CUDA context that is broken: status 1 after the reason, for the launch file to respawn."""
    camera.send(poisoned(camera, FREE_FAILS), camera_info())
    assert faulty.process.wait(TIMEOUT) == 1
    assert (
        "the engine failed twice in a row: RuntimeError: injected: illegal memory access"
        in faulty.log
    )
    assert "cannot free the device, a new process is needed: RuntimeError" in faulty.log


def test_a_call_that_breaks_rclpy_does_not_end_the_node(start_node, camera):
    """A parameter of a type that does not exist: logged, and frames are answered."""
    node = start_node()
    camera.wait_until_active()
    camera.listen("depth")
    client = camera.node.create_client(SetParameters, "/sosd/set_parameters")
    camera.wait(client.service_is_ready, "/sosd/set_parameters")
    broken = Parameter(name="max_depth", value=ParameterValue(type=99))
    client.call_async(SetParameters.Request(parameters=[broken]))
    camera.wait(lambda: "a callback failed with ValueError" in node.log, "a word of it")
    is_answered(camera, "depth")
    assert node.end() == 0, node.log


def test_each_cause_is_told_though_another_is_frequent(start_node, camera):
    """One warning in a while for each, not for all together."""
    node = start_node()
    camera.wait_until_active()
    camera.listen("semantic")
    for change in [{"encoding": "rgb12"}] * 5 + [{"step": 1}]:
        image = rgb(camera.header(), picture())
        for name, value in change.items():
            setattr(image, name, value)
        stamp = camera.send(image, camera_info())
        said = f"{stamp.sec}.{stamp.nanosec:09d} dropped"
        camera.wait(lambda said=said: said in node.log, said)
    is_answered(camera, "semantic")  # what follows the last refusal in the log
    warnings = [line for line in node.log.splitlines() if "[WARN]" in line]
    for word in ("rgb12", "step"):
        assert any(word in line for line in warnings), node.log


def test_two_seconds_are_enough_for_the_worst_end():
    """From a signal: until nothing is waited for any more, and for the message on its way."""
    assert EXIT_TIMEOUT + PUBLISH_TIMEOUT < 2


def test_what_is_heard_of_a_node_that_ends_is_whole(start_node, camera):
    """Stopped in the middle of a stream: no half image, no half cloud."""
    node = start_node()
    camera.wait_until_active()
    camera.listen(*OUTPUTS)
    for number in range(60):
        camera.send(rgb(camera.header(), picture()), camera_info())
        camera.executor.spin_once(timeout_sec=0.01)
        if number == 30:
            node.process.send_signal(signal.SIGTERM)
    assert node.process.wait(TIMEOUT) == 0
    camera.wait(lambda: not camera.node.count_publishers("/sosd/points"), "its end")
    for topic in ("depth", "semantic", "points"):
        for answer in camera.heard[topic]:
            bytes_a_row = answer.row_step if topic == "points" else answer.step
            assert len(answer.data) == bytes_a_row * 64


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_middle_of_a_frame_ends_it(faulty, camera, signal_number):
    """Status 0 and no core, though the frame would take for ever."""
    camera.send(poisoned(camera, HANGS), camera_info())
    camera.wait(lambda: float(camera.values("node")["worker busy [s]"]) > 0, "a busy worker")
    assert faulty.end(signal_number) == 0, faulty.log
    assert "Traceback" not in faulty.log


def test_it_can_be_killed_and_started_again(start_node, camera):
    """SIGKILL leaves shared memory behind; the next node works with the same camera."""
    for ending in (signal.SIGKILL, signal.SIGTERM):
        node = start_node()
        camera.wait_until_active()
        camera.heard.clear()
        camera.listen(*OUTPUTS)
        is_answered(camera, *OUTPUTS)
        assert node.end(ending) == (-ending if ending == signal.SIGKILL else 0)
        camera.wait(lambda: not camera.node.count_publishers("/sosd/depth"), "its end")


def test_weights_that_are_replaced_do_not_reach_a_running_node(start_node, camera, tmp_path):
    """Overwritten in place and cut short, it answers on; configuring again refuses them."""
    path = write_small_weights(tmp_path / "w.safetensors")
    node = start_node(weights=path)
    camera.wait_until_active()
    camera.listen("depth")
    image = rgb(camera.header(), picture())
    [before] = camera.answers(camera.send(image, camera_info()), "depth")
    with path.open("r+b") as file:
        file.write(bytes(1000))
        file.truncate(5000)
    image.header = camera.header()
    [after] = camera.answers(camera.send(image, camera_info()), "depth")
    assert bytes(after.data) == bytes(before.data)
    assert camera.change_state(Transition.TRANSITION_DEACTIVATE)
    assert camera.change_state(Transition.TRANSITION_CLEANUP)
    assert not camera.change_state(Transition.TRANSITION_CONFIGURE)
    assert "cannot configure: weights file" in node.log
    write_small_weights(path)
    assert camera.change_state(Transition.TRANSITION_CONFIGURE)


def test_the_image_size_may_change_in_mid_stream(start_node, camera):
    """Each answer has the size of its image; a CameraInfo that follows gives depth again."""
    start_node()
    camera.wait_until_active()
    camera.listen(*OUTPUTS)
    for height, width in ((64, 96), (48, 64), (120, 160), (64, 96)):
        image = rgb(camera.header(), picture(height, width))
        stamp = camera.send(image, camera_info(width, height))
        for answer in camera.answers(stamp, *OUTPUTS):
            assert (answer.height, answer.width) == (height, width)


def test_subscribers_may_come_and_go(start_node, camera):
    """Twenty times another listener; the one that stays hears every frame that it sent."""
    start_node()
    camera.wait_until_active()
    camera.listen("semantic")
    for _ in range(20):
        other = Camera()
        other.node.create_subscription(PointCloud2, "/sosd/points", lambda message: None, 1)
        is_answered(camera, "semantic")
        other.close()
        is_answered(camera, "semantic")


# One node of each process stays to its sudden end, and with it the participant of DDS: where two
# participants are ended at the same time, Fast DDS 3 may wait for ever (eProsima/Fast-DDS#6513).
NOISE = """
import os, sys, rclpy
from std_msgs.msg import String
rclpy.init()
stays = rclpy.create_node("stays")
for lap in range(2):
    nodes = [rclpy.create_node(f"noise{lap}_{n}") for n in range(50)]
    ends = [(node.create_publisher(String, f"noise{n}", 1),
             node.create_subscription(String, f"noise{n}", lambda m: None, 1))
            for n, node in enumerate(nodes)]
    print("there", flush=True)
    sys.stdin.readline()
    for node in nodes:
        node.destroy_node()
    print("gone", flush=True)
    sys.stdin.readline()
os._exit(0)
"""


def test_a_hundred_nodes_do_not_disturb_it(start_node, camera):
    """They come and go twice, in two processes, and every frame between is answered."""
    start_node()
    camera.wait_until_active()
    camera.listen("depth")
    command = [sys.executable, "-c", NOISE]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    crowds = [subprocess.Popen(command, **pipes) for _ in range(2)]
    try:
        for said in ("there", "gone", "there", "gone"):
            for crowd in crowds:
                assert crowd.stdout.readline().strip() == said
            for _ in range(5):
                is_answered(camera, "depth")
            for crowd in crowds:
                crowd.stdin.write("\n")
                crowd.stdin.flush()
        assert [crowd.wait() for crowd in crowds] == [0, 0]
    finally:
        for crowd in crowds:
            crowd.kill()
            crowd.wait()


def test_without_any_camera_info_there_are_labels_and_a_warning(start_node, camera):
    """No metres are published, and diagnostics and log say why."""
    node = start_node()
    camera.wait_until_active()
    camera.listen_diagnostics()
    depths = []
    camera.node.create_subscription(Image, "/sosd/depth", depths.append, 10)
    semantics = camera.heard.setdefault("semantic", [])
    camera.node.create_subscription(Image, "/sosd/semantic", semantics.append, 10)

    def is_warned():
        camera.send(rgb(camera.header(), picture()))
        status = camera.status("camera")
        is_counted = int(camera.values("camera").get("without scale: no_camera_info", 0)) > 0
        return semantics and is_counted and status.level == WARN and "CameraInfo" in status.message

    camera.wait(is_warned, "a warning that no CameraInfo comes")
    assert not depths
    assert "has no metric depth and no points: no CameraInfo has arrived yet" in node.log


def test_a_camera_info_that_stops_is_shown(start_node, camera):
    """Depth goes on with the last one, and a warning says that it is old."""
    start_node()
    camera.wait_until_active()
    camera.listen_diagnostics()
    camera.listen("depth")

    def is_warned():
        camera.send(rgb(camera.header(), picture()))
        status = camera.status("camera")
        return status.level == WARN and "CameraInfo" in status.message

    camera.wait(is_warned, "a warning that CameraInfo has stopped")


def test_a_camera_that_stops_is_shown(start_node, camera):
    """An error while it is silent; none when it has come back."""
    start_node(**{"diagnostics.input_timeout": 0.5})
    camera.wait_until_active()
    camera.listen_diagnostics()
    camera.listen("depth")
    camera.wait_for_status("camera", ERROR, "no image")

    def is_well():
        camera.send(rgb(camera.header(), picture()), camera_info())
        return camera.status("camera").level == OK

    camera.wait(is_well, "an end of the error")


def test_a_peer_whose_quality_of_service_does_not_fit_is_named(start_node, camera):
    """A best-effort camera in front of a reliable subscription: log and diagnostics say who."""
    node = start_node()  # told to listen reliably
    camera.wait_until_active()
    camera.listen_diagnostics()
    publisher = camera.node.create_publisher(Image, "image", BEST_EFFORT)
    said = "publisher of test_camera on /image has QoS incompatible with ours (RELIABILITY)"
    camera.wait(lambda: said in node.log, said)
    camera.wait_for_status("node", WARN, "/image")
    camera.node.destroy_publisher(publisher)
    camera.wait_for_status("node", OK, "")

    camera.node.create_subscription(Image, "/sosd/depth", lambda m: None, LATCHED)
    said = "subscription of test_camera on /sosd/depth has QoS incompatible with ours (DURABILITY)"
    camera.wait(lambda: said in node.log, said)
    [advice] = {
        word for word in node.log.split() if word.endswith("/sosd/depth.publisher.durability")
    }
    request = GetParameters.Request(names=[advice])
    [value] = camera.call(GetParameters, "/sosd/get_parameters", request).values
    assert value.string_value == "volatile"
