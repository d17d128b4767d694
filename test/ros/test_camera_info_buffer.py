"""Which CameraInfo belongs to an image."""

import threading
from types import SimpleNamespace

import pytest
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo

from sosd_ros.camera_info import CameraInfoBuffer
from sosd_ros.camera_info import buffer as camera_info_buffer


def info(seconds, width):
    message = CameraInfo(width=width)
    message.header.stamp.sec = seconds
    return message


@pytest.fixture
def waits(monkeypatch):
    """For how long is waited, a number each time; all waits end at once, and in vain."""

    class Condition(threading.Condition):
        def wait_for(self, predicate, timeout):
            if not predicate() and timeout > 0:
                waits.append(timeout)
            return predicate()

    waits = []
    monkeypatch.setattr(camera_info_buffer, "threading", SimpleNamespace(Condition=Condition))
    return waits


def test_the_same_stamp_wins_over_the_newest():
    """A zoom lens: the image of second 1 gets the CameraInfo of second 1."""
    buffer = CameraInfoBuffer()
    for seconds in (1, 2, 3):
        buffer.add(info(seconds, width=100 * seconds))
    assert buffer.at(Time(sec=1)).width == 100
    assert buffer.at(Time(sec=9)).width == 300


def test_before_the_first_there_is_none():
    """And after clearing there is none again."""
    buffer = CameraInfoBuffer(patience=0)
    assert buffer.at(Time()) is None
    buffer.add(info(1, 10))
    buffer.clear()
    assert buffer.at(Time(sec=1)) is None


def test_old_ones_are_forgotten():
    """The buffer does not grow."""
    buffer = CameraInfoBuffer(length=2, patience=0)
    for seconds in (1, 2, 3):
        buffer.add(info(seconds, width=seconds))
    assert buffer.at(Time(sec=1)).width == 3


def test_one_that_comes_after_its_image_is_waited_for():
    """The image of second 2 is there first; its CameraInfo follows from another thread."""
    asked = threading.Event()

    def clock():  # is looked at before the wait, which lets add in
        asked.set()
        return 0.0

    buffer = CameraInfoBuffer(patience=60, clock=clock)
    buffer.add(info(1, width=100))

    def add():
        asked.wait()
        buffer.add(info(2, width=200))

    adding = threading.Thread(target=add)
    adding.start()
    assert buffer.at(Time(sec=2)).width == 200
    adding.join()


def test_a_driver_whose_stamps_never_agree_is_waited_for_once(waits):
    """A match makes it patient again."""
    buffer = CameraInfoBuffer(patience=0.1)
    buffer.add(info(1, width=100))
    for seconds in (5, 6):
        assert buffer.at(Time(sec=seconds)).width == 100
        assert waits == [0.1]
    assert buffer.at(Time(sec=1)).width == 100
    assert buffer.at(Time(sec=7)).width == 100
    assert waits == [0.1, 0.1]


def begun():
    """A buffer with the CameraInfo of second 1, and its clock."""
    clock = SimpleNamespace(now=0.0)
    buffer = CameraInfoBuffer(patience=0.1, clock=lambda: clock.now)
    buffer.add(info(1, width=100))
    return buffer, clock


def test_one_that_is_lost_costs_the_next_image_its_own_and_no_more(waits):
    """CameraInfos come 5 ms after their images, and that of second 2 never."""
    buffer, clock = begun()
    assert buffer.at(Time(sec=2)).width == 100
    clock.now = 3.0
    assert buffer.at(Time(sec=3)).width == 100
    assert waits == [0.1]  # for that of second 2 alone
    clock.now = 3.005
    buffer.add(info(3, width=300))
    assert buffer.at(Time(sec=4)).width == 300
    assert waits == [0.1, 0.1]


def test_those_that_come_too_late_are_not_waited_for_again(waits):
    """150 ms after their images, each."""
    buffer, clock = begun()
    for seconds in range(2, 10):
        clock.now = float(seconds)
        assert buffer.at(Time(sec=seconds)).width == 100 * (seconds - 1)
        clock.now += 0.15
        buffer.add(info(seconds, width=100 * seconds))
    assert waits == [0.1]


def test_one_that_comes_on_two_ways_takes_one_place():
    """As one that is kept by its publisher does, whichever way is the faster."""
    buffer = CameraInfoBuffer(length=2, patience=0)
    for seconds in (1, 1, 2, 2):
        buffer.add(info(seconds, width=100 * seconds))
    assert buffer.at(Time(sec=1)).width == 100


def test_the_newest_of_a_stamp_counts():
    """A lens is zoomed under a driver without a clock; a bag in a loop repeats its stamps."""
    buffer = CameraInfoBuffer(patience=0)
    for seconds, width in ((0, 100), (0, 200), (1, 300), (0, 400)):
        buffer.add(info(seconds, width))
    assert buffer.at(Time(sec=0)).width == 400
    assert buffer.at(Time(sec=9)).width == 400
