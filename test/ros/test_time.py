"""Time: exact stamps, their order, their age, simulated time, and clocks that do not agree."""

from __future__ import annotations

import pytest
from robot import Camera, camera_info, picture, reliable, rgb
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_msgs.msg import Header

SECOND = 1_000_000_000


def header(nanoseconds):
    message = Header(frame_id="camera")
    message.stamp.sec, message.stamp.nanosec = divmod(nanoseconds, SECOND)
    return message


def play(camera, nanoseconds):
    """Send a frame of a given stamp."""
    return camera.send(rgb(header(nanoseconds), picture()), camera_info())


def stamps(camera, topic):
    return [m.header.stamp.sec * SECOND + m.header.stamp.nanosec for m in camera.heard[topic]]


@pytest.mark.parametrize("stamp", [1, 2**31 * SECOND - 1, 5 * SECOND + 999_999_999])
def test_stamps_are_kept_to_the_nanosecond(start_node, camera, stamp):
    """From the first to the last that the message can hold."""
    start_node()
    camera.wait_until_active()
    camera._seconds = iter(range(1, 1))  # listening must send no stamp that is later
    hears = camera.heard.setdefault("depth", [])
    camera.node.create_subscription(Image, "/sosd/depth", hears.append, 10)

    def heard():
        play(camera, stamp)
        return hears

    camera.wait(heard, "an answer")
    assert set(stamps(camera, "depth")) == {stamp}


def test_stamps_that_go_back_or_stand_still_are_answered(start_node, camera):
    """As of a short bag in a loop: back by half a second, and thrice the same; the log tells."""
    node = start_node()
    camera.wait_until_active()
    camera.listen("depth")
    base = (camera.header().stamp.sec + 10) * SECOND
    before = len(camera.heard["depth"])
    lap = [base, base + SECOND // 2, base, base + SECOND // 2, base, base, base]
    for number, stamp in enumerate(lap, 1):
        play(camera, stamp)
        camera.wait(lambda n=number: len(camera.heard["depth"]) == before + n, "its answer")
    assert stamps(camera, "depth")[before:] == lap
    assert "is 0.5 s older than the one before it: a bag started over" in node.log


def test_a_clock_that_is_set_back_does_not_end_the_camera(start_node, camera):
    """An hour back: the log says so, and frames are answered from there on, in order."""
    node = start_node()
    camera.wait_until_active()
    camera.listen("depth")
    base = 10_000 * SECOND
    camera.answers(play(camera, base), "depth")
    for offset in (0, 1, 2):
        camera.answers(play(camera, base - 3600 * SECOND + offset), "depth")
    assert "frame 6400.000000000 is 3600 s older than the one before it" in node.log


def test_frames_older_than_max_age_are_dropped_and_counted(start_node, camera):
    """By the node's clock; max_age 0, which may be set at any time, allows them all."""
    node = start_node(max_age=1.0)
    camera.wait_until_active()
    camera.listen_diagnostics()

    def is_dropped():
        camera.send(rgb(camera.header(), picture()), camera_info())  # of the year 1970
        return int(camera.values("camera").get("dropped: too_old", 0)) > 0

    hears = camera.heard.setdefault("depth", [])
    camera.node.create_subscription(Image, "/sosd/depth", hears.append, 10)
    camera.wait(is_dropped, "a counted drop")
    assert not hears
    assert "dropped: it is older than max_age, 1 s" in node.log

    def is_answered_now():
        play(camera, camera.node.get_clock().now().nanoseconds)
        return hears

    camera.wait(is_answered_now, "an answer to a frame of now")


def test_age_follows_simulated_time(start_node, camera):
    """Under use_sim_time the clock of the simulation counts: 1970 is now."""
    start_node(max_age=1.0, use_sim_time=True)
    camera.wait_until_active()
    clock = camera.node.create_publisher(Clock, "/clock", 1)
    hears = camera.heard.setdefault("depth", [])
    camera.node.create_subscription(Image, "/sosd/depth", hears.append, 10)
    camera.listen_diagnostics()

    def send(age):
        tick = Clock()
        stamp = camera.header().stamp
        tick.clock = stamp
        clock.publish(tick)
        play(camera, stamp.sec * SECOND - age * SECOND)

    def is_answered():
        send(age=0)
        return hears

    def is_dropped():
        send(age=0)
        send(age=5)
        return int(camera.values("camera").get("dropped: too_old", 0)) > 0

    camera.wait(is_answered, "an answer")
    camera.wait(is_dropped, "a counted drop")


def test_two_cameras_with_different_clocks_are_both_answered(start_node):
    """One counts from its start, one from 1970: neither holds up the other."""
    start_node(cameras="[left, right]", **reliable("left", "right"))
    left, right = Camera(name="left"), Camera(name="right")
    try:
        for camera in (left, right):
            camera.wait_until_active()
            camera.listen("depth")
        for number in range(5):
            stamp = play(left, (20_000 + number) * SECOND)
            left.answers(stamp, "depth")
            stamp = play(right, (1_700_000_000 + number) * SECOND)
            right.answers(stamp, "depth")
        assert len(set(stamps(left, "depth")) & set(stamps(right, "depth"))) == 0
    finally:
        left.close()
        right.close()
