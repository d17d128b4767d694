"""The latest-frame slot of each camera, and the thread that empties them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")


class BatchWorker(Generic[Item]):
    """Handles the newest items of all cameras together, in its own thread; never queues.

    Of each camera, only the newest waiting item is kept: latency is bounded by one ``handle``, one
    ``window`` and one item. When the window closes, the items that have come are handled. A camera
    that missed a window is not waited for again until it has sent something, so that a dead or slow
    one does not hold up the others.

    Args:
        handle: called with the items by camera; must not raise.
        cameras: their names.
        window: seconds that the first item of a batch waits for those of other cameras.
        name: of the thread.
    """

    def __init__(
        self,
        handle: Callable[[Mapping[str, Item]], None],
        cameras: Sequence[str],
        window: float,
        name: str = "perception",
    ) -> None:
        self._handle = handle
        self._cameras = frozenset(cameras)
        self._window = window
        self._changed = threading.Condition()
        self._waiting: dict[str, Item] = {}
        self._window_ends = 0.0
        self._missed: set[str] = set()
        self._busy_since: float | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, camera: str, item: Item) -> Item | None:
        """Hand over an item; returns at once, with the older waiting item that it replaced."""
        with self._changed:
            if not self._waiting:
                self._window_ends = time.monotonic() + self._window
            superseded = self._waiting.pop(camera, None)
            self._waiting[camera] = item
            self._missed.discard(camera)
            self._changed.notify()
        return superseded

    @property
    def busy(self) -> float:
        """Seconds since the current batch began; 0 between batches."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def stop(self, timeout: float) -> tuple[bool, dict[str, Item]]:
        """Finish the current batch and end the thread.

        Returns:
            Whether it ended within ``timeout`` seconds, and the waiting items, which are dropped.
        """
        with self._changed:
            self._stopping = True
            forgotten, self._waiting = self._waiting, {}
            self._changed.notify_all()
        self._thread.join(timeout)
        return not self._thread.is_alive(), forgotten

    def _run(self) -> None:
        while batch := self._next_batch():
            self._busy_since = time.monotonic()
            self._handle(batch)
            self._busy_since = None
            del batch  # a camera's buffer should not live on until the next frame

    def _next_batch(self) -> dict[str, Item]:
        """The items of the next batch; empty when stopping."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._waiting)
            rest = self._window_ends - time.monotonic()
            self._changed.wait_for(lambda: self._stopping or self._is_complete(), max(0.0, rest))
            batch, self._waiting = self._waiting, {}
            self._missed = set(self._cameras - batch.keys())
            return batch

    def _is_complete(self) -> bool:
        return self._cameras <= self._waiting.keys() | self._missed
