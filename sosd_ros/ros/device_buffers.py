"""Images and answers in a GPU's memory, as ROS 2 passes them from Lyrical on.

The ``uint8[]`` fields of a message may then be a ``rosidl_buffer.Buffer``, which ``cuda_buffer``
gives as a device pointer; it is in the package cuda_buffer_py. Processes on one GPU pass it without
a copy; to all others the middleware gives a copy in the CPU's memory. Written by the interface of
cuda_buffer_py while that was in review: it has run with a stand-in only, and on no GPU.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Sequence, Set
from functools import lru_cache
from typing import Any

import torch
from rclpy.node import Node
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header

from .. import encodings
from ..camera import Intrinsics
from ..camera_info import View
from ..engine import DevicePerception, Engine, Range
from ..engine.point_cloud import cloud
from ..lens import Lens
from . import messages
from .parameters import Settings

_BACKEND = "cuda"
_KEYWORD = "acceptable_buffer_backends"
SUBSCRIBED = {_KEYWORD: _BACKEND}  # options for a subscription to such images
_ENCODINGS = ("rgb8", "bgr8")
_FOR_PEOPLE = {"overlay", "depth_colored"}  # made by the CPU


def missing(device: torch.device) -> str:
    """What keeps a node whose engine is on this device from using such buffers; empty: nothing."""
    if device.type != "cuda":
        return f"the engine is on the device {device}, not on cuda"
    if _KEYWORD not in inspect.signature(Node.create_subscription).parameters:
        return f"this rclpy has no {_KEYWORD}, which Lyrical's has"
    try:
        importlib.import_module("cuda_buffer")
    except Exception as error:  # it loads libraries
        return f"cuda_buffer of the package cuda_buffer_py cannot be imported ({error})"
    return ""


class DeviceBuffers:
    """Reads and answers frames whose images are in a GPU's memory.

    All that it has the device do is queued on one stream, for which the engine waits, and on which
    the handles of buffers record their events: so no thread waits for a copy, and tensors may be
    given back as soon as the last work on them is queued.

    Args:
        device: of the engine.
        cameras: how many there are.
    """

    def __init__(self, device: torch.device, cameras: int) -> None:
        self._buffers = importlib.import_module("cuda_buffer").CudaBuffer
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._rays = lru_cache(maxsize=cameras)(self._uploaded)

    @staticmethod
    def takes(message: Any, outputs: Set[str], settings: Settings) -> bool:
        """Whether a frame stays on the device; else all of it goes through the CPU's memory."""
        return (
            isinstance(message, Image)
            and getattr(message.data, "backend_type", "") == _BACKEND
            and message.encoding in _ENCODINGS
            and not outputs & _FOR_PEOPLE
            and settings.depth_encoding == "32FC1"
            and settings.confidence_threshold == 0
            and not settings.steady
            and settings.rectified != "rectify"
            and not settings.scale.is_estimated
        )

    def image(self, message: Image, max_pixels: int) -> torch.Tensor:
        """The picture in a message that it takes, copied: (H, W, 3) uint8 RGB on the device.

        Raises:
            MessageError: as ``encodings.to_rgb`` does.
        """
        encodings.checked_layout(message, max_pixels)
        shape = message.height, message.width, 3
        with (
            torch.cuda.stream(self._stream),
            self._buffers.from_input_buffer(message.data, self._pointer) as handle,
        ):
            data = _memory(handle.device_ptr, len(message.data), self._device)
            rows = data.view(message.height, message.step)[:, : 3 * message.width]
            pixels = rows.view(shape)
            # Either copies, before the handle lets the publisher write again.
            return pixels.flip(-1) if message.encoding == "bgr8" else pixels.clone()

    def perceive(
        self,
        engine: Engine,
        images: Sequence[torch.Tensor],
        focals: Sequence[float],
        answers: Set[str],
        limits: Range,
        scales: Sequence[float],
    ) -> DevicePerception:
        """The engine's answers for images of one size."""
        with torch.cuda.stream(self._stream):
            return engine.on_device(torch.stack(list(images)), focals, answers, limits, scales)

    def answers(
        self,
        header: Header,
        image: torch.Tensor,
        view: View | None,
        outputs: Set[str],
        settings: Settings,
        answer: DevicePerception,
    ) -> Iterator[tuple[str, Image | PointCloud2]]:
        """The messages of a frame by output, with data on the device; all but its CameraInfo.

        Args:
            image: (H, W, 3) uint8 RGB.
            view: of its camera; ``None``: no output needs one.
            answer: for this image alone, (H, W) each.
        """
        if view is not None and view.lens is not None:
            answer = self._blanked(answer, view.lens)
        depth, labels, confidence, uncertainty = answer
        for name, encoding, pixels in (
            ("semantic", "mono8", labels),
            ("confidence", "mono8", confidence),
            ("depth", "32FC1", depth),
            ("depth_uncertainty", "32FC1", uncertainty),
        ):
            if name in outputs and pixels is not None:
                yield name, self._image_message(header, encoding, pixels)
        if "points" in outputs and view is not None and depth is not None:
            shown = answer if settings.cloud_uncertainty else answer._replace(uncertainty=None)
            yield "points", self._cloud_message(header, image, view, settings, shown)

    def _blanked(self, answer: DevicePerception, lens: Lens) -> DevicePerception:
        """Without depth where the lens sees nothing."""
        with torch.cuda.stream(self._stream):
            nothing = self._rays(lens)[0] * 0  # NaN, where there is no ray
            depth, uncertainty = (
                None if metres is None else metres + nothing
                for metres in (answer.depth, answer.uncertainty)
            )
        return answer._replace(depth=depth, uncertainty=uncertainty)

    def _image_message(self, header: Header, encoding: str, pixels: torch.Tensor) -> Image:
        height, width = pixels.shape
        message = messages.image_without_pixels(
            header, encoding, (height, width), pixels.element_size()
        )
        self._fill(message, pixels)
        return message

    def _cloud_message(
        self,
        header: Header,
        image: torch.Tensor,
        view: View,
        settings: Settings,
        answer: DevicePerception,
    ) -> PointCloud2:
        depth, labels, _, uncertainty = answer
        assert depth is not None
        with torch.cuda.stream(self._stream):
            rays, step = self._rays(view.lens or view.camera), settings.cloud_decimation
            points = cloud(depth, rays, image, labels, uncertainty, step, settings.beyond)
            for axis, offset in enumerate(view.camera.centre):
                if offset:
                    points[..., axis] += offset
        height, width, _ = points.shape
        message = messages.cloud_without_points(
            header, (height, width), labels is not None, uncertainty is not None
        )
        self._fill(message, points)
        return message

    def _fill(self, message: Image | PointCloud2, values: torch.Tensor) -> None:
        """Give a message these values for its data, in a buffer of its own.

        The message may be published at once: who reads it waits for the copy.
        """
        with torch.cuda.stream(self._stream):
            content = values.reshape(-1).view(torch.uint8)
            message.data = self._buffers.allocate_buffer(len(content))
            with self._buffers.from_output_buffer(message.data, self._pointer) as handle:
                _memory(handle.device_ptr, len(content), self._device).copy_(content)

    def _uploaded(self, camera: Intrinsics | Lens) -> tuple[torch.Tensor, torch.Tensor]:
        x_over_z, y_over_z = map(torch.from_numpy, camera.rays())
        return x_over_z.to(self._device), y_over_z.to(self._device)

    @property
    def _pointer(self) -> int:
        """The stream, as CUDA's driver knows it."""
        return 0 if self._stream is None else self._stream.cuda_stream


def _memory(pointer: int, size: int, device: torch.device) -> torch.Tensor:
    """The bytes at a device pointer, (size,) uint8, not copied."""
    return torch.as_tensor(_ArrayInterface(pointer, size), device=device)


class _ArrayInterface:
    """Bytes on a device, as the CUDA Array Interface (version 3) describes them.

    Its stream is ``None``: who made them has ordered streams already.
    """

    def __init__(self, pointer: int, size: int) -> None:
        self.__cuda_array_interface__ = {
            "shape": (size,),
            "typestr": "|u1",
            "data": (pointer, False),
            "strides": None,
            "stream": None,
            "version": 3,
        }
