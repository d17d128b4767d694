"""The latest-frame slots: never a queue, nothing lost without a word. Events order the threads."""

import threading

from threads import FOREVER, Handler

from sosd_ros.ros import worker as module
from sosd_ros.ros.worker import BatchWorker


class Clock:
    """Goes on by ``step`` seconds whenever somebody looks at it."""

    now = step = 0.0

    def monotonic(self):
        self.now += self.step
        return self.now


def at_once(handled):
    """A handler that only notes, and an event a batch."""
    seen = threading.Semaphore(0)

    def handle(batch):
        handled.append(dict(batch))
        seen.release()

    return handle, seen


def test_only_the_newest_waits():
    """While 1 is handled, 2 and 3 come: 2 is given back, 3 is next."""
    handler = Handler()
    worker = BatchWorker(handler, ["a"], window=0)
    assert worker.submit("a", 1) is None
    handler.started.acquire()
    assert worker.submit("a", 2) is None
    assert worker.submit("a", 3) == 2
    handler.let.release(2)
    handler.started.acquire()
    assert worker.stop(FOREVER) == (True, {})
    assert handler.handled == [{"a": 1}, {"a": 3}]


def test_stopping_finishes_the_batch_at_hand_and_gives_back_what_waits():
    """What was begun is whole; what waits is not begun, and not lost without a word."""
    handler = Handler()
    worker = BatchWorker(handler, ["a"], window=0)
    worker.submit("a", 1)
    handler.started.acquire()
    worker.submit("a", 2)
    assert worker.stop(timeout=0.0) == (False, {"a": 2})
    handler.let.release(2)
    assert worker.stop(FOREVER) == (True, {})
    assert handler.handled == [{"a": 1}]


def test_a_worker_that_hangs_is_not_waited_for():
    """It says so, and how long it has been busy."""
    handler = Handler()
    worker = BatchWorker(handler, ["a"], window=0)
    assert worker.busy == 0
    worker.submit("a", 1)
    handler.started.acquire()
    assert worker.stop(timeout=0.0) == (False, {})
    assert worker.busy > 0
    handler.let.release()


def test_an_idle_worker_stops():
    """Nothing ever came."""
    assert BatchWorker(Handler(), ["a"], window=FOREVER).stop(FOREVER) == (True, {})


def test_cameras_that_come_together_are_one_batch():
    """However long the window is, it closes when all have come."""
    handled = []
    handle, seen = at_once(handled)
    worker = BatchWorker(handle, ["a", "b"], window=FOREVER)
    worker.submit("a", 1)
    worker.submit("b", 2)
    seen.acquire()
    worker.stop(FOREVER)
    assert handled == [{"a": 1, "b": 2}]


def test_a_dead_camera_is_waited_for_once(monkeypatch):
    """After one window in vain the others go on alone, until it has come again."""
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    handled = []
    handle, seen = at_once(handled)
    worker = BatchWorker(handle, ["a", "b"], window=FOREVER)
    clock.step = FOREVER  # between two looks at it
    worker.submit("a", 1)
    seen.acquire()  # the window has closed without b
    clock.step = 0.0
    worker.submit("a", 2)
    seen.acquire()
    worker.submit("b", 3)
    worker.submit("a", 4)  # b is expected, and there
    seen.acquire()
    worker.stop(FOREVER)
    assert handled == [{"a": 1}, {"a": 2}, {"b": 3, "a": 4}]
