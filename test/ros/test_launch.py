"""The launch file, with the real launch and launch_ros."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import threading
import time

import cv2
import numpy as np
import pytest
import yaml
from lifecycle_msgs.msg import State, Transition
from robot import ROOT, TIMEOUT

from sosd_ros.testbed.camera import FRAME_ID

pytest.importorskip("launch_ros", reason="no launch_ros: it comes with a ROS 2, not from PyPI")

from launch import LaunchContext, LaunchDescription, LaunchService
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, RegisterEventHandler
from launch.event_handlers import OnProcessStart, OnShutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.utilities import perform_substitutions

SOURCE = PythonLaunchDescriptionSource(str(ROOT / "launch" / "perception.launch.py"))


def install(prefix, package, executable, code):
    """A package with a Python program, as far as launch looks for one."""
    marker = prefix / "share" / "ament_index" / "resource_index" / "packages" / package
    program = prefix / "lib" / package / executable
    for path in (marker, program):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    program.write_text(f"#!{sys.executable}\n{code}\n")
    program.chmod(0o755)


@pytest.fixture(autouse=True)
def installed(tmp_path, monkeypatch):
    """The checkout as an installed package."""
    start = "from sosd_ros.ros.start import main\nmain()"
    code = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{start}"
    install(tmp_path, "sosd_ros", "perception_node", code)
    prefixes = [str(tmp_path), os.environ.get("AMENT_PREFIX_PATH", "")]
    monkeypatch.setenv("AMENT_PREFIX_PATH", os.pathsep.join(filter(None, prefixes)))


def run(arguments, check=lambda: None, handlers=(), source=SOURCE):
    """Launch, call ``check`` in a thread, and end; the exit status of the launch."""
    include = IncludeLaunchDescription(source, launch_arguments=arguments.items())
    actions = [*map(RegisterEventHandler, handlers), include]

    async def launch_and_check():
        service = LaunchService()
        service.include_launch_description(LaunchDescription(actions))
        running = asyncio.create_task(service.run_async())
        try:
            await asyncio.to_thread(check)
        finally:
            await asyncio.to_thread(service.shutdown)
            status = await running
        return status

    return asyncio.run(launch_and_check())


def test_every_argument_has_a_default_and_a_description():
    """What --show-args shows; without arguments, everything is as in config/perception.yaml."""
    description = SOURCE.get_launch_description(LaunchContext())
    arguments = [e for e in description.entities if isinstance(e, DeclareLaunchArgument)]
    defaults = {a.name: perform_substitutions(LaunchContext(), a.default_value) for a in arguments}
    assert defaults == {
        "weights": "",
        "device": "",
        "cameras": "",
        "image": "image",
        "camera_info": "camera_info",
        "range": "scale/range",
        "scan": "scale/scan",
        "points": "scale/points",
        "namespace": "",
        "params_file": str(ROOT / "config" / "perception.yaml"),
        "respawn": "true",
        "log_level": "info",
    }
    assert all(argument.description for argument in arguments)


def come_up(camera, arguments, inputs, outputs=("/robot1/sosd/depth",)):
    """Launch in a namespace; wait until the node is active there and has certain topics."""

    def check():
        active = State.PRIMARY_STATE_ACTIVE
        camera.wait(lambda: camera.state("/robot1/sosd") == active, "the active state")
        for topic in inputs:
            camera.wait(lambda topic=topic: camera.node.count_subscribers(topic), topic)
        for topic in outputs:
            camera.wait(lambda topic=topic: camera.node.count_publishers(topic), topic)

    assert run({"namespace": "robot1", **arguments}, check) == 0


TOPICS = {"image": "/front/image_raw", "camera_info": "info"}


def test_weights_and_device_come_from_the_arguments(camera, small_weights):
    """They go before the params file, which asks for other weights, on CUDA."""
    arguments = {"weights": str(small_weights), "device": "cpu", **TOPICS}
    come_up(camera, arguments, ("/front/image_raw", "/robot1/info"))


def write_parameters(path, **parameters):
    path.write_text(yaml.safe_dump({"/**": {"ros__parameters": parameters}}))
    return str(path)


def test_weights_and_device_come_from_the_params_file(camera, small_weights, tmp_path):
    """Where no argument says otherwise; and compressed images have their topic below."""
    params_file = write_parameters(
        tmp_path / "params.yaml",
        weights=str(small_weights),
        device="cpu",
        image_transport="compressed",
    )
    inputs = ("/front/image_raw/compressed", "/robot1/info")
    come_up(camera, {"params_file": params_file, **TOPICS}, inputs)


def test_every_camera_has_its_topics_below_its_name(camera, small_weights):
    """``image`` and ``camera_info`` say what they are called there."""
    arguments = {
        "weights": str(small_weights),
        "device": "cpu",
        "cameras": "front, rear",
        "image": "image_raw",
        "camera_info": "info",
    }
    below = ["/robot1/front", "/robot1/rear"]
    inputs = [f"{name}/{topic}" for name in below for topic in ("image_raw", "info")]
    come_up(camera, arguments, inputs, ("/robot1/sosd/front/depth", "/robot1/sosd/rear/depth"))


def test_several_cameras_cannot_share_one_topic(caplog):
    """An absolute name would silently give all cameras the same images."""
    assert run({"cameras": "front,rear", "image": "/front/image_raw"}) == 1
    assert "image is /front/image_raw, which the cameras front, rear cannot share" in caplog.text


@pytest.mark.parametrize("respawn", ["true", "false"])
def test_a_node_that_is_killed_comes_back(respawn, camera, small_weights):
    """As another process that activates itself; with respawn:=false, the launch ends instead."""
    processes, ended = [], threading.Event()
    handlers = (
        OnProcessStart(on_start=lambda event, context: processes.append(event.pid)),
        OnShutdown(on_shutdown=lambda event, context: ended.set()),
    )

    def is_active():
        return camera.state() == State.PRIMARY_STATE_ACTIVE

    def check():
        camera.wait(is_active, "the active state")
        os.kill(processes[0], signal.SIGKILL)
        if respawn == "true":
            camera.wait(lambda: len(processes) == 2, "another process")
            camera.wait(is_active, "the active state of another process")
        else:
            camera.wait(ended.is_set, "the end of the launch")
            assert len(processes) == 1

    arguments = {"weights": str(small_weights), "device": "cpu", "respawn": respawn}
    assert run(arguments, check, handlers) == 0


def profile():
    """Variable and path of the profile for Fast DDS that the node would be started with."""
    source = PythonLaunchDescriptionSource(SOURCE.location)
    context = LaunchContext()
    actions = source.get_launch_description(context).entities
    [node] = [started for action in actions for started in action.execute(context) or ()]
    [(variable, value)] = node.additional_env
    return perform_substitutions(context, variable), perform_substitutions(context, value)


@pytest.mark.parametrize(
    ("distribution", "variable"),
    [
        ("humble", "FASTRTPS_DEFAULT_PROFILES_FILE"),
        ("jazzy", "FASTRTPS_DEFAULT_PROFILES_FILE"),
        ("kilted", "FASTDDS_DEFAULT_PROFILES_FILE"),
        ("lyrical", "FASTDDS_DEFAULT_PROFILES_FILE"),
    ],
)
def test_the_profile_for_images_is_used_unless_the_user_has_one(
    distribution, variable, monkeypatch
):
    """Fast DDS with its defaults loses large messages; version 3 has another name for it."""
    monkeypatch.setenv("ROS_DISTRO", distribution)
    monkeypatch.delenv(variable, raising=False)
    assert profile() == (variable, str(ROOT / "config" / "fastdds.xml"))
    monkeypatch.setenv(variable, "/etc/mine.xml")
    assert profile() == (variable, "/etc/mine.xml")


def test_a_params_file_that_is_not_there_is_refused(caplog):
    """Else the node would start with other parameters than the user thinks."""
    assert run({"params_file": "/nowhere/params.yaml"}) == 1
    assert "params_file /nowhere/params.yaml does not exist" in caplog.text


def test_the_page_about_nav2_has_a_launch_file_that_works(camera, small_weights, tmp_path):
    """It starts the node with the page's parameters, which waits for the manager, and that one.

    The manager is a program of its name, which keeps what it is started with.
    """
    blocks = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "docs" / "nav2.md").read_text(), re.DOTALL)
    code = dict(blocks)
    parameters = yaml.safe_load(code["yaml"])
    parameters["sosd"]["ros__parameters"] |= {"weights": str(small_weights), "device": "cpu"}
    params_file, launch_file = tmp_path / "nav2_perception.yaml", tmp_path / "page.launch.py"
    params_file.write_text(yaml.safe_dump(parameters))
    assert "/path/to/nav2_perception.yaml" in code["python"]
    launch_file.write_text(
        code["python"].replace("/path/to/nav2_perception.yaml", str(params_file))
    )
    for folder in ("launch", "config"):
        share = tmp_path / "share" / "sosd_ros" / folder
        share.parent.mkdir(exist_ok=True)
        share.symlink_to(ROOT / folder)
    told = tmp_path / "told"
    install(
        tmp_path,
        "nav2_lifecycle_manager",
        "lifecycle_manager",
        f"import sys, pathlib\npathlib.Path({str(told)!r}).write_text(' '.join(sys.argv))",
    )

    def check():
        camera.wait(told.exists, "the manager")
        camera.wait(lambda: camera.state() == State.PRIMARY_STATE_UNCONFIGURED, "a node")
        for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            assert camera.change_state(transition)
        camera.wait(lambda: camera.node.count_subscribers("/camera/image_rect"), "a subscription")

    source = PythonLaunchDescriptionSource(str(launch_file))
    assert run({}, check, source=source) == 0
    assert "__node:=lifecycle_manager_perception" in told.read_text()
    assert f"--params-file {params_file}" in told.read_text()


# The demo's launch file


def demo_file():
    """Read anew each time: a description can be launched once."""
    return PythonLaunchDescriptionSource(str(ROOT / "launch" / "demo.launch.py"))


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ({}, []),
        ({"view": "true", "device": "cpu"}, ["--device", "cpu", "--view"]),
        ({"source": "walk.mp4", "view": "false"}, ["--source", "walk.mp4"]),
    ],
)
def test_the_demo_is_launched_with_a_transform_to_its_camera(arguments, options, tmp_path):
    """Both are programs of their names, which keep what they are started with."""
    told = {name: tmp_path / name for name in ("demo", "transform")}
    keep = "import json, pathlib, sys\npathlib.Path({0!r}).write_text(json.dumps(sys.argv[1:]))\n"
    wait = "import signal\nsignal.signal(signal.SIGINT, lambda *_: sys.exit())\nsignal.pause()"
    install(tmp_path, "sosd_ros", "sosd_demo", keep.format(str(told["demo"])) + wait)
    install(
        tmp_path,
        "tf2_ros",
        "static_transform_publisher",
        keep.format(str(told["transform"])) + wait,
    )

    def is_told():
        return all(path.exists() and path.read_text() for path in told.values())

    def check():
        deadline = time.monotonic() + TIMEOUT
        while not is_told() and time.monotonic() < deadline:
            time.sleep(0.05)

    assert run(arguments, check, source=demo_file()) == 0
    assert json.loads(told["demo"].read_text()) == options
    words = json.loads(told["transform"].read_text())
    given = dict(zip(words[::2], words[1::2], strict=False))
    assert (given["--frame-id"], given["--child-frame-id"]) == ("base_link", FRAME_ID)
    # Optical axes as REP 103 has them: the camera's z is forward, its y is down.
    turn = rotation(*(float(given.get(f"--{name}", 0)) for name in ("roll", "pitch", "yaw")))
    np.testing.assert_allclose(turn, [[0, 0, 1], [-1, 0, 0], [0, -1, 0]], atol=1e-4)


def rotation(roll, pitch, yaw):
    """About the fixed axes x, y and z, one after the other."""
    x, y, z = (
        cv2.Rodrigues(np.array(axis))[0] for axis in ((roll, 0, 0), (0, pitch, 0), (0, 0, yaw))
    )
    return z @ y @ x


def test_the_launch_ends_with_the_demo(tmp_path):
    """A transform alone is no use."""
    install(tmp_path, "sosd_ros", "sosd_demo", "")
    wait = "import signal, sys\nsignal.signal(signal.SIGINT, lambda *_: sys.exit())\nsignal.pause()"
    install(tmp_path, "tf2_ros", "static_transform_publisher", wait)
    ended = threading.Event()
    handler = OnShutdown(on_shutdown=lambda event, context: ended.set())
    assert run({}, lambda: ended.wait(TIMEOUT), [handler], source=demo_file()) == 0
    assert ended.is_set()
