"""The answers to an image of a recording, as messages: those that the node would publish."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

import numpy as np

from .. import camera_info
from ..answering import answer_to
from ..camera_info import View, doubts_of
from ..encodings import MessageError, check_header, to_rgb
from ..engine import Engine, Perception, Range
from ..outputs import cloud_fields, cloud_shape, write_cloud
from ..recorded_cameras import Camera
from ..recordings import CAMERA_INFO, IMAGE, POINT_CLOUD, Message, Topic, Types

# Topics below /sosd, and which of the engine's answers each needs.
OUTPUTS = {
    "depth": "depth",
    "camera_info": "depth",
    "depth_uncertainty": "uncertainty",
    "semantic": "semantic",
    "confidence": "confidence",
    "points": "depth",
}
_FLOAT32, _UINT32 = 7, 6  # sensor_msgs/PointField


class Output(NamedTuple):
    """A message to write, as bytes."""

    topic: Topic
    data: bytes


class Answerer:
    """Answers images.

    Args:
        engine: that does it.
        limits: of the depth that is answered as a number.
        outputs: of ``OUTPUTS``.
        rectified: what the images are, as the node's parameter of that name.
        say: is told, once for each topic and cause, what a user should know.
    """

    def __init__(
        self,
        engine: Engine,
        limits: Range,
        outputs: Collection[str],
        rectified: str,
        say: Callable[[str], None],
    ) -> None:
        self._engine, self._limits = engine, limits
        self._outputs = {name for name in outputs if OUTPUTS[name] in engine.answers}
        self._rectified = rectified
        self._say = say
        self._types = Types()

    def __call__(self, camera: Camera, message: Message) -> list[Output]:
        """Answer an image message.

        Raises:
            ValueError: if the message is broken, or its image is refused.
        """
        kind = camera.images.kind
        decoded = self._types.decode(kind, message.data)
        check_header(decoded.header)
        image = to_rgb(decoded)
        view = self._view(camera, decoded.header, (image.shape[1], image.shape[0]))
        maps = camera.maps(view.rectification) if view and view.rectification else None
        image = maps.rectified(image) if maps else image
        bent = camera.rays(view.lens)[0] if view and view.lens else None
        focal = view.camera.focal if view else None
        answer = answer_to(self._engine, image, focal, self._limits, maps, bent)
        messages = self._messages(camera, decoded.header, image, view, answer)
        return [
            Output(Topic(camera.outputs + name, kind, None), self._types.encode(kind, made))
            for name, kind, made in messages
            if name in self._outputs
        ]

    def _view(self, camera: Camera, header: Any, size: tuple[int, int]) -> View | None:
        """What the CameraInfo makes of an image of this width and height, if one fits."""
        info, topic = camera.infos.at(header.stamp), camera.images.name
        if info is None:
            self._tell(camera, "no_camera_info", "no CameraInfo has come yet")
            return None
        reading = "sensor", self._rectified, topic
        try:
            view = camera_info.for_image(info, header, size, *reading)
        except MessageError as error:
            self._tell(camera, error.cause, str(error))
            return None
        for cause, doubt in doubts_of(info, view, size, *reading).items():
            self._tell(camera, cause, doubt, "is answered, though its CameraInfo is doubtful")
        return view

    def _tell(
        self, camera: Camera, cause: str, reason: str, what: str = "has no metric depth"
    ) -> None:
        if cause not in camera.told:
            camera.told.add(cause)
            self._say(f"{camera.images.name} {what}: {reason} (said once)")

    def _messages(
        self, camera: Camera, header: Any, image: np.ndarray, view: View | None, answer: Perception
    ) -> Iterator[tuple[str, str, Any]]:
        """Output, type and message of all that there is."""
        if view is not None:
            yield "camera_info", CAMERA_INFO, self._info(view.info)
            if "points" in self._outputs and answer.depth is not None:
                yield "points", POINT_CLOUD, self._cloud(camera, header, image, view, answer)
        for name, encoding, pixels in (
            ("depth", "32FC1", answer.depth),
            ("depth_uncertainty", "32FC1", answer.uncertainty),
            ("semantic", "mono8", answer.labels),
            ("confidence", "mono8", answer.confidence),
        ):
            if pixels is not None:
                yield name, IMAGE, self._image(header, encoding, pixels)

    def _info(self, info: Any) -> Any:
        fields = {name: getattr(info, name) for name in info.__dataclass_fields__}
        fields.pop("__msgtype__", None)
        numbers = {name: np.asarray(fields[name], np.float64) for name in "dkrp"}
        return self._types.make(CAMERA_INFO, **fields | numbers)

    def _image(self, header: Any, encoding: str, pixels: np.ndarray) -> Any:
        height, width = pixels.shape
        return self._types.make(
            IMAGE,
            header=header,
            height=height,
            width=width,
            encoding=encoding,
            is_bigendian=0,
            step=pixels.itemsize * width,
            data=np.ascontiguousarray(pixels).reshape(-1).view(np.uint8),
        )

    def _cloud(
        self, camera: Camera, header: Any, image: np.ndarray, view: View, answer: Perception
    ) -> Any:
        depth, labels, _, _ = answer
        assert depth is not None
        fields = cloud_fields(labels is not None, False)
        height, width = cloud_shape(depth.shape, 1)
        cloud = np.empty((height, width, len(fields)), np.float32)
        rays = camera.rays(view.lens or view.camera)
        write_cloud(cloud, depth, rays, image, labels, centre=view.camera.centre)
        return self._types.make(
            POINT_CLOUD,
            header=header,
            height=height,
            width=width,
            fields=[
                self._types.make(
                    "sensor_msgs/msg/PointField",
                    name=name,
                    offset=4 * i,
                    datatype=_UINT32 if name == "label" else _FLOAT32,
                    count=1,
                )
                for i, name in enumerate(fields)
            ],
            is_bigendian=False,
            point_step=4 * len(fields),
            row_step=4 * len(fields) * width,
            data=cloud.reshape(-1).view(np.uint8),
            is_dense=False,
        )
