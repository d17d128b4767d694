"""The page of all topics, from those that the node makes.

``python docs/generate.py`` writes it.
"""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from sosd_ros.ros.scaling import SENSORS
from sosd_ros.ros.topics import INPUT_QOS, LATCHED_QOS, OUTPUT_QOS, OUTPUTS, OutputTopic

# What the code does not say of each output.
CONTENT = {
    "depth": "`32FC1`: metres along z, NaN where there is none, +inf beyond `max_depth` (REP 117). "
    "With `depth_encoding: 16UC1`: millimetres, 0 where there is none",
    "camera_info": "the camera of the depth image. Its P projects each point onto its pixel "
    "([geometry.md](geometry.md#what-sosdcamera_info-says))",
    "depth_uncertainty": "`32FC1`: one standard deviation of depth in metres, NaN where depth is "
    "NaN or infinite",
    "semantic": "`mono8`: class ids, 255 where there is none",
    "confidence": "`mono8`: the probability of the class, 0 to 255",
    "points": "organised: x right, y down, z forward in metres, `rgb`, `label`, and with "
    "`cloud_uncertainty` also `uncertainty`. NaN where there is no depth, and beyond `max_depth` "
    "unless `cloud_clearing_margin` is set. `cloud_decimation` n leaves every n-th row and column",
    "overlay": "`rgb8`, for people: the image and the colours of its classes",
    "depth_colored": "`rgb8`, for people: depth in colours",
}
NAMES = {
    "depth": "depth",
    "semantic": "classes",
    "confidence": "confidence",
    "uncertainty": "uncertainty",
}


def topics_page() -> str:
    """What comes in and goes out, in Markdown."""
    lines = [
        "# Topics",
        "",
        "Names are those of a node called `sosd`. `image` and the other inputs are relative: the",
        "launch file's arguments, or a remapping, say where they come from. With `cameras: [front,",
        "rear]` each topic is below the camera's name: `front/image`, `/sosd/front/depth`.",
        "This page is written by `python docs/generate.py`.",
        "",
        "## In",
        "",
        "| topic | type | content | QoS |",
        "|---|---|---|---|",
        *_inputs(),
        "",
        "An image takes the CameraInfo with its own stamp, which may come up to 0.1 s later, or",
        "else the newest one. A queue of depth 1 keeps only the newest image.",
        "",
        "## Out",
        "",
        "All answers to an image have its stamp, its `frame_id` and its size (a decimated cloud is",
        "smaller). An answer is computed while somebody subscribes, and published for every image",
        "that is worked on, or at most at its rate.",
        "",
        "| topic | type | content | needs | at most at |",
        "|---|---|---|---|---|",
        *(_output(name, output) for name, output in OUTPUTS.items()),
        "",
        f"They are {_words(OUTPUT_QOS)}. *Needs* says what the network must answer, and whether",
        "the image needs a CameraInfo that fits. What the weights cannot answer has no topic.",
        "",
        "## Out, of the whole node",
        "",
        "| topic | type | content | QoS |",
        "|---|---|---|---|",
        "| `/sosd/label_info/json` | `std_msgs/String` | JSON: names, colours and groups of the "
        f"classes, and the threshold of confidence; at *activate* | {_words(LATCHED_QOS)} |",
        "| `/sosd/label_info` | `vision_msgs/LabelInfo` | names of the classes, and the threshold; "
        f"where vision_msgs is installed | {_words(LATCHED_QOS)} |",
        "| `/diagnostics` | `diagnostic_msgs/DiagnosticArray` | twice a second: health, rates, "
        "latencies, drops ([operations.md](operations.md#diagnostics)) | reliable |",
        "",
        "## Change the quality of service",
        "",
        "History, depth, reliability and durability of every input and output of a camera are",
        "parameters, to be given at start. In a file for `params_file`:",
        "",
        "```yaml",
        "/**:",
        "  ros__parameters:",
        "    qos_overrides:",
        "      /sosd/depth:",
        "        publisher: {reliability: best_effort}",
        "      /camera/image_rect:",
        "        subscription: {depth: 5}",
        "```",
    ]
    return "\n".join(lines) + "\n"


def _inputs() -> list[str]:
    qos = _words(INPUT_QOS)
    rows = [
        f"| `image` | `{_type(Image)}` | rgb8, bgr8, rgba8, bgra8, mono8, their 16-bit forms, "
        f"bayer, yuv422, yuyv, nv12, nv21; another encoding is refused by name | {qos} |",
        f"| `image/compressed` | `{_type(CompressedImage)}` | instead of `image` with "
        f"`image_transport: compressed`: JPEG or PNG | {qos} |",
        f"| `camera_info` | `{_type(CameraInfo)}` | with each image, or once and latched. Without "
        f"one that fits there are classes, but no depth and points | {qos} |",
    ]
    return rows + [
        f"| `scale/{name}` | `{_type(kind)}` | with `scale_from.{name}`: what depth is compared "
        f"with ([geometry.md](geometry.md#scale-from-the-world)) | {qos} |"
        for name, kind in SENSORS.items()
    ]


def _output(name: str, output: OutputTopic) -> str:
    answers = {*output.needs, *(["depth"] if output.metric else [])}
    needs = [NAMES[answer] for answer in NAMES if answer in answers]
    needs += ["CameraInfo"] * output.metric
    carried = ", ".join(NAMES[answer] for answer in sorted(output.carries))
    may = f" ({carried} if there)" if carried else ""
    return (
        f"| `/sosd/{output.topic}` | `{_type(output.kind)}` | {CONTENT[name]} "
        f"| {', '.join(needs)}{may} | `publish_rate.{output.rate}` |"
    )


def _type(kind: type) -> str:
    """As ``ros2 topic type`` writes it, without ``msg``."""
    return f"{kind.__module__.partition('.')[0]}/{kind.__name__}"


def _words(qos: QoSProfile) -> str:
    reliable = qos.reliability == ReliabilityPolicy.RELIABLE
    latched = qos.durability == DurabilityPolicy.TRANSIENT_LOCAL
    words = ["reliable" if reliable else "best effort", *["latched"] * latched]
    return ", ".join([*words, f"depth {qos.depth}"])
