"""The CameraInfo that belongs to an image."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..stamps import nanoseconds

if TYPE_CHECKING:
    from builtin_interfaces.msg import Time
    from sensor_msgs.msg import CameraInfo


class CameraInfoBuffer:
    """The last few CameraInfos, shared by the executor's thread and the worker's.

    Drivers publish one CameraInfo with each image, with the same stamp, but not always before it;
    with a zoom lens that matters. After a wait in vain, images no longer wait until a CameraInfo
    arrives that a wait would have found. So a driver that stamps them differently, or publishes
    them too late, costs a single wait. When one gets lost, only the next image may miss its own.

    Of several with the same stamp, the newest counts: a bag in a loop repeats its stamps, and a
    latched CameraInfo comes through two subscriptions.

    Args:
        length: how many are kept.
        patience: seconds to wait for the one with an image's stamp.
        clock: seconds of a monotonic clock.
    """

    def __init__(
        self,
        length: int = 16,
        patience: float = 0.1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._infos: dict[int, CameraInfo] = {}  # by stamp, the newest last
        self._length = length
        self._patience = patience
        self._stamps_agree = True
        self._clock = clock
        self._missed = (0, -math.inf)  # the last stamp asked for in vain, and when
        self._changed = threading.Condition()

    def add(self, info: CameraInfo) -> None:
        with self._changed:
            number = nanoseconds(info.header.stamp)
            self._infos.pop(number, None)
            self._infos[number] = info
            if len(self._infos) > self._length:
                del self._infos[next(iter(self._infos))]
            stamp, asked = self._missed
            if number == stamp and self._clock() - asked < self._patience:
                self._stamps_agree = True
            self._changed.notify_all()

    def clear(self) -> None:
        with self._changed:
            self._infos.clear()
            self._stamps_agree = True

    def at(self, stamp: Time) -> CameraInfo | None:
        """The one with exactly that stamp, or else the newest; ``None`` if there is none yet."""
        with self._changed:
            asked = self._clock()
            patience = self._patience if self._stamps_agree else 0
            number = nanoseconds(stamp)
            exact = self._changed.wait_for(lambda: self._infos.get(number), patience)
            self._stamps_agree = exact is not None
            if exact is not None:
                return exact
            self._missed = number, asked
            return next(reversed(self._infos.values()), None)
