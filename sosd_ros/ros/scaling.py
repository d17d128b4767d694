"""Listens to what else a robot measures, and estimates the scale of each camera's depth from it."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import LaserScan, PointCloud2, Range

from ..encodings import MessageError
from ..stamps import nanoseconds
from .camera_scale import GROUND, Answer, CameraScale, Ground, Report
from .diagnostics import ScaleHealth
from .parameters import ScaleSettings, Settings
from .sensors import read
from .topics import INPUT_QOS, OVERRIDES
from .transforms import Transforms
from .worker import BatchWorker

SENSORS = {"range": Range, "scan": LaserScan, "points": PointCloud2}
SPACING = 40_000_000  # nanoseconds between two messages of a topic that are read


def ground_of(settings: ScaleSettings, names: Sequence[str]) -> Ground | None:
    """What settings tell of the ground.

    Args:
        names: of the classes, by id.

    Raises:
        ValueError: if no class is ground.
    """
    if not settings.by_height:
        return None
    labels = [label for label, name in enumerate(names) if name in GROUND]
    if not labels:
        raise ValueError(
            f"parameter {settings.by_height} is set, but these weights know no class "
            f"{' or '.join(GROUND)}; clear it, or load others"
        )
    return Ground(settings.ground_frame, settings.camera_height, settings.camera_pitch, labels)


class Scaling:
    """Subscribes to the sensors, and compares their messages with answers in a thread of its own.

    Nothing queues and nobody waits for it: of each topic and camera the newest is taken, and a
    frame is scaled by what is known when it comes.

    Args:
        node: that subscribes.
        cameras: their names.
        ground: what is known of it; ``None``: it is not used.
        settings: returns the current ones; which inputs there are is read once.
        on_problem: called with a camera's name, a cause and a sentence, and with whether this
            program is at fault.

    Attributes:
        answers: of the engine that are compared.
    """

    def __init__(
        self,
        node: Node,
        cameras: Collection[str],
        ground: Ground | None,
        settings: Callable[[], Settings],
        on_problem: Callable[[str, str, str, bool], None],
    ) -> None:
        self._node, self._settings, self._on_problem = node, settings, on_problem
        self.answers = {"depth", "uncertainty"} | ({"semantic"} if ground else set())
        sensors = settings().scale.sensors
        topics = {name: node.resolve_topic_name(f"scale/{name}") for name in sensors}
        self._heard = dict.fromkeys(topics.values(), time.monotonic())
        self._stamps: dict[str, int] = {}  # of the last message that was read, by topic
        self._faults: dict[str, Mapping[str, str]] = {}  # that were told, by camera
        self._transforms = Transforms(node)
        self._cameras = {
            name: CameraScale(
                list(self._heard), ground, self._transforms.pose, self._transforms.clear
            )
            for name in cameras
        }
        # Names of cameras have no slash, and those of topics begin with one.
        keys = [*self._cameras, *self._heard]
        self._worker: BatchWorker[Any] = BatchWorker(self._handle, keys, 0.0, "scale")
        self._subscriptions: list[Any] = []
        try:
            for name, topic in topics.items():
                self._subscribe(SENSORS[name], f"scale/{name}", topic)
        except Exception:
            self.stop(0.0)
            raise

    def stop(self, timeout: float) -> None:
        """Unsubscribe, and let the comparison at hand end within ``timeout`` seconds."""
        self._worker.stop(timeout)
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._transforms.close()

    def see(self, camera: str, answer: Answer) -> None:
        """A frame was answered; returns at once."""
        self._worker.submit(camera, answer)

    def scale(self, camera: str) -> tuple[float, float]:
        """Factor and shift, in metres, by which the next depth of a camera is to be scaled."""
        settings, found = self._settings(), self._cameras[camera].report.scale
        if found is None or not settings.scale.apply:
            return settings.depth_scale, 0.0
        return found.factor, found.shift

    def health(self) -> dict[str, ScaleHealth]:
        """Of each camera; for any thread."""
        settings, now = self._settings(), time.monotonic()
        patience = settings.diagnostics.input_timeout
        silent = {
            topic: f"nothing has come for {now - heard:.1f} s: {self._why_silent(topic)}"
            for topic, heard in self._heard.items()
            if now - heard > patience
        }
        return {
            name: _health(camera.report, silent, settings.scale.apply)
            for name, camera in self._cameras.items()
        }

    def _why_silent(self, topic: str) -> str:
        if self._node.count_publishers(topic):
            return "its publisher does not send; check the sensor and its driver's log"
        return "nobody publishes there; start the sensor's driver, or remap the topic"

    def _subscribe(self, kind: type, name: str, topic: str) -> None:
        def hear(message: Any) -> None:
            self._heard[topic] = time.monotonic()
            self._worker.submit(topic, message)

        subscription = self._node.create_subscription(
            kind, name, hear, copy.copy(INPUT_QOS), qos_overriding_options=OVERRIDES
        )
        self._subscriptions.append(subscription)

    def _handle(self, items: Mapping[str, Any]) -> None:
        """Runs in the worker's thread."""
        try:
            for key, item in items.items():
                if key in self._cameras:
                    self._cameras[key].see(item)
                else:
                    self._hear(key, item)
            for name, camera in self._cameras.items():
                self._update(name, camera)
        except Exception as error:
            reason = f"the estimate of scale failed with {type(error).__name__}: {error}"
            self._on_problem("", "scale", reason, True)

    def _hear(self, topic: str, message: Any) -> None:
        stamp = nanoseconds(message.header.stamp)
        if 0 < stamp - self._stamps.get(topic, 0) < SPACING:
            return
        self._stamps[topic] = stamp
        try:
            reading = read(message)
        except MessageError as error:
            kind = type(message).__name__
            self._on_problem("", f"scale {topic}", f"{kind} on {topic} refused: it {error}", False)
            for camera in self._cameras.values():
                camera.refuse(topic, f"{kind} {error}")
            return
        for camera in self._cameras.values():
            camera.hear(topic, reading)

    def _update(self, name: str, camera: CameraScale) -> None:
        settings = self._settings().scale
        camera.window.duration, camera.window.with_shift = settings.window, settings.shift
        camera.update()
        faults, told = camera.report.faults, self._faults.get(name, {})
        self._faults[name] = faults
        of_camera = f" of {name}" if name else ""
        for source in faults.keys() - told.keys():
            what = f"the scale{of_camera} does not follow from {source}: {faults[source]}"
            self._on_problem(name, f"scale {source}", what, False)


def _health(report: Report, silent: Mapping[str, str], apply: bool) -> ScaleHealth:
    """A report as values and sentences."""
    scale = report.scale
    values = {
        "scale factor": f"{scale.factor:.4f}" if scale else "",
        "scale shift [m]": f"{scale.shift:.3f}" if scale else "",
        "scale spread [%]": f"{100 * scale.dispersion:.1f}" if scale else "",
        "scale error [%]": f"{100 * scale.error:.1f}" if scale else "",
        "scale frames": str(scale.frames if scale else 0),
        "scale points": str(scale.points if scale else 0),
        "scale applied": str(bool(apply and scale)).lower(),
        "scale not renewed": report.refusal,
    }
    values |= {f"scale input {name}": said for name, said in report.inputs.items()}
    faults = {**report.faults, **silent}
    doubts = [f"the scale does not follow from {name}: {said}" for name, said in faults.items()]
    if apply and report.refusal:
        held = f"the last, {scale.factor:.3g}, stays" if scale else "depth_scale holds"
        doubts.append(f"no scale can be estimated, {held}: {report.refusal}")
    return ScaleHealth(values, doubts)
