"""The real node over real DDS: what comes back for an image, and what it outlives."""

from __future__ import annotations

import json
import math

import cv2
import numpy as np
import pytest
from aligned import check_cloud
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from robot import (
    FOR_PEOPLE,
    LATCHED,
    OUTPUTS,
    camera_info,
    picture,
    pixels,
    rgb,
)
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header, String

from sosd_ros.camera_info import MAX_COEFFICIENTS

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


@pytest.fixture
def connected(shared_node, camera):
    """A camera in front of the shared node, and ears on all outputs."""
    camera.wait_until_active()
    camera.listen(*OUTPUTS)
    return camera


def test_every_output_has_the_inputs_stamp_frame_and_size(connected):
    """Depth, CameraInfo, labels and points, synchronised exactly and aligned to the pixel."""
    image = rgb(connected.header(), picture())
    stamp = connected.send(image, camera_info())
    answers = dict(zip(OUTPUTS, connected.answers(stamp, *OUTPUTS), strict=True))
    for message in answers.values():
        assert message.header == image.header
        assert (message.height, message.width) == (64, 96)
    assert answers["depth"].encoding == "32FC1"
    assert answers["semantic"].encoding == "mono8"
    assert list(answers["camera_info"].k) == list(camera_info().k)


def test_points_belong_to_their_pixels(connected):
    """Seen through the camera; z is the depth, and colour and label are the pixel's."""
    image, topics = picture(), ("depth", "semantic", "points", "camera_info")
    stamp = connected.send(rgb(connected.header(), image), camera_info())
    answers = dict(zip(topics, connected.answers(stamp, *topics), strict=True))
    assert check_cloud(answers, image).any()


def test_depth_is_for_the_camera_that_looks(connected):
    """The same pixels through twice the focal length are twice as far away."""
    depths = []
    for focal in (80.0, 160.0):
        image = rgb(connected.header(), picture())
        stamp = connected.send(image, camera_info(focal=focal))
        depths.append(pixels(connected.answers(stamp, "depth")[0], np.float32))
    assert np.isfinite(depths[0]).all()
    np.testing.assert_allclose(depths[1], 2 * depths[0], rtol=1e-5)


def test_confidence_and_pictures_for_people(connected):
    """At the image's size and stamp; where nothing is certain, confidence is low and not 0."""
    connected.listen(*FOR_PEOPLE)
    image = rgb(connected.header(), picture())
    answers = connected.answers(connected.send(image, camera_info()), *FOR_PEOPLE)
    assert [a.encoding for a in answers] == ["mono8", "rgb8", "rgb8"]
    for answer in answers:
        assert answer.header == image.header
        assert (answer.height, answer.width) == (64, 96)
        assert pixels(answer, np.uint8).max() > 0


@pytest.mark.parametrize("encoding", ["bgr8", "rgba8", "rgb16", "padded rgb8"])
def test_encodings_and_padding_change_nothing(connected, encoding):
    """The same picture in another encoding, or with rows that are padded: the same answers."""
    image, topics = picture(), ("depth", "semantic")
    plain = connected.send(rgb(connected.header(), image), camera_info())
    expected = connected.answers(plain, *topics)
    message = rgb(connected.header(), image)
    if encoding == "padded rgb8":
        padded = np.pad(image.reshape(64, -1), ((0, 0), (0, 13)), constant_values=99)
        message.step = padded.shape[1]
        stored = padded
    else:
        stored = {
            "bgr8": image[..., ::-1],
            "rgba8": cv2.cvtColor(image, cv2.COLOR_RGB2RGBA),
            "rgb16": image.astype(np.uint16) << 8,
        }[encoding]
        message.encoding = encoding
        message.step = stored[0].nbytes
    del message.data[:]
    message.data.frombytes(np.ascontiguousarray(stored).tobytes())
    got = connected.answers(connected.send(message, camera_info()), *topics)
    assert [bytes(m.data) for m in got] == [bytes(m.data) for m in expected]


def test_a_large_image_comes_through(connected):
    """1280x720, whose cloud has 18 MB, more than one message of the transport."""
    image = rgb(connected.header(), picture(720, 1280))
    stamp = connected.send(image, camera_info(1280, 720, 900.0))
    for message in connected.answers(stamp, *OUTPUTS):
        assert (message.height, message.width) == (720, 1280)


@pytest.mark.parametrize(
    ("cause", "change"),
    [
        ("encoding", {"encoding": "rgb12"}),
        ("step", {"step": 1}),
        ("size", {"height": 0}),
        ("size", {"width": 2**31, "height": 2**31}),
        ("size", {"width": 4096, "height": 4097}),  # more than max_image_pixels
        ("data", {"height": 65}),
        ("data", {"data": []}),
        ("data", {"data": bytes(64 * 96 * 3 + 1)}),
        ("frame_id", {"header": Header(frame_id="f" * 256)}),
    ],
    ids=str,
)
def test_malformed_messages_are_outlived(connected, shared_node, cause, change):
    """The next good frame is answered, the log says what was wrong, and the cause is counted."""
    connected.listen_diagnostics()
    counted = f"dropped: {cause}"
    before = int(connected.fresh_values("camera").get(counted, 0))
    bad = rgb(connected.header(), picture())
    stamp = bad.header.stamp
    for name, value in change.items():
        setattr(bad, name, value)
    bad.header.stamp = stamp
    bad_stamp = connected.send(bad, camera_info())
    said = f"frame {bad_stamp.sec}.{bad_stamp.nanosec:09d} dropped: "
    connected.wait(lambda: said in shared_node.log, said)
    good = connected.send(rgb(connected.header(), picture()), camera_info())
    connected.answers(good, *OUTPUTS)
    assert bad_stamp not in [m.header.stamp for m in connected.heard["semantic"]]
    assert int(connected.fresh_values("camera")[counted]) == before + 1


def test_big_endian_pictures_are_answered_as_others(connected):
    """16 bits a colour, the more significant byte first: the same answers."""
    wide, answered = picture().astype(np.uint16) << 8, []
    for order in "<>":
        message = rgb(connected.header(), picture())
        message.encoding, message.step, message.is_bigendian = "rgb16", 96 * 6, int(order == ">")
        message.data = wide.astype(f"{order}u2").tobytes()
        [semantic] = connected.answers(connected.send(message, camera_info()), "semantic")
        answered.append(bytes(semantic.data))
    assert answered[0] == answered[1]


@pytest.mark.parametrize(
    ("cause", "focal", "size"),
    [
        ("intrinsics", math.nan, (96, 64)),
        ("intrinsics", math.inf, (96, 64)),
        ("intrinsics", -100.0, (96, 64)),
        ("intrinsics", 1e-300, (96, 64)),
        ("uncalibrated", 0.0, (96, 64)),
        ("camera_info_size", 100.0, (48, 32)),
    ],
)
def test_intrinsics_of_no_use_are_counted_and_give_labels_alone(connected, cause, focal, size):
    """By their cause; a good CameraInfo gives depth again."""
    connected.listen_diagnostics()
    counted = f"without scale: {cause}"
    before = int(connected.fresh_values("camera").get(counted, 0))
    info = camera_info(*size)
    info.k[[0, 4]] = info.p[[0, 5]] = focal
    bad = connected.send(rgb(connected.header(), picture()), info)
    connected.answers(bad, "semantic")
    good = connected.send(rgb(connected.header(), picture()), camera_info())
    connected.answers(good, *OUTPUTS)
    assert bad not in [m.header.stamp for m in connected.heard["depth"]]
    assert int(connected.fresh_values("camera")[counted]) > before


def test_no_depth_in_metres_without_a_camera_info_that_fits(connected, shared_node):
    """A CameraInfo of another size gives labels alone, and a sentence."""
    small = connected.send(rgb(connected.header(), picture()), camera_info(48, 32))
    connected.answers(small, "semantic")
    fits = connected.send(rgb(connected.header(), picture()), camera_info())
    connected.answers(fits, *OUTPUTS)
    assert small not in [m.header.stamp for m in connected.heard["depth"]]
    assert small not in [m.header.stamp for m in connected.heard["points"]]
    said = f"frame {small.sec}.{small.nanosec:09d} has no metric depth and no points: CameraInfo is"
    assert f"{said} for 48x32, but the image is 96x64" in shared_node.log


def test_an_uncalibrated_camera_gives_labels_alone(connected):
    """All zeros in K and P, as drivers publish without a calibration."""
    info = camera_info()
    info.k, info.p = [0.0] * 9, [0.0] * 12
    blind = connected.send(rgb(connected.header(), picture()), info)
    connected.answers(blind, "semantic")
    fits = connected.send(rgb(connected.header(), picture()), camera_info())
    connected.answers(fits, "depth")
    assert blind not in [m.header.stamp for m in connected.heard["depth"]]


def test_a_publisher_from_which_nothing_comes_is_told_from_none(connected):
    """Matched, but silent, for images and for CameraInfos; since ever or no more; and gone."""
    connected.listen_diagnostics()
    stopped = "test_camera still has a publisher on /image, but has stopped sending"
    connected.wait_for_status("camera", ERROR, stopped)
    change(connected, Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVATE)
    silent = "test_camera has a publisher on {}, but nothing has arrived from it"
    connected.wait_for_status("camera", ERROR, silent.format("/image"))

    def is_missed():
        connected.send(rgb(connected.header(), picture()))
        status = connected.status("camera")
        return status.level == WARN and silent.format("/camera_info") in status.message

    connected.wait(is_missed, "a word of the CameraInfos")
    connected.node.destroy_publisher(connected.images)
    connected.wait_for_status("camera", ERROR, "nobody publishes on /image")


def test_late_subscribers_hear_the_labels_and_the_next_frame(shared_node, camera):
    """Label names are latched; a listener that comes late is answered from then on."""
    camera.wait_until_active()
    heard = camera.listen_latched(String, "/sosd/label_info/json")
    camera.wait(lambda: heard, "label info")
    content = json.loads(heard[0].data)
    assert content["names"][:2] == ["wall", "floor"] and len(content["palette"]) == 40
    assert content["unlabelled"] == 255

    camera.listen("depth")
    first = camera.send(rgb(camera.header(), picture()), camera_info())
    camera.answers(first, "depth")
    camera.listen("semantic")
    second = camera.send(rgb(camera.header(), picture()), camera_info())
    camera.answers(second, "depth", "semantic")
    assert first not in [m.header.stamp for m in camera.heard["semantic"]]


def change(camera, *transitions):
    for transition in transitions:
        assert camera.change_state(transition)


def test_a_latched_camera_info_gives_depth_to_a_node_that_starts_later(connected):
    """It spoke once, long before the images; nothing is said to be missing."""
    connected.listen_diagnostics()
    change(connected, Transition.TRANSITION_DEACTIVATE)
    latched = connected.node.create_publisher(CameraInfo, "camera_info", LATCHED)
    latched.publish(camera_info(focal=50.0))  # of the year 1970
    change(connected, Transition.TRANSITION_ACTIVATE)

    def answered():
        stamp = connected.send(rgb(connected.header(), picture()))
        connected.answers(stamp, "semantic")
        return connected.heard["depth"] and connected.heard["depth"][-1].header.stamp == stamp

    connected.heard["depth"].clear()
    connected.wait(answered, "depth of a latched CameraInfo")
    assert connected.heard["camera_info"][-1].k[0] == 50.0

    def is_past_the_timeout():
        connected.send(rgb(connected.header(), picture()))
        connected.executor.spin_once(timeout_sec=0.1)
        values = connected.fresh_values("camera")
        return float(values["since last CameraInfo [s]"]) > 1.0 and connected.status("camera")

    status = connected.wait(is_past_the_timeout, "diagnostics past input_timeout")
    assert (status.level, "CameraInfo" in status.message) == (OK, False)


def test_a_latched_camera_info_that_is_refused_is_not_forgotten(connected):
    """Its only word is of no use: depth is missing, and said to be for good."""
    connected.listen_diagnostics()
    change(connected, Transition.TRANSITION_DEACTIVATE)
    latched = connected.node.create_publisher(CameraInfo, "camera_info", LATCHED)
    info = camera_info()
    info.d = [0.0] * (MAX_COEFFICIENTS + 1)
    latched.publish(info)
    change(connected, Transition.TRANSITION_ACTIVATE)

    def is_said():
        connected.send(rgb(connected.header(), picture()))
        status = connected.status("camera")
        return status.level == WARN and "every CameraInfo is refused, 1 for" in status.message

    connected.wait(is_said, "a word of the CameraInfo")
    assert connected.fresh_values("camera")["since last CameraInfo [s]"] == "never"


def mono16(header, values):
    message = Image(header=header, encoding="mono16", width=96, height=64, step=96 * 2)
    message.data.frombytes(values.astype("<u2").tobytes())
    return message


def test_a_12_bit_camera_is_noticed_and_set_right(connected, shared_node):
    """Told that it has 10; the log and the camera's diagnostics name parameter and value."""
    grey = picture()[..., 0]
    assert connected.set_parameters(significant_bits=10).successful
    for _ in range(3):
        white = mono16(connected.header(), grey.astype(np.uint16) << 4)
        connected.answers(connected.send(white, camera_info()), "semantic")
    connected.listen_diagnostics()
    said = "set significant_bits to 12"
    connected.wait_for_status("camera", WARN, said)
    warned = [line for line in shared_node.log.splitlines() if "[WARN]" in line and said in line]
    assert len(warned) == 1
    assert connected.set_parameters(significant_bits=12).successful
    deep = mono16(connected.header(), grey.astype(np.uint16) << 4)
    plain = rgb(connected.header(), np.repeat(grey[..., None], 3, axis=2))
    answers = []
    for image in (deep, plain):  # one after the other's answer, or the node may skip one
        [depth] = connected.answers(connected.send(image, camera_info()), "depth")
        answers.append(pixels(depth, np.float32))
    np.testing.assert_array_equal(*answers)
    connected.fresh_values("camera")
    assert said not in connected.status("camera").message
    assert connected.set_parameters(significant_bits=16).successful
