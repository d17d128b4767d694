"""CameraInfos that are not what they seem: what the real node says of them, and answers."""

from __future__ import annotations

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from robot import OUTPUTS, camera_info, picture, pixels, rgb
from sensor_msgs.msg import RegionOfInterest

from sosd_ros.ros.parameters import BY_NAME

OK, WARN = DiagnosticStatus.OK, DiagnosticStatus.WARN


@pytest.fixture
def connected(shared_node, camera):
    """A camera in front of the shared node, whose answers and diagnostics it hears."""
    camera.wait_until_active()
    camera.listen_diagnostics()
    camera.listen(*OUTPUTS)
    yield camera
    defaults = {name: BY_NAME[name].default for name in ("calibration_of", "rectified")}
    assert camera.set_parameters(**defaults).successful


def send(camera, info):
    return camera.send(rgb(camera.header(), picture()), info)


def is_doubted_once(camera, node, info, words):
    """Three images are answered; log and diagnostics say why in doubt, until it is mended."""
    said = node.log.count(words)
    for _ in range(3):
        camera.answers(send(camera, info), *OUTPUTS)
    camera.wait_for_status("camera", WARN, words)
    assert node.log.count(words) == said + 2  # as a warning, and as every problem at level debug
    camera.answers(send(camera, camera_info()), *OUTPUTS)
    camera.wait_for_status("camera", OK, "")


def test_numbers_of_another_resolution_are_doubted_and_answered(connected, shared_node):
    """Half the size in K and P, as Gazebo publishes 320x240 for 640x480."""
    info = camera_info(focal=50.0)
    info.p[2], info.p[6] = info.k[2], info.k[5] = 24.0, 16.0
    words = "the principal point (24, 16) lies far from the middle of 96x64 and fits 48x32"
    is_doubted_once(connected, shared_node, info, words)


def test_what_may_be_raw_is_doubted_until_the_parameter_decides(connected, shared_node):
    """Distorted, of another focal length in P, on a topic that is not named as rectified."""
    info = camera_info()
    info.d, info.p[0] = [0.1, 0.0, 0.0, 0.0, 0.0], 80.0
    is_doubted_once(connected, shared_node, info, "its topic /image has no rect in its name")
    assert connected.set_parameters(rectified=True).successful
    connected.answers(send(connected, info), *OUTPUTS)
    connected.fresh_values("camera")
    connected.wait_for_status("camera", OK, "")
    assert connected.set_parameters(rectified="false").successful
    raw = send(connected, info)
    connected.answers(raw, "semantic")
    connected.wait_for_status("camera", WARN, "no depth and points in the last 5 s")
    assert "without scale: not_rectified" in connected.fresh_values("camera")
    connected.answers(send(connected, camera_info()), *OUTPUTS)  # without distortion, it is
    assert raw not in [m.header.stamp for m in connected.heard["depth"]]
    refused = connected.set_parameters(rectified="perhaps")
    assert refused.reason == (
        "parameter rectified is 'perhaps', expected one of assumed, true, rectify, rays, false"
    )


@pytest.mark.parametrize("part", ["binning", "roi"])
def test_binning_and_region_are_named_and_settled_by_a_parameter(connected, shared_node, part):
    """K and P are of the image already: refused, and then right."""
    info = camera_info()
    if part == "binning":
        info.binning_x = info.binning_y = 2
    else:
        info.roi = RegionOfInterest(x_offset=20, y_offset=10, width=96, height=64)
    blind = send(connected, info)
    connected.answers(blind, "semantic")
    connected.wait(lambda: "calibration_of to image" in shared_node.log, "a word of the parameter")
    assert part in shared_node.log
    assert connected.set_parameters(calibration_of="image").successful
    published, depth = connected.answers(send(connected, info), "camera_info", "depth")
    assert blind not in [m.header.stamp for m in connected.heard["depth"]]
    assert (published.width, published.height) == (depth.width, depth.height) == (96, 64)
    assert (published.binning_x, published.roi) == (0, RegionOfInterest())


def test_a_right_cameras_points_count_from_the_left_one(connected):
    """12 cm beside each other; the published P makes pixels of the points again."""
    info = camera_info()
    info.p[3] = -100.0 * 0.12
    right = connected.answers(send(connected, info), "camera_info", "points", "depth")
    left = connected.answers(send(connected, camera_info()), "camera_info", "points", "depth")
    assert list(right[0].p) == list(info.p)
    clouds = [
        np.frombuffer(m.data, np.float32).reshape(64, 96, 5)[..., :3] for _, m, _ in (right, left)
    ]
    np.testing.assert_array_equal(*(pixels(depth, np.float32) for _, _, depth in (right, left)))
    np.testing.assert_allclose(
        clouds[0] - clouds[1], np.broadcast_to([0.12, 0, 0], (64, 96, 3)), atol=1e-6
    )
    p = np.reshape(right[0].p, (3, 4))
    u, v, w = np.moveaxis(clouds[0] @ p[:, :3].T + p[:, 3], -1, 0)
    rows, columns = np.mgrid[0:64, 0:96]
    np.testing.assert_allclose(u / w, columns, atol=1e-3)
    np.testing.assert_allclose(v / w, rows, atol=1e-3)


def test_a_camera_without_p_gets_one_for_those_who_project(connected):
    """depth_image_proc and image_geometry know P alone."""
    info = camera_info()
    info.p = [0.0] * 12
    [published] = connected.answers(send(connected, info), "camera_info")
    assert list(published.p) == list(camera_info().p)
