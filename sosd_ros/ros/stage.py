"""A thread that does the second half of the work while the first half of the next is done."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Queue
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Stage(Generic[Item]):
    """Handles items in a thread of its own, in the order in which they are put; never queues.

    Args:
        handle: called with each item; must not raise.
    """

    def __init__(self, handle: Callable[[Item], None]) -> None:
        self._handle = handle
        self._items: Queue[Item | None] = Queue(1)
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()

    def put(self, item: Item) -> None:
        """Hand over an item; returns once the one before it has been handled."""
        self._items.join()
        self._items.put(item)

    def finish(self, timeout: float) -> bool:
        """End the thread after the item at hand; whether it ended within ``timeout`` seconds.

        Nothing may be put while or after this is called.
        """
        self._items.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (item := self._items.get()) is not None:
            self._handle(item)
            del item  # a camera's buffer should not live on until the next frame
            self._items.task_done()
