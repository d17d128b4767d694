"""All parameters of the node: name, default, range, description and when each is read."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from rcl_interfaces.msg import ParameterDescriptor

from ..camera_info import CALIBRATED, RECTIFIED
from ..encodings import MAX_PIXELS
from ..engine import AUTO, BACKENDS, PRECISIONS
from .diagnostics import Thresholds
from .topics import OUTPUTS

if TYPE_CHECKING:
    from rclpy.node import Node

Value = str | bool | int | float | tuple[str, ...]

_CAMERA_NAME = re.compile(r"([A-Za-z][A-Za-z0-9_]*)?")
_KINDS = {str: "a string", bool: "true or false", int: "an integer", float: "a number"}


class Change(Enum):
    """When a parameter may be changed."""

    RUNNING = "at any time"
    UNCONFIGURED = "before configure"
    NEVER = "only at start"


@dataclass(frozen=True)
class Parameter:
    """A parameter as it is declared; ``choices`` or ``range`` bound its value.

    Attributes:
        range: the least and the greatest value, both allowed.
    """

    name: str
    default: Value
    description: str
    choices: tuple[str, ...] = ()
    range: tuple[float, float] | None = None
    change: Change = Change.UNCONFIGURED

    @property
    def constraints(self) -> str:
        """What is allowed, in words."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.range is not None:
            return " to ".join(str(n) if isinstance(n, int) else f"{n:g}" for n in self.range)
        return ""

    @property
    def descriptor(self) -> ParameterDescriptor:
        return ParameterDescriptor(
            description=f"{self.description} May be changed {self.change.value}.",
            additional_constraints=self.constraints,
            read_only=self.change is Change.NEVER,
            # rclpy would end the node over a wrong type or range in a params file; it also refuses
            # 20 for 20.0, and its errors name no range. ``checked`` does better.
            dynamic_typing=True,
        )

    def checked(self, value: Any) -> Any:
        """``value`` in the parameter's type; raises a ValueError that says why if not allowed."""
        if isinstance(self.default, tuple):
            return _camera_names(self.name, value)
        kind: type[Any] = type(self.default)
        if isinstance(value, bool) and str(value).lower() in self.choices:
            value = str(value).lower()  # YAML reads true and false without quotes as bool
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ValueError(f"parameter {self.name} is {value!r}, expected {_KINDS[kind]}")
        allowed = not self.choices or value in self.choices
        if self.range is not None:
            allowed = self.range[0] <= value <= self.range[1]  # false for NaN
        if not allowed:
            raise ValueError(f"parameter {self.name} is {value!r}, expected {self.constraints}")
        return value


def _camera_names(parameter: str, value: Any) -> tuple[str, ...]:
    names = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else ()
    fits = all(isinstance(name, str) and _CAMERA_NAME.fullmatch(name) for name in names)
    if not names or not fits or len(set(names)) != len(names):
        raise ValueError(
            f"parameter {parameter} is {value!r}, expected a list of different names made of "
            "letters, digits and _, such as ['front', 'rear'], or [''] for one without a name"
        )
    return names


_HOUR = 3600.0


def _topics_by_rate() -> dict[str, list[str]]:
    """The outputs' topics by the rate that they share."""
    topics: dict[str, list[str]] = {}
    for output in OUTPUTS.values():
        topics.setdefault(output.rate, []).append(output.topic)
    return topics


@dataclass(frozen=True)
class ScaleSettings:
    """How scale is estimated: the parameters ``scale_from``, and then those of ``scale``."""

    range: bool = False
    scan: bool = False
    points: bool = False
    ground_frame: str = ""
    camera_height: float = 0.0
    camera_pitch: float = 0.0
    apply: bool = False
    shift: bool = False
    window: float = 10.0

    @property
    def sensors(self) -> list[str]:
        """Names of the sensors that are listened to."""
        return [name for name in ("range", "scan", "points") if getattr(self, name)]

    @property
    def by_height(self) -> str:
        """The parameter by which the camera's height is known; empty if it is not."""
        if self.ground_frame:
            return "scale_from.ground_frame"
        return "scale_from.camera_height" if self.camera_height else ""

    @property
    def is_estimated(self) -> bool:
        """Whether there is anything to estimate it from."""
        return bool(self.sensors or self.by_height)


PARAMETERS = (
    Parameter(
        "weights",
        "",
        "Path of a .safetensors weights file. Empty: the one that comes with the package.",
    ),
    Parameter(
        "device",
        "cuda",
        "Where the network runs: cuda, cuda:N or cpu. A device that is missing is an error, so "
        "the node never falls back to a slow CPU unnoticed.",
    ),
    Parameter(
        "backend",
        AUTO,
        "What runs the network. auto: the fastest that is installed, built for this machine, and "
        "agrees with eager float32.",
        choices=(AUTO, *(backend.name for backend in BACKENDS)),
    ),
    Parameter(
        "precision",
        AUTO,
        "Precision of the network's arithmetic. auto: the fastest that agrees with float32.",
        choices=(AUTO, *PRECISIONS),
    ),
    Parameter(
        "engine_cache",
        "",
        "Folder with built engines. Empty: $SOSD_CACHE, or ~/.cache/sosd_ros.",
    ),
    Parameter(
        "cameras",
        ("",),
        "Names of the cameras that share the network, such as [front, rear], each with its topics "
        "below its name: /front/image, /sosd/front/depth. The empty name is one camera with image "
        "and camera_info.",
    ),
    Parameter(
        "batch_window",
        0.01,
        "Seconds in which images of several cameras are gathered into one batch.",
        range=(0.0, 1.0),
    ),
    Parameter(
        "image_transport",
        "raw",
        "raw: images come on image. compressed: as JPEG or PNG on image/compressed.",
        choices=("raw", "compressed"),
    ),
    Parameter(
        "device_buffers",
        False,
        "Whether raw images that come in the GPU's memory stay there, and so do their answers. "
        "Needs ROS 2 Lyrical, the package cuda_buffer_py and the device cuda; where one is "
        "missing, the node says so and goes on without. A frame passes through the CPU's memory "
        "if it is neither rgb8 nor bgr8, if overlay or depth/colored is subscribed, or with "
        "depth_encoding 16UC1, a confidence_threshold, steady, rectified: rectify, or any "
        "scale_from. It has not run on a GPU yet.",
    ),
    Parameter(
        "fit_inputs",
        0,
        "How many inputs of the network an image may take to be seen at the scale of the training. "
        "0: one, of the usual size, and depth is corrected for the focal length. 1: a smaller one "
        "for a longer lens. 4, 9, 16: also 2x2, 3x3 or 4x4 for a shorter one, at the cost of as "
        "many images. For a longer lens, metres are no better: see docs/geometry.md.",
        range=(0, 16),
    ),
    Parameter(
        "max_image_pixels",
        MAX_PIXELS,
        "Larger images are refused.",
        range=(1, 2**28),
    ),
    Parameter(
        "depth_encoding",
        "32FC1",
        "Encoding of the depth image. 32FC1: metres, NaN is invalid. 16UC1: millimetres, 0 is "
        "invalid.",
        choices=("32FC1", "16UC1"),
    ),
    Parameter(
        "autostart",
        True,
        "Configure and activate at start. Set it to false under a lifecycle manager.",
        change=Change.NEVER,
    ),
    Parameter(
        "autostart_attempts",
        0,
        "How many attempts to start may fail before the process ends with status 1; the pause "
        "between them grows. 0: it tries for ever.",
        range=(0, 1_000_000),
        change=Change.NEVER,
    ),
    Parameter(
        "bond_heartbeat_period",
        0.25,
        "Seconds between heartbeats to Nav2's lifecycle manager, without autostart. 0 or less: no "
        "bond, and the manager needs bond_timeout: 0.0.",
        range=(-1.0, 10.0),
    ),
    Parameter(
        "calibration_of",
        "sensor",
        "What K and P of CameraInfo describe. sensor: the full resolution, from which binning and "
        "roi make the image, as sensor_msgs defines it. image: the image as published.",
        choices=CALIBRATED,
        change=Change.RUNNING,
    ),
    Parameter(
        "rectified",
        "assumed",
        "Whether images are rectified. true: they are. rectify: they are not, and the node "
        "rectifies them by K, D, R and P of the CameraInfo; all outputs belong to the rectified "
        "image. rays: they are not and stay so, and points lie on the bent rays of the lens. "
        "false: they are not, and there is no depth if the CameraInfo has a distortion D, a P "
        "other than K or a rotation R. assumed: as true, with a warning where it is doubtful.",
        choices=RECTIFIED,
        change=Change.RUNNING,
    ),
    Parameter(
        "depth_scale",
        1.0,
        "What the depth of all cameras and its uncertainty are multiplied by, before min_depth and "
        "max_depth. python -m sosd_ros.measure --calibrate finds it from measured distances. With "
        "scale.apply, a scale that is estimated takes its place.",
        range=(0.1, 10.0),
        change=Change.RUNNING,
    ),
    *(
        Parameter(
            f"scale_from.{name}",
            getattr(ScaleSettings, name),
            f"Whether depth is compared with {of}, on the topic scale/{name} ({kind}), to estimate "
            "its scale for each camera. Its frame has to be the image's, or known to tf.",
        )
        for name, of, kind in (
            ("range", "a single distance along the x axis of its frame", "sensor_msgs/Range"),
            ("scan", "a planar laser scanner", "sensor_msgs/LaserScan"),
            ("points", "a lidar or a depth camera", "sensor_msgs/PointCloud2"),
        )
    ),
    Parameter(
        "scale_from.ground_frame",
        ScaleSettings.ground_frame,
        "A frame of tf that lies on the ground with z up, such as base_footprint: scale is "
        "estimated from the camera's height above it, where the image shows the classes floor or "
        "road. Empty: it is not.",
    ),
    Parameter(
        "scale_from.camera_height",
        ScaleSettings.camera_height,
        "The same without tf: metres of all cameras above level ground, with "
        "scale_from.camera_pitch. 0: none.",
        range=(0.0, 100.0),
    ),
    Parameter(
        "scale_from.camera_pitch",
        ScaleSettings.camera_pitch,
        "Radians by which the cameras of scale_from.camera_height look down; they do not lean. "
        "A degree that is wrong moves ground at a distance of ten heights by a sixth.",
        range=(-1.5, 1.5),
    ),
    Parameter(
        "scale.apply",
        ScaleSettings.apply,
        "Whether the estimated scale takes the place of depth_scale, once there is one. false: "
        "diagnostics tell it, and depth stays as it is.",
        change=Change.RUNNING,
    ),
    Parameter(
        "scale.shift",
        ScaleSettings.shift,
        "Whether a shift in metres is estimated and applied beside the factor. Needs near and far "
        "things at once.",
        change=Change.RUNNING,
    ),
    Parameter(
        "scale.window",
        ScaleSettings.window,
        "Seconds of images from which the scale is estimated.",
        range=(1.0, 60.0),
        change=Change.RUNNING,
    ),
    Parameter(
        "min_depth",
        0.1,
        "Metres. Nearer depth is published as invalid (NaN).",
        range=(0.0, 1000.0),
        change=Change.RUNNING,
    ),
    Parameter(
        "max_depth",
        10.0,
        "Metres. Farther depth is published as +inf.",
        range=(0.0, 1000.0),
        change=Change.RUNNING,
    ),
    Parameter(
        "max_relative_uncertainty",
        0.0,
        "Share of the depth, such as 0.2. Where one standard deviation is more, depth is "
        "published as invalid, in the cloud as well. 0: no limit. Needs weights that predict depth "
        "uncertainty.",
        range=(0.0, 100.0),
        change=Change.RUNNING,
    ),
    Parameter(
        "max_age",
        0.0,
        "Seconds. Images whose stamp is older by the node's clock are dropped. 0: no limit.",
        range=(0.0, _HOUR),
        change=Change.RUNNING,
    ),
    Parameter(
        "confidence_threshold",
        0.0,
        "Probability. Pixels whose class is less certain are published as unlabelled (255).",
        range=(0.0, 1.0),
        change=Change.RUNNING,
    ),
    Parameter(
        "steady",
        False,
        "Whether depth and labels are drawn towards those of the image before, moved along with "
        "what the camera sees, so that they flicker less. What changes otherwise is followed about "
        "two images later.",
        change=Change.RUNNING,
    ),
    Parameter(
        "significant_bits",
        16,
        "How many of the lower bits of 16-bit images the camera uses: 12 for a camera of 12 bits, "
        "16 for all.",
        range=(8, 16),
        change=Change.RUNNING,
    ),
    Parameter(
        "overlay_opacity",
        0.5,
        "Opacity of the labels' colours over the image. 0: only the image. 1: only the colours.",
        range=(0.0, 1.0),
        change=Change.RUNNING,
    ),
    Parameter(
        "cloud_decimation",
        1,
        "The cloud has every n-th row and column of the image. Costmap layers that also take "
        "masks need 1, so that cloud and masks have one size.",
        range=(1, 64),
        change=Change.RUNNING,
    ),
    Parameter(
        "cloud_clearing_margin",
        0.0,
        "Metres beyond max_depth at which the cloud has unlabelled points for everything farther, "
        "so that costmaps are cleared along their rays. 0: those points are NaN.",
        range=(0.0, 1000.0),
        change=Change.RUNNING,
    ),
    Parameter(
        "cloud_uncertainty",
        False,
        "Whether the cloud has a field uncertainty: one standard deviation of z in metres, "
        "float32. Needs weights that predict depth uncertainty.",
        change=Change.RUNNING,
    ),
    *(
        Parameter(
            f"publish_rate.{rate}",
            0.0,
            f"Maximum rate in Hz of {', '.join(topics)}. 0: every image that is processed.",
            range=(0.0, 1000.0),
            change=Change.RUNNING,
        )
        for rate, topics in _topics_by_rate().items()
    ),
    Parameter(
        "diagnostics.input_timeout",
        Thresholds.input_timeout,
        "Seconds without an image after which a camera is an error, and without CameraInfo a "
        "warning.",
        range=(0.1, _HOUR),
        change=Change.RUNNING,
    ),
    Parameter(
        "diagnostics.worker_timeout",
        Thresholds.worker_timeout,
        "Seconds that one batch may take before the worker counts as hanging.",
        range=(0.1, _HOUR),
        change=Change.RUNNING,
    ),
    Parameter(
        "diagnostics.latency_warn",
        Thresholds.latency_warn,
        "Seconds from an image's arrival to its answers, 95th percentile, above which it warns.",
        range=(0.0, _HOUR),
        change=Change.RUNNING,
    ),
    Parameter(
        "diagnostics.latency_error",
        Thresholds.latency_error,
        "Seconds from an image's arrival to its answers, 95th percentile, above which it is an "
        "error.",
        range=(0.0, _HOUR),
        change=Change.RUNNING,
    ),
    Parameter(
        "diagnostics.rate_warn",
        Thresholds.rate_warn,
        "Hz of answered images by camera, below which it warns. 0: never.",
        range=(0.0, 1000.0),
        change=Change.RUNNING,
    ),
    Parameter(
        "diagnostics.rate_error",
        Thresholds.rate_error,
        "Hz of answered images by camera, below which it is an error. 0: never.",
        range=(0.0, 1000.0),
        change=Change.RUNNING,
    ),
)


BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}


@dataclass(frozen=True)
class Settings:
    """The values of all parameters; ``publish_rate`` by output."""

    weights: str
    device: str
    backend: str
    precision: str
    engine_cache: str
    cameras: tuple[str, ...]
    batch_window: float
    image_transport: str
    device_buffers: bool
    fit_inputs: int
    max_image_pixels: int
    depth_encoding: str
    autostart: bool
    autostart_attempts: int
    bond_heartbeat_period: float
    calibration_of: str
    rectified: str
    depth_scale: float
    scale: ScaleSettings
    min_depth: float
    max_depth: float
    max_relative_uncertainty: float
    max_age: float
    confidence_threshold: float
    steady: bool
    significant_bits: int
    overlay_opacity: float
    cloud_decimation: int
    cloud_clearing_margin: float
    cloud_uncertainty: bool
    publish_rate: Mapping[str, float]
    diagnostics: Thresholds

    @property
    def beyond(self) -> float:
        """Metres along z of points where nothing is within the range; NaN: there are none."""
        margin = self.cloud_clearing_margin
        return self.max_depth + margin if margin else math.nan


def declare(node: Node) -> None:
    """Declare all parameters on ``node``."""
    for parameter in PARAMETERS:
        node.declare_parameter(parameter.name, _as_ros(parameter.default), parameter.descriptor)


def read(node: Node, changes: Mapping[str, Any] | None = None) -> Settings:
    """The parameters' values, with ``changes`` that are about to be set.

    Raises:
        ValueError: naming the parameter, its value and what was expected.
    """
    changes = changes or {}
    values: dict[str, Any] = {}
    for parameter in PARAMETERS:
        name = parameter.name
        value = changes[name] if name in changes else node.get_parameter(name).value
        group, _, key = name.rpartition(".")
        (values.setdefault(group, {}) if group else values)[key] = parameter.checked(value)
    if values["min_depth"] >= values["max_depth"]:
        raise ValueError(
            f"parameter min_depth is {values['min_depth']:g} m, expected less than max_depth, "
            f"which is {values['max_depth']:g} m"
        )
    thresholds = Thresholds(**values["diagnostics"])
    scale = ScaleSettings(**values.pop("scale_from"), **values["scale"])
    if scale.ground_frame and scale.camera_height:
        raise ValueError(
            f"parameter scale_from.ground_frame is {scale.ground_frame!r} and "
            f"scale_from.camera_height is {scale.camera_height:g} m, expected one of them: leave "
            "the other empty, or 0"
        )
    return Settings(**(values | {"diagnostics": thresholds, "scale": scale}))


def check_answers(settings: Settings, answers: Set[str]) -> None:
    """Refuse settings that need more than the engine's ``answers``.

    Raises:
        ValueError: naming the parameter and its value.
    """
    for name in ("max_relative_uncertainty", "cloud_uncertainty"):
        value = getattr(settings, name)
        if value and "uncertainty" not in answers:
            default = str(BY_NAME[name].default).lower()
            raise ValueError(
                f"parameter {name} is {str(value).lower()}, but these weights predict no "
                f"depth uncertainty; set it to {default}, or load weights with a spread"
            )
    scale = settings.scale
    used = [f"scale_from.{name}" for name in scale.sensors]
    used += [scale.by_height] if scale.by_height else []
    needed = {"depth", "semantic"} if scale.by_height else {"depth"}
    if used and not needed <= answers:
        raise ValueError(
            f"parameter {used[-1]} is set, but these weights do not answer "
            f"{' and '.join(sorted(needed - answers))}; clear it, or load others"
        )


def needing_configure(names: Iterable[str]) -> list[str]:
    """Those of ``names`` that are read at configure."""
    return [name for name in names if BY_NAME[name].change is not Change.RUNNING]


def _as_ros(value: Value) -> Any:
    return list(value) if isinstance(value, tuple) else value
