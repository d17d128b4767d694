"""The second half of the work in a thread of its own. Events order the threads."""

import threading

import pytest
from threads import FOREVER, Handler

from sosd_ros.ros.stage import Stage


@pytest.fixture
def handler():
    handler = Handler()
    yield handler
    for _ in range(9):  # nothing is left hanging
        handler.let.release()


def test_the_caller_goes_on_while_an_item_is_handled(handler):
    """Else nothing would be gained: ``put`` returns before the item is done."""
    stage = Stage(handler)
    stage.put(1)
    handler.started.acquire()
    assert handler.handled == []
    handler.let.release()
    assert stage.finish(FOREVER)
    assert handler.handled == [1]


def test_an_item_waits_with_its_caller_for_the_one_before(handler):
    """At most one is under way, and they keep their order."""
    stage = Stage(handler)
    stage.put(1)
    handler.started.acquire()
    put = threading.Event()
    threading.Thread(target=lambda: (stage.put(2), put.set()), daemon=True).start()
    assert not put.is_set() and handler.handled == []
    handler.let.release()
    assert put.wait(FOREVER) and handler.handled == [1]
    handler.let.release()
    assert stage.finish(FOREVER)
    assert handler.handled == [1, 2]


def test_a_stage_that_hangs_is_not_waited_for(handler):
    stage = Stage(handler)
    stage.put(1)
    handler.started.acquire()
    assert not stage.finish(0.0)
    handler.let.release()
    assert stage.finish(FOREVER)


def test_an_idle_stage_ends():
    assert Stage(list).finish(FOREVER)
