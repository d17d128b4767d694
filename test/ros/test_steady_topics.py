"""Answers of the node that are drawn towards those to the image before."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from robot import Camera, camera_info, picture, pixels, reliable, rgb

from sosd_ros.steady import Steady

OF = ("depth", "semantic", "confidence", "points")


@pytest.fixture
def pair(start_node, sharp_weights):
    """Two cameras of one node, which both hear their answers."""
    start_node(weights=sharp_weights, cameras="[left, right]", **reliable("left", "right"))
    with contextlib.ExitStack() as stack:
        cameras = [Camera(name=name) for name in ("left", "right")]
        for camera in cameras:
            stack.callback(camera.close)
            camera.wait_until_active()
            camera.listen(*OF)
        yield cameras


def answer(camera, image):
    """The node's depth, semantic, confidence and points, as arrays."""
    stamp = camera.send(rgb(camera.header(), image), camera_info())
    *images, points = camera.answers(stamp, *OF)
    types = (np.float32, np.uint8, np.uint8)
    arrays = [pixels(message, of) for message, of in zip(images, types, strict=True)]
    return *arrays, np.frombuffer(points.data, np.float32).reshape(64, 96, -1)


def test_each_camera_is_steadied_by_its_own_last_image(pair):
    """While ``steady`` is true; cloud and images agree, and what comes first is as it comes."""
    left, right = pair
    noise = np.random.default_rng(0).integers(-6, 7, (64, 96, 3))
    image = picture()
    other = np.clip(image + noise, 0, 255).astype(np.uint8)
    plain = [answer(left, shown) for shown in (image, other)]
    assert left.set_parameters(steady=True).successful
    first, second, elsewhere = answer(left, image), answer(left, other), answer(right, other)
    assert left.set_parameters(steady=False).successful
    after = answer(left, other)
    for expected, made in zip(
        (plain[0], plain[1], plain[1]), (first, elsewhere, after), strict=True
    ):
        for array, same in zip(expected, made, strict=True):
            np.testing.assert_array_equal(array, same)
    depth, labels, _, points = second
    steady = Steady()
    steady(image, 0.0, *plain[0][:3])
    drawn, names, _ = steady(other, 0.1, *plain[1][:3])
    np.testing.assert_array_equal(depth, drawn)
    np.testing.assert_array_equal(labels, names)
    assert not np.array_equal(depth, plain[1][0], equal_nan=True)
    np.testing.assert_array_equal(points[..., 2], depth)
    np.testing.assert_array_equal(points.view(np.uint32)[..., 4], labels)
