"""Start the perception node, which configures and activates itself, and keep it running.

Its topics are below its name: /sosd/depth, or /robot1/sosd/depth in the namespace robot1.
"""

import os
import re
from pathlib import Path
from typing import Any

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import EnvironmentVariable, LaunchConfiguration
from launch_ros.actions import Node

CONFIG = Path(__file__).parents[1] / "config"

# Fast DDS before version 3 knows its profile by an older name, of which later ones warn.
PROFILE = (
    "FASTRTPS_DEFAULT_PROFILES_FILE"
    if os.environ.get("ROS_DISTRO") in ("humble", "iron", "jazzy")
    else "FASTDDS_DEFAULT_PROFILES_FILE"
)

ARGUMENTS = {
    "weights": ("", "Path of a .safetensors weights file. Empty: as in params_file."),
    "device": ("", "Where the network runs: cuda, cuda:N or cpu. Empty: as in params_file."),
    "cameras": (
        "",
        "Names of the cameras, as in front,rear; image and camera_info are then topics below each "
        "name. Empty: as in params_file.",
    ),
    "image": ("image", "Topic of the camera's images; /compressed is added for compressed ones."),
    "camera_info": ("camera_info", "Topic of the camera's CameraInfo."),
    "range": ("scale/range", "Topic of a sensor_msgs/Range, for scale_from.range."),
    "scan": ("scale/scan", "Topic of a sensor_msgs/LaserScan, for scale_from.scan."),
    "points": ("scale/points", "Topic of a sensor_msgs/PointCloud2, for scale_from.points."),
    "namespace": ("", "Namespace of the node and of every topic without a leading slash."),
    "params_file": (
        str(CONFIG / "perception.yaml"),
        "Path of a YAML file with parameters of the node.",
    ),
    "respawn": ("true", "Whether the node is started again when its process has ended."),
    "log_level": ("info", "Least severity to log: debug, info, warn, error or fatal."),
}
SENSORS = ("range", "scan", "points")
RESPAWN_DELAY = 2.0  # seconds; a node that cannot start should not keep the machine busy


def remappings(cameras: list[str], image: str, camera_info: str) -> list[tuple[str, str]]:
    """Those of the unnamed camera, and of each of ``cameras`` below its name."""
    for name, topic in (("image", image), ("camera_info", camera_info)):
        if cameras and topic.startswith(("/", "~")):
            raise ValueError(
                f"{name} is {topic}, which the cameras {', '.join(cameras)} cannot share; expected "
                f"a topic below each camera's name, such as image_raw for {cameras[0]}/image_raw"
            )
    topics = {"image": image, "camera_info": camera_info}
    below = ["", *(f"{camera}/" for camera in cameras)]
    return [(f"{b}{topic}", f"{b}{target}") for b in below for topic, target in topics.items()]


def perception_node(context: LaunchContext) -> list[Node]:
    """The node; made by a function, so that empty arguments do not override parameters."""
    params_file = Path(LaunchConfiguration("params_file").perform(context)).expanduser()
    if not params_file.is_file():
        raise FileNotFoundError(f"params_file {params_file} does not exist")
    overrides: dict[str, Any] = {
        name: value
        for name in ("weights", "device")
        if (value := LaunchConfiguration(name).perform(context))
    }
    cameras = re.findall(r"[^,\s]+", LaunchConfiguration("cameras").perform(context))
    if cameras:
        overrides["cameras"] = cameras
    sensors = [(f"scale/{name}", LaunchConfiguration(name)) for name in SENSORS]
    node = Node(
        package="sosd_ros",
        executable="perception_node",
        name="sosd",
        namespace=LaunchConfiguration("namespace"),
        parameters=[params_file, overrides],
        remappings=[
            *remappings(
                cameras,
                LaunchConfiguration("image").perform(context),
                LaunchConfiguration("camera_info").perform(context),
            ),
            *sensors,
        ],
        respawn=LaunchConfiguration("respawn"),
        respawn_delay=RESPAWN_DELAY,
        ros_arguments=["--log-level", LaunchConfiguration("log_level")],
        # Room for images and clouds, unless the user has chosen a profile.
        additional_env={
            PROFILE: EnvironmentVariable(PROFILE, default_value=str(CONFIG / "fastdds.xml"))
        },
        output="screen",
    )
    return [node]


def generate_launch_description() -> LaunchDescription:
    """What ``ros2 launch`` runs."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=perception_node)])
