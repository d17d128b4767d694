"""The cameras of a recording: which topics are images, their CameraInfo, and where answers go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import methodcaller
from typing import Any

from .camera_info import CameraInfoBuffer
from .encodings import MessageError, to_rgb
from .lens import Rectification
from .recordings import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    IMAGE,
    Recording,
    RecordingError,
    Topic,
    Types,
)

NODE = "/sosd/"  # what the topics of answers lie below, as the node's
_COMPRESSED = "/compressed"
_KEPT = 1000  # CameraInfos of a camera, more than come in the time that they may be late


@dataclass
class Camera:
    """A topic of images.

    Attributes:
        images: the topic.
        infos_of: the topic of its CameraInfo; ``None`` if there is none.
        outputs: what the topics of its answers lie below.
        infos: that have come.
        told: causes of what has been said once.
    """

    images: Topic
    infos_of: Topic | None
    outputs: str
    infos: CameraInfoBuffer = field(default_factory=lambda: CameraInfoBuffer(_KEPT, patience=0))
    told: set[str] = field(default_factory=set)
    rays: Any = field(default_factory=lambda: lru_cache(maxsize=1)(methodcaller("rays")))
    maps: Any = field(default_factory=lambda: lru_cache(maxsize=1)(Rectification.maps))


def cameras_of(recording: Recording, chosen: Sequence[str]) -> tuple[list[Camera], list[str]]:
    """The cameras, and sentences about topics that are left out.

    Args:
        chosen: topics of images; none: all that there are, but for those of a node like ours, and
            compressed ones of images that are there as well.

    Raises:
        RecordingError: if there is no such topic, or none at all.
    """
    images = {t.name: t for t in recording.topics if t.kind in (IMAGE, COMPRESSED_IMAGE)}
    if missing := [name for name in chosen if name not in images]:
        raise RecordingError(
            f"{recording.path} has no images on {missing[0]}; topics with images are "
            f"{', '.join(images) or 'none'}"
        )
    said, found = [], []
    for topic in [images[name] for name in chosen] or images.values():
        is_double = topic.name.removesuffix(_COMPRESSED) in images.keys() - {topic.name}
        if not chosen and (topic.name.startswith(NODE) or is_double):
            continue
        if reason := _is_no_picture(recording, topic):
            said.append(f"{topic.name} is left out: {reason}")
        else:
            found.append(topic)
    if not found:
        raise RecordingError(
            f"{recording.path} has no colour images ({'; '.join(said) or 'no topic of images'})"
        )
    names = _names([topic.name for topic in found])
    infos = [topic for topic in recording.topics if topic.kind == CAMERA_INFO]
    cameras = []
    for topic in found:
        info = info_topic_of(topic.name, infos)
        if info is None:
            said.append(
                f"{topic.name} has no CameraInfo on {_place(topic.name)}camera_info, so it gets "
                "labels, but no depth and points"
            )
        outputs = NODE + (f"{names[topic.name]}/" if len(found) > 1 else "")
        cameras.append(Camera(topic, info, outputs))
    return cameras, said


def _is_no_picture(recording: Recording, topic: Topic) -> str:
    """Why the images of a topic are no pictures, by the first of them, such as depth."""
    types = Types()
    for message in recording.messages(topic):
        try:
            to_rgb(types.decode(topic.kind, message.data))
        except MessageError as error:
            return str(error) if error.cause == "encoding" else ""
        except RecordingError:
            return ""  # one broken image says nothing about the others
        return ""
    return "it has no message"


def _place(topic: str) -> str:
    """What an image's topic and its CameraInfo's have in common, by image_transport."""
    return topic.removesuffix(_COMPRESSED).rpartition("/")[0] + "/"


def info_topic_of(topic: str, infos: Sequence[Topic]) -> Topic | None:
    """The CameraInfo beside the images, or the only one that there is."""
    beside = [info for info in infos if info.name == f"{_place(topic)}camera_info"]
    return next(iter(beside or (infos if len(infos) == 1 else [])), None)


def _names(topics: Sequence[str]) -> dict[str, str]:
    """What cameras are called by their topics: their place, or all of it where that is shared."""
    places = {topic: _place(topic).strip("/") for topic in topics}
    count = Counter(places.values())
    return {
        topic: place if place and count[place] == 1 else topic.strip("/")
        for topic, place in places.items()
    }
