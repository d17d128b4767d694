"""One batch of frames, from the cameras' messages to the answers' messages."""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from sensor_msgs.msg import CompressedImage, Image, PointCloud2

from .. import camera_info, encodings
from ..camera_info import View, doubts_of
from ..colours import depth_colours, overlay
from ..encodings import MessageError
from ..engine import DevicePerception, Engine, Perception, Range
from ..labels import UNLABELLED
from ..lens import Maps
from ..outputs import blank
from ..stamps import nanoseconds
from ..steady import Steady
from . import messages
from .bit_depth import BitDepth
from .camera_scale import Answer
from .device_buffers import DeviceBuffers
from .parameters import Settings
from .scaling import Scaling
from .statistics import Statistics
from .topics import OUTPUTS, CameraTopics

PUBLISH_TIMEOUT = 0.4  # seconds that a message may take to go out when the node ends


class Frame(NamedTuple):
    """A camera's image, and when it arrived by ``time.monotonic``."""

    message: Image | CompressedImage
    arrived: float


@dataclass
class _Work:
    """A frame to answer.

    Attributes:
        image: what the network sees, (H, W, 3) uint8 RGB: an array, or a tensor on the device.
        scale: factor and shift in metres, by which depth is scaled.
    """

    camera: CameraTopics
    frame: Frame
    image: Any
    view: View | None
    maps: Maps | None
    outputs: set[str]
    scale: tuple[float, float]
    latencies: dict[str, float]  # seconds by stage


class Pipeline:
    """Answers batches of frames; called in the worker's thread.

    Args:
        engine: answers images.
        cameras: by name.
        statistics: counts what happens to each frame.
        settings: returns the current settings.
        on_problem: called with a camera's name, a message, the cause, what happened to it, and
            whether this program is at fault.
        on_failure: called with a reason when the engine has failed twice; from then on, nothing
            is answered.
        buffers: takes frames that are in a GPU's memory; without it they are copied into arrays.
        scaling: estimates the scale of depth; without it that is ``depth_scale``.
    """

    def __init__(
        self,
        engine: Engine,
        cameras: Mapping[str, CameraTopics],
        statistics: Statistics,
        settings: Callable[[], Settings],
        on_problem: Callable[[str, Any, str, str, bool], None],
        on_failure: Callable[[str], None],
        buffers: DeviceBuffers | None = None,
        scaling: Scaling | None = None,
    ) -> None:
        self._engine = engine
        self._cameras = cameras
        self._statistics = statistics
        self._current_settings = settings
        self._on_problem = on_problem
        self._on_failure = on_failure
        self._buffers = buffers
        self._scaling = scaling
        self._started = time.monotonic_ns()
        self._failed = False
        self._abandoned = False
        self._open: set[str] = set()  # cameras whose frame of this batch is not counted yet
        self._publishing = threading.Lock()
        self._clouds: dict[str, PointCloud2] = {}  # the last of each camera
        self._bit_depths = {name: BitDepth() for name in cameras}
        self._steady: dict[str, Steady] = {}  # by camera; used by the publisher's thread alone
        self._doubts: dict[tuple[str, str], dict[str, str]] = {}  # by camera, subject; cause

    def abandon(self) -> None:
        """Publish nothing more of the current batch; its frames count as stopped.

        A message that is being published goes out whole first.
        """
        self._abandoned = True
        self._publishing.acquire(timeout=PUBLISH_TIMEOUT)  # for good
        for name in list(self._open):
            self._count_dropped(name, "stopped")

    def __call__(self, batch: Mapping[str, Frame]) -> None:
        """Answer the frames of a batch, by camera."""
        self._settings = self._current_settings()
        self._time = time.monotonic_ns() - self._started  # one for all, to keep cameras in step
        self._open = set(batch)
        alike: dict[tuple[type, tuple[int, ...], float], list[_Work]] = defaultdict(list)
        for name, frame in batch.items():
            camera = self._cameras[name]
            work = self._safely(camera, frame.message, self._prepare, camera, frame)
            if work is not None:
                # The engine's range is that of a batch, and is moved by the shift.
                alike[type(work.image), tuple(work.image.shape), work.scale[1]].append(work)
        for works in alike.values():
            started = time.monotonic()
            perception = self._perceive(works)
            network = time.monotonic() - started
            if perception is None:
                continue
            for index, work in enumerate(works):
                work.latencies["network"] = network
                parts: list[Any] = [None if a is None else a[index] for a in perception]
                answer = type(perception)(*parts)
                self._safely(work.camera, work.frame.message, self._publish, work, answer)

    def _safely(self, camera: CameraTopics, message: Any, step: Callable, *arguments: Any) -> Any:
        """Run a step on a frame; one bad frame must not stop the rest."""
        try:
            return step(*arguments)
        except MessageError as error:
            self._drop(camera, message, error.cause, f"dropped: {error}")
        except Exception as error:
            reason = f"lost to {type(error).__name__}: {error}"
            self._drop(camera, message, "internal", reason, is_ours=True)
        return None

    def _drop(
        self, camera: CameraTopics, message: Any, cause: str, reason: str, is_ours: bool = False
    ) -> None:
        self._count_dropped(camera.name, cause)
        self._on_problem(camera.name, message, cause, reason, is_ours)

    def _count_dropped(self, camera: str, cause: str) -> None:
        """Count a frame as dropped, once."""
        if camera in self._open:
            self._open.discard(camera)
            self._statistics.dropped(camera, cause)

    def _prepare(self, camera: CameraTopics, frame: Frame) -> _Work | None:
        """Convert a frame, if anyone subscribes to its outputs."""
        started, message, settings = time.monotonic(), frame.message, self._settings
        if camera.age.is_exceeded(nanoseconds(message.header.stamp), settings.max_age):
            reason = f"dropped: it is older than max_age, {settings.max_age:g} s"
            self._drop(camera, message, "too_old", reason)
            return None
        outputs = camera.due(settings.publish_rate, self._time)
        if not outputs:
            self._count_dropped(camera.name, "unwanted")
            return None
        image = self._to_rgb(camera, frame, outputs)
        converted = time.monotonic()
        metric = {name for name in outputs if OUTPUTS[name].metric}
        size = image.shape[1], image.shape[0]
        # Labels belong to the rectified image as well.
        is_needed = metric or settings.rectified == "rectify"
        view = self._view(camera, message, size) if is_needed else None
        found = time.monotonic()
        if view is None:
            # Without a focal length, depth has no scale: it is not published as metres.
            outputs -= metric
        if not outputs:
            self._count_dropped(camera.name, "without_scale")
            return None
        maps = camera.maps(view.rectification) if view and view.rectification else None
        image = maps.rectified(image) if maps else image
        convert = converted - started + time.monotonic() - found
        camera.take_turn(self._time)
        latencies = {"convert": convert, "camera_info": found - converted}
        scale = settings.depth_scale, 0.0
        if self._scaling is not None:
            scale = self._scaling.scale(camera.name)
        return _Work(camera, frame, image, view, maps, outputs, scale, latencies)

    def _to_rgb(self, camera: CameraTopics, frame: Frame, outputs: set[str]) -> Any:
        """An array, or a tensor if the frame stays on the device."""
        bits, message = self._settings.significant_bits, frame.message
        doubts = {}  # an image of 8 bits has no peak, and raises none

        def on_peak(peak: int) -> None:
            if doubt := self._bit_depths[camera.name].see(peak, frame.arrived, bits):
                doubts["significant_bits"] = doubt

        image: np.ndarray | torch.Tensor
        if self._buffers is not None and self._buffers.takes(message, outputs, self._settings):
            image = self._buffers.image(message, self._settings.max_image_pixels)
        else:
            image = encodings.to_rgb(message, self._settings.max_image_pixels, bits, on_peak)
        self._doubt(camera, message, "brightness", doubts)
        return image

    def _view(self, camera: CameraTopics, message: Any, size: tuple[int, int]) -> View | None:
        """What the CameraInfo makes of an image of this width and height, if one fits."""
        info, settings = camera.infos.at(message.header.stamp), self._settings
        try:
            if info is None:
                reason = "no CameraInfo has arrived yet; check that the camera publishes it"
                raise MessageError("no_camera_info", reason)
            reading = settings.calibration_of, settings.rectified, camera.image_topic
            view = camera_info.for_image(info, message.header, size, *reading)
        except MessageError as error:
            self._doubt(camera, message, "CameraInfo", {})
            self._statistics.without_scale(camera.name, error.cause)
            is_raw = ", and labels of the raw image" if settings.rectified == "rectify" else ""
            reason = f"has no metric depth and no points{is_raw}: {error}"
            self._on_problem(camera.name, message, error.cause, reason, False)
            return None
        self._doubt(camera, message, "CameraInfo", doubts_of(info, view, size, *reading))
        return view

    def _doubt(
        self, camera: CameraTopics, message: Any, subject: str, doubts: dict[str, str]
    ) -> None:
        """Record doubts about an image's CameraInfo or brightness, and log new ones."""
        before = self._doubts.get((camera.name, subject), {})
        self._doubts[camera.name, subject] = doubts
        self._statistics.doubted(camera.name, subject, tuple(doubts.values()))
        for cause, doubt in doubts.items():
            if cause not in before:
                reason = f"is answered, though its {subject} is doubtful: {doubt}"
                self._on_problem(camera.name, message, cause, reason, False)

    def _perceive(self, works: list[_Work]) -> Perception | DevicePerception | None:
        """The engine's answers for frames of one size; ``None`` if it has failed for good.

        A failure, such as that of an allocation, may not repeat once memory has been freed.
        """
        reason = ""
        for attempt in range(0 if self._failed else 2):
            try:
                if attempt:
                    self._engine.free()
                return self._ask_engine(works)
            except Exception as error:
                reason = f"{type(error).__name__}: {error}"
            # Outside the handler, whose traceback keeps the network's intermediate maps alive.
            if self._abandoned:
                return None
            camera, message = works[0].camera.name, works[0].frame.message
            self._on_problem(camera, message, "engine", f"made the engine fail with {reason}", True)
            if not attempt:
                self._statistics.retried()
        for work in works:
            self._count_dropped(work.camera.name, "engine")
        if not self._failed:
            self._failed = True
            self._on_failure(f"the engine failed twice in a row: {reason}")
        return None

    def _ask_engine(self, works: list[_Work]) -> Perception | DevicePerception:
        settings = self._settings
        names = set().union(*(work.outputs for work in works))
        answers = set().union(*(OUTPUTS[name].needs | OUTPUTS[name].carries for name in names))
        if "points" in names and settings.cloud_uncertainty:
            answers.add("uncertainty")
        if "semantic" in answers and (settings.confidence_threshold > 0 or settings.steady):
            answers.add("confidence")
        if "uncertainty" in answers and settings.steady:
            answers.add("depth")
        if self._scaling is not None and "depth" in answers:
            answers |= self._scaling.answers
        answers &= self._engine.answers
        if not answers:
            return Perception(None, None, None)
        images = [work.image for work in works]
        focals = [work.view.camera.focal if work.view else math.nan for work in works]
        scales = [work.scale[0] for work in works]
        doubt, shift = settings.max_relative_uncertainty or math.inf, works[0].scale[1]
        limits = Range(settings.min_depth - shift, settings.max_depth - shift, doubt)
        if self._buffers is not None and isinstance(images[0], torch.Tensor):
            return self._buffers.perceive(self._engine, images, focals, answers, limits, scales)
        batch = np.stack(images) if images[1:] else images[0][None]
        return self._engine(batch, focals, answers, limits, scales)

    def _publish(self, work: _Work, answer: Perception | DevicePerception) -> None:
        started, latencies = time.monotonic(), work.latencies
        for name, message in self._answers(work, answer):
            with self._publishing:
                work.camera.publishers[name].publish(message)
        published = time.monotonic()
        latencies["publish"] = published - started
        total = published - work.frame.arrived
        # Waiting until the worker was free, and for the other cameras of its batch.
        wait = total - sum(latencies.values())
        self._open.discard(work.camera.name)
        self._compare(work, answer)
        self._statistics.answered(work.camera.name, {"wait": wait, **latencies, "total": total})

    def _compare(self, work: _Work, answer: Perception | DevicePerception) -> None:
        """Let the scale be estimated from an answer."""
        if self._scaling is None or work.view is None or not isinstance(answer, Perception):
            return
        depth, labels, _, uncertainty = answer
        if depth is not None:
            header = work.frame.message.header
            of = nanoseconds(header.stamp), header.frame_id, work.view
            answered = Answer(*of, depth, uncertainty, labels, *work.scale)
            self._scaling.see(work.camera.name, answered)

    def _answers(
        self, work: _Work, answer: Perception | DevicePerception
    ) -> Iterator[tuple[str, Any]]:
        """The messages of a frame by output, each made after the one before has been published."""
        header, settings = work.frame.message.header, self._settings
        if "camera_info" in work.outputs and work.view is not None:
            yield "camera_info", work.view.info
        if isinstance(answer, DevicePerception):
            assert self._buffers is not None
            asked = work.view, work.outputs, settings
            yield from self._buffers.answers(header, work.image, *asked, answer)
            return
        lens = work.view.lens if work.view else None
        blank(answer, work.maps, work.camera.rays(lens)[0] if lens else None)
        depth, labels, confidence, uncertainty = self._steadied(work, answer)
        if depth is not None and work.scale[1]:
            np.add(depth, np.float32(work.scale[1]), out=depth)
        if labels is not None and confidence is not None and settings.confidence_threshold > 0:
            uncertain = confidence < 255 * settings.confidence_threshold
            labels = np.where(uncertain, np.uint8(UNLABELLED), labels)
        if "semantic" in work.outputs and labels is not None:
            yield "semantic", messages.mono_message(header, labels)
        if "confidence" in work.outputs and confidence is not None:
            yield "confidence", messages.mono_message(header, confidence)
        if "depth" in work.outputs and depth is not None:
            in_metres = settings.depth_encoding == "32FC1"
            convert = messages.depth_message if in_metres else messages.depth_message_mm
            yield "depth", convert(header, depth)
        if "depth_uncertainty" in work.outputs and uncertainty is not None:
            yield "depth_uncertainty", messages.depth_message(header, uncertainty)
        if "points" in work.outputs and work.view is not None and depth is not None:
            shown = uncertainty if settings.cloud_uncertainty else None
            yield "points", self._cloud(work, depth, labels, shown)
        if "depth_colored" in work.outputs and depth is not None:
            yield (
                "depth_colored",
                messages.rgb_message(header, depth_colours(depth, settings.max_depth)),
            )
        if "overlay" in work.outputs and labels is not None:
            label_set = self._engine.manifest.labels
            picture = overlay(work.image, labels, label_set, settings.overlay_opacity)
            yield "overlay", messages.rgb_message(header, picture)

    def _steadied(self, work: _Work, answer: Perception) -> Perception:
        """The answer, drawn towards the last one to this camera if that is asked for."""
        camera, settings = work.camera.name, self._settings
        if not settings.steady:
            self._steady.pop(camera, None)
            return answer
        if camera not in self._steady:
            self._steady[camera] = Steady()
        seconds = nanoseconds(work.frame.message.header.stamp) / 1e9
        limits = settings.min_depth, settings.max_depth
        steadied = self._steady[camera](work.image, seconds, *answer[:3], limits)
        depth, uncertainty = steadied[0], answer.uncertainty
        if depth is not None and uncertainty is not None:  # which remains the same share
            with np.errstate(invalid="ignore"):  # inf / inf, where it is NaN already
                uncertainty = uncertainty * (depth / answer.depth)
        return Perception(*steadied, uncertainty)

    def _cloud(
        self,
        work: _Work,
        depth: np.ndarray,
        labels: np.ndarray | None,
        uncertainty: np.ndarray | None,
    ) -> PointCloud2:
        """The cloud of a frame, reusing the memory of the camera's last cloud, already sent."""
        assert work.view is not None
        camera, settings, view = work.camera, self._settings, work.view
        cloud = messages.cloud_message(
            work.frame.message.header,
            depth,
            camera.rays(view.lens or view.camera),
            work.image,
            labels,
            settings.cloud_decimation,
            settings.beyond,
            self._clouds.get(camera.name),
            view.camera.centre,
            uncertainty,
        )
        self._clouds[camera.name] = cloud
        return cloud
