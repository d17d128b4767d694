"""Which CameraInfo belongs to an image."""

import threading

from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo

from sosd_ros.camera_info import CameraInfoBuffer


def info(seconds, width):
    message = CameraInfo(width=width)
    message.header.stamp.sec = seconds
    return message


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
    buffer = CameraInfoBuffer(patience=60)
    buffer.add(info(1, width=100))
    late = threading.Thread(target=buffer.add, args=(info(2, width=200),))
    with buffer._changed:  # let go of only while at() waits
        late.start()
        found = buffer.at(Time(sec=2))
    late.join()
    assert found.width == 200


def test_a_driver_whose_stamps_never_agree_is_waited_for_once():
    """With endless patience a second wait would never end; a match makes it patient again."""
    buffer = CameraInfoBuffer(patience=0)
    buffer.add(info(1, width=100))
    assert buffer.at(Time(sec=5)).width == 100
    buffer._patience = threading.TIMEOUT_MAX
    assert buffer.at(Time(sec=6)).width == 100
    assert buffer.at(Time(sec=1)).width == 100
    assert buffer._stamps_agree


def test_one_that_is_lost_costs_the_next_image_its_own_and_no_more():
    """CameraInfos come after their images, and that of second 2 never: 4 has its own again."""
    buffer = CameraInfoBuffer(patience=0)

    def asked_then_comes(seconds):
        with buffer._changed:  # let go of only while at() waits
            late = threading.Thread(target=buffer.add, args=(info(seconds, 100 * seconds),))
            late.start()
            found = buffer.at(Time(sec=seconds))
        late.join()
        return found

    buffer.add(info(1, width=100))
    assert buffer.at(Time(sec=2)).width == 100
    buffer._patience = 60
    assert asked_then_comes(3).width == 100
    assert asked_then_comes(4).width == 400
    assert asked_then_comes(5).width == 500
