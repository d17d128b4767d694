"""Which topics of a recording a data set is made of: one camera, and what measures its depth."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from sosd_ros.camera_info import View, for_image, intrinsics_of
from sosd_ros.encodings import MessageError, check_header, to_rgb
from sosd_ros.recorded_cameras import cameras_of, info_topic_of
from sosd_ros.recordings import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    IMAGE,
    POINT_CLOUD,
    Recording,
    RecordingError,
    Topic,
    Types,
)

from ..data.errors import DataError
from .depth import is_depth

ALIGNED = 0.02  # of the focal length, and of the width: more, and depth is another camera's
TF = "tf2_msgs/msg/TFMessage"


class Topics(NamedTuple):
    """What is read.

    Attributes:
        images: of the camera.
        infos: its CameraInfo.
        depth: images of depth, aligned with ``images``; or ``None``.
        cloud: of a lidar; or ``None``.
        tf: topics of transforms.
    """

    images: Topic
    infos: Topic
    depth: Topic | None
    cloud: Topic | None
    tf: list[Topic]

    def all(self) -> list[Topic]:
        return [
            topic for topic in (self.images, self.infos, self.depth, self.cloud) if topic
        ] + self.tf


def find(
    recording: Recording, images: str | None, depth: str | None, lidar: str | None
) -> tuple[Topics, list[str]]:
    """The topics by their names, or where none is given the only ones that there are.

    Returns:
        The topics, and sentences about depth that is not used.

    Raises:
        RecordingError, DataError: if there is none, or several between which nobody can choose.
    """
    cameras, _ = cameras_of(recording, [images] if images else [])
    if len(cameras) > 1:
        names = ", ".join(camera.images.name for camera in cameras)
        raise DataError(f"{recording.path} has several cameras, {names}; choose one with --images")
    (camera,) = cameras
    if camera.infos_of is None:
        raise DataError(
            f"{camera.images.name} has no CameraInfo, and without a camera depth has no scale; "
            "record its camera_info as well"
        )
    cloud = _named(recording, lidar, "--lidar", [POINT_CLOUD]) if lidar else None
    said: list[str] = []
    chosen = None
    if depth:
        chosen = _named(recording, depth, "--depth", [IMAGE, COMPRESSED_IMAGE])
        if reason := _misaligned(recording, chosen, camera.infos_of):
            raise DataError(f"{depth} {reason}")
    elif cloud is None:
        chosen, said = _only_depth(recording, camera.infos_of)
    tf = [topic for topic in recording.topics if topic.kind == TF]
    return Topics(camera.images, camera.infos_of, chosen, cloud, tf if cloud else []), said


def camera_of(recording: Recording, topics: Topics, rectified: str) -> View:
    """The camera of all images, as the first of them and the first CameraInfo tell it.

    Args:
        rectified: what the images are, as the node's parameter of that name.

    Raises:
        DataError: if there is no image, or no usable CameraInfo.
    """
    first = _first(recording, topics.infos, lambda info: info)
    image = _first(recording, topics.images, to_rgb)
    if first is None or image is None:
        raise DataError(f"{recording.path} has no readable image with a CameraInfo")
    size = image.shape[1], image.shape[0]
    try:
        check_header(first.header)
        return for_image(first, first.header, size, "sensor", rectified, topics.images.name)
    except MessageError as error:
        raise DataError(f"the CameraInfo on {topics.infos.name} cannot be used: {error}") from error


def check_unchanged(first: Any, info: Any, topic: Topic) -> None:
    """Raises DataError if a CameraInfo is not that of the first one's camera."""
    if any(np.any(getattr(info, name) != getattr(first, name)) for name in _CAMERA):
        raise DataError(
            f"the CameraInfo on {topic.name} changes on the way: fx {first.k[0]:g} at "
            f"{first.width}x{first.height}, and {info.k[0]:g} at {info.width}x{info.height}; a "
            "data set has one camera: record each zoom and size for itself"
        )


_CAMERA = ("width", "height", "k", "p", "r", "d", "distortion_model", "binning_x", "binning_y")


def _named(recording: Recording, name: str, option: str, kinds: list[str]) -> Topic:
    topics = [topic for topic in recording.topics if topic.kind in kinds]
    for topic in topics:
        if topic.name == name:
            return topic
    raise DataError(
        f"{option} is {name}, but {recording.path} has no such topic of {' or '.join(kinds)}; it "
        f"has {', '.join(topic.name for topic in topics) or 'none'}"
    )


def _only_depth(recording: Recording, infos: Topic) -> tuple[Topic | None, list[str]]:
    """The topic of aligned depth, and why others are none."""
    found, reasons = [], []
    for topic in recording.topics:
        if topic.kind in (IMAGE, COMPRESSED_IMAGE):
            message = _first(recording, topic, lambda message: message)
            if message is None or not is_depth(message):
                continue
            if reason := _misaligned(recording, topic, infos):
                reasons.append(f"{topic.name} {reason}")
            else:
                found.append(topic)
    plain = [topic for topic in found if topic.kind == IMAGE] or found  # the same, packed
    if len(plain) > 1:
        names = ", ".join(topic.name for topic in plain)
        raise DataError(f"{recording.path} has several topics of depth, {names}; choose by --depth")
    if not plain:
        reasons.append("without depth: only a teacher can say what these images show")
    return next(iter(plain), None), reasons


def _misaligned(recording: Recording, depth: Topic, infos: Topic) -> str:
    """Why the pixels of depth are not those of the images, by both CameraInfos; empty if they are.

    Depth without a CameraInfo of its own is taken for aligned if somebody names it.
    """
    others = [topic for topic in recording.topics if topic.kind == CAMERA_INFO]
    beside = info_topic_of(depth.name, others)
    ours = _first(recording, infos, intrinsics_of)
    if beside is None or ours is None or beside.name == infos.name:
        return ""
    theirs = _first(recording, beside, intrinsics_of)
    if theirs is None:
        return ""
    theirs = theirs.resized(ours.width, ours.height)
    off = max(abs(theirs.fx / ours.fx - 1), abs(theirs.fy / ours.fy - 1))
    shift = max(abs(theirs.cx - ours.cx), abs(theirs.cy - ours.cy)) / ours.width
    if max(off, shift) <= ALIGNED:
        return ""
    return (
        f"is of another camera than the images (fx {theirs.fx:.1f}, cx {theirs.cx:.1f}, where they "
        f"have {ours.fx:.1f} and {ours.cx:.1f}); record depth that is aligned with them, by the "
        "driver (align_depth) or by depth_image_proc's register"
    )


def _first(recording: Recording, topic: Topic, read: Any) -> Any:
    """What the first whole message of a topic is read as; ``None`` if there is none."""
    types = Types()
    for message in recording.messages(topic):
        try:
            return read(types.decode(topic.kind, message.data))
        except (MessageError, RecordingError):
            continue
    return None
