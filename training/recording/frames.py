"""The second way through a recording: the chosen images and their depth, as files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from sosd_ros.camera_info import View as Camera
from sosd_ros.clouds import points_of
from sosd_ros.encodings import MessageError, to_rgb
from sosd_ros.lens import Maps
from sosd_ros.progress import progress_bar
from sosd_ros.recordings import Recording, RecordingError, Types
from sosd_ros.stamps import nanoseconds

from ..data.errors import DataError
from ..data.files import write, write_png
from .depth import depth_of_points, read_depth
from .hiding import Hide, hidden
from .survey import Survey
from .topics import Topics

QUALITY = 95  # of JPEG
MOST_POINTS = 1_000_000  # of a cloud
FARTHEST = 65.535  # metres that 16 bits of millimetres hold


class Frame(NamedTuple):
    """An image of the data set.

    Attributes:
        name: of its files.
        image: (H, W, 3) uint8 RGB.
        depth: (H, W) float32 metres, NaN where unknown; ``None`` without a sensor.
    """

    name: str
    image: np.ndarray
    depth: np.ndarray | None


@dataclass
class Writer:
    """Makes frames of messages.

    Attributes:
        topics: of the recording.
        camera: of all images.
        survey: what was found.
        hides: what may not be recognised.
        maps: by which images are rectified; ``None`` if they are.
    """

    topics: Topics
    camera: Camera
    survey: Survey
    hides: Sequence[Hide] = ()
    maps: Maps | None = field(init=False)

    def __post_init__(self) -> None:
        rectification = self.camera.rectification
        self.maps = rectification.maps() if rectification else None

    def frame(self, name: str, image: Any, depth: Any | None) -> Frame:
        """Of messages.

        Raises:
            MessageError, DataError: if they cannot be used.
        """
        pixels = to_rgb(image)
        metres = None if depth is None else self._depth(image, depth, pixels.shape[:2])
        if self.maps:
            pixels = self.maps.rectified(pixels)
        for hide in self.hides:
            pixels = hidden(pixels, hide(pixels))
        return Frame(name, pixels, metres)

    def _depth(self, image: Any, depth: Any, size: tuple[int, int]) -> np.ndarray:
        if self.topics.cloud is not None:
            return self._of_cloud(image, depth)
        metres = read_depth(depth)
        if metres.shape != size:  # never between two surfaces, where nothing is
            metres = cv2.resize(metres, size[::-1], interpolation=cv2.INTER_NEAREST)
        if self.maps:
            metres = self.maps.nearest(metres)
        return metres

    def _of_cloud(self, image: Any, cloud: Any) -> np.ndarray:
        """Seen from where the camera was then, by what tf says."""
        pose = self.survey.transforms.pose(
            cloud.header.frame_id, image.header.frame_id, nanoseconds(image.header.stamp)
        )
        points = pose.of(points_of(cloud, MOST_POINTS).astype(np.float64))
        return depth_of_points(points, self.camera.camera)


def write_frames(
    recording: Recording,
    writer: Writer,
    chosen: Mapping[int, int],
    names: Mapping[int, str],
    out: Path,
    say: Callable[[str], None],
) -> None:
    """Write ``rgb/NAME.jpg`` and ``depth/NAME.png`` of each chosen view, unless they are there.

    Args:
        chosen: the number of each image, and that of its depth; -1 without.
        names: of the files, by the number of the image.
        say: is told of what cannot be used.
    """
    todo = {n: d for n, d in chosen.items() if not (out / "rgb" / f"{names[n]}.jpg").is_file()}
    bar = progress_bar(
        _pairs(recording, writer.topics, todo), "write", total=len(todo), unit="frame"
    )
    types, topics = Types(), writer.topics
    for number, image_data, depth_data in bar:
        try:
            image = types.decode(topics.images.kind, image_data)
            source = topics.cloud or topics.depth
            depth = types.decode(source.kind, depth_data) if source and depth_data else None
            frame = writer.frame(names[number], image, depth)
        except (MessageError, RecordingError, DataError) as error:
            say(f"{topics.images.name}, image {number}: {error}")
            continue
        _write(out, frame, say)


def _pairs(
    recording: Recording, topics: Topics, chosen: Mapping[int, int]
) -> Iterator[tuple[int, bytes, bytes | None]]:
    """Images and their depth, as soon as both have come; a depth may serve several images."""
    users: dict[int, list[int]] = {}
    for number, depth in chosen.items():
        users.setdefault(depth, []).append(number)
    images: dict[int, bytes] = {}  # that wait for their depth
    depths: dict[int, bytes] = {}  # that wait for their images
    image_number = depth_number = -1
    sources = [topic for topic in (topics.images, topics.depth, topics.cloud) if topic]
    for message in recording.messages(*sources) if chosen else ():
        ready: list[int] = []
        if message.topic == topics.images:
            image_number += 1
            if image_number in chosen:
                images[image_number] = message.data
                ready = [image_number]
        else:
            depth_number += 1
            if depth_number in users:
                depths[depth_number] = message.data
                ready = [number for number in users[depth_number] if number in images]
        for number in ready:
            depth = chosen[number]
            if depth < 0:
                yield number, images.pop(number), None
            elif depth in depths:
                yield number, images.pop(number), depths[depth]
                users[depth].remove(number)
                if not users[depth]:
                    del depths[depth], users[depth]


def _write(out: Path, frame: Frame, say: Callable[[str], None]) -> None:
    """Depth first: where there is an image, there is all of its frame."""
    if frame.depth is not None:
        with np.errstate(invalid="ignore"):
            inside = frame.depth <= FARTHEST
        millimetres = np.where(inside, np.rint(frame.depth * 1000), 0).astype(np.uint16)
        if not millimetres.any():
            say(f"frame {frame.name} is left out: no depth at any of its pixels")
            return
        write_png(out / "depth" / f"{frame.name}.png", millimetres)
    stored = cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
    _, content = cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    write(out / "rgb" / f"{frame.name}.jpg", content.tobytes())
