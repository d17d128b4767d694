"""The demo's frames before the camera, and what the contact sheet shows of the answers."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from sensor_msgs.msg import Image

from ..camera import Intrinsics
from ..contact_sheet import Answer, tile
from ..progress import progress_bar
from ..ros import messages
from ..ros.messages import info_of
from ..stamps import nanoseconds
from ..testbed.camera import FRAME_ID, Camera
from ..testbed.frames import Source

ANSWER_TIMEOUT = 20.0  # seconds
OUTPUTS = ("depth", "camera_info", "semantic", "points")


class Player:
    """Plays the frames of sources, and puts answers and pictures together.

    Attributes:
        camera: that plays them.
        wrong: answers that belong to no frame, a few words each.
        answers: (image, depth, labels) of the last frame of each picture that was answered, at
            the size of a tile of the contact sheet.
    """

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        for topic in OUTPUTS:
            camera.subscribe(topic)
        camera.listen_diagnostics()
        camera.on_answer = self._take
        self._pictures: dict[int, tuple[int, np.ndarray]] = {}
        self._halves: dict[int, dict[str, np.ndarray]] = {}
        self.wrong: list[str] = []
        self.answers: dict[int, Answer] = {}

    def is_connected(self) -> bool:
        """Whether the perception node hears both inputs, and we hear all outputs and its health."""
        return self.camera.is_connected() and self.camera.values("node").get("state") == "active"

    def play(self, source: Source, rate: float, frames: int) -> None:
        """Play so many frames at most, at a rate in Hz, and wait for the last one's answers.

        Raises:
            NodeError: if the node ends.
            ValueError: if there is no frame.
        """
        camera = self.camera
        with progress_bar(total=frames, desc="playing", unit="frame") as bar:
            due = itertools.islice(camera.ticks(rate), frames)
            for _, (number, image) in zip(due, source.frames, strict=False):
                height, width = image.shape[:2]
                self._play(number, image, source.intrinsics(width, height))
                bar.update()
                bar.set_postfix(answered=len(camera.arrived["depth"]), refresh=False)
        if not camera.sent:
            raise ValueError("the source gave no frame")
        camera.spin_until(camera.last_is_answered, ANSWER_TIMEOUT)

    def _play(self, number: int, image: np.ndarray, intrinsics: Intrinsics) -> None:
        message = messages.rgb_message(self.camera.header(), image)
        self._pictures[nanoseconds(message.header.stamp)] = (number, image)
        self.camera.send(message, info_of(intrinsics))

    def _take(self, topic: str, message: Any) -> None:
        stamp, frame_id = nanoseconds(message.header.stamp), message.header.frame_id
        if stamp not in self.camera.sent or frame_id != FRAME_ID:
            self.wrong.append(f"/sosd/{topic}: stamp {stamp}, frame {frame_id!r}")
        elif topic in ("depth", "semantic"):
            self._keep(topic, stamp, message)

    def _keep(self, topic: str, stamp: int, message: Image) -> None:
        """Put the two halves of an answer together."""
        halves = self._halves.setdefault(stamp, {})
        halves[topic] = messages.plane(message)
        if len(halves) == 2:
            number, image = self._pictures[stamp]
            self.answers[number] = tile((image, halves["depth"], halves["semantic"]))
            # Frames without an answer so far were passed over; none comes late.
            for old in [old for old in self._pictures if old <= stamp]:
                del self._pictures[old]
                self._halves.pop(old, None)
