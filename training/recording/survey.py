"""The first way through a recording: what is in it, and which images to keep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from sosd_ros.clouds import points_of
from sosd_ros.encodings import MessageError, to_rgb
from sosd_ros.progress import progress_bar
from sosd_ros.recordings import Message, Recording, RecordingError, Types, seconds
from sosd_ros.stamps import nanoseconds

from .depth import read_depth, small
from .offset import Meter, Offset, offset
from .topics import Topics, check_unchanged
from .transforms import Transforms
from .views import View, Views, look_at

_STATIC = "tf_static"


class Survey(NamedTuple):
    """What was found.

    Attributes:
        views: the sharpest image of each view.
        blurred: views that are left out as blurred.
        images: that there are.
        refused: messages that could not be read.
        depths: stamps of depth images or clouds, in the order of recording; -1 for broken ones.
        offset: by which depth's stamps are late, if that could be told.
        transforms: of the recording, for a lidar.
    """

    views: list[View]
    blurred: int
    images: int
    refused: int
    depths: np.ndarray
    offset: Offset | None
    transforms: Transforms


def survey(
    recording: Recording, topics: Topics, same_view: float, say: Callable[[str], None]
) -> Survey:
    """Read a recording once; what is broken is said with its topic and time.

    Raises:
        DataError: if the camera changes on the way.
    """
    views, colour, deep = Views(same_view), Meter(), Meter()
    transforms, types = Transforms(), Types()
    images = refused = 0
    depths: list[int] = []
    first_info: Any = None

    def look(message: Message) -> None:
        nonlocal first_info
        decoded = types.decode(message.topic.kind, message.data)
        if message.topic in topics.tf:
            transforms.add(decoded, message.topic.name.endswith(_STATIC))
            return
        if message.topic == topics.infos:
            first_info = first_info or decoded
            check_unchanged(first_info, decoded, message.topic)
            return
        stamp = nanoseconds(decoded.header.stamp)
        if message.topic == topics.images:
            seen = look_at(to_rgb(decoded))
            views.add(images - 1, stamp, seen)
            colour.add(stamp, seen.grey)
        elif message.topic == topics.depth:
            deep.add(stamp, small(read_depth(decoded)))
            depths[-1] = stamp
        elif message.topic == topics.cloud:
            points_of(decoded, 1)
            depths[-1] = stamp

    total = sum(topic.connection.msgcount for topic in topics.all())
    bar = progress_bar(recording.messages(*topics.all()), "look", total=total, unit="message")
    for message in bar:
        if message.topic == topics.images:
            images += 1
        elif message.topic in (topics.depth, topics.cloud):
            depths.append(-1)
        try:
            look(message)
        except (MessageError, RecordingError) as error:
            refused += 1
            say(f"{message.topic.name} at {seconds(message.time)}: {error}")
    chosen, blurred = views.chosen()
    late = offset(colour.motion(), deep.motion()) if topics.depth else None
    return Survey(chosen, blurred, images, refused, np.array(depths, np.int64), late, transforms)


def partners(views: list[View], depths: np.ndarray, late: float, within: float) -> list[int]:
    """For each view the number of the depth that is nearest in time; -1 if none is near.

    Args:
        depths: stamps in nanoseconds, -1 for none.
        late: seconds by which they are late.
        within: seconds that count as near.
    """
    order = np.argsort(depths, kind="stable")
    order = order[depths[order] >= 0]
    if not len(order):
        return [-1] * len(views)
    times = depths[order] - round(late * 1e9)
    found = []
    for view in views:
        after = min(int(np.searchsorted(times, view.stamp)), len(times) - 1)
        before = max(after - 1, 0)
        best = min((before, after), key=lambda i: abs(int(times[i]) - view.stamp))
        is_near = abs(int(times[best]) - view.stamp) <= within * 1e9
        found.append(int(order[best]) if is_near else -1)
    return found
