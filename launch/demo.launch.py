"""Play the demo's frames to the perception node, with a camera that looks level, for viewers.

With view:=true, a browser shows the answers as well.
"""

from typing import Any

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    OpaqueFunction,
    Shutdown,
)
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.substitutions import ExecutableInPackage

ARGUMENTS = {
    "source": ("", "A folder of images, a video file, or a camera (0). Empty: sample frames."),
    "device": ("", "Where the network runs: cuda, cuda:N or cpu. Empty: the GPU if there is one."),
    "view": ("false", "Whether to serve the live view to a browser, and to play on until Ctrl-C."),
}
# From base_link, x forward and z up, to a camera 1 m above it that looks forward (REP 103).
CAMERA = {"z": "1.0", "roll": "-1.5708", "yaw": "-1.5708"}


def demo(context: LaunchContext) -> list[ExecuteProcess]:
    """The demo; made by a function, so that empty arguments are left out."""
    values = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    options = [
        word
        for name in ("source", "device")
        if values[name]
        for word in (f"--{name}", values[name])
    ]
    if values["view"].lower() in ("true", "1"):
        options.append("--view")
    # Not a Node: this command takes no arguments of ROS.
    program = ExecutableInPackage(package="sosd_ros", executable="sosd_demo")
    return [ExecuteProcess(cmd=[program, *options], output="screen", on_exit=Shutdown())]


def generate_launch_description() -> LaunchDescription:
    """What ``ros2 launch`` runs."""
    arguments: list[Any] = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    place = [word for name, value in CAMERA.items() for word in (f"--{name}", value)]
    frames = ["--frame-id", "base_link", "--child-frame-id", "camera_optical_frame"]
    transform = Node(
        package="tf2_ros", executable="static_transform_publisher", arguments=[*place, *frames]
    )
    return LaunchDescription([*arguments, transform, OpaqueFunction(function=demo)])
