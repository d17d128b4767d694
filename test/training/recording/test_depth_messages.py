"""Depth in messages of a recording, and that of a lidar."""

import struct
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from sosd_ros.camera import Intrinsics
from sosd_ros.encodings import MessageError
from training.recording.depth import depth_of_points, is_depth, read_depth

MILLIMETRES = np.array([[0, 1000, 2500], [65534, 1, 40]], np.uint16)
METRES = np.array([[np.nan, 1.0, 2.5], [65.534, 0.001, 0.04]], np.float32)


def image(pixels, encoding, padding=0, big=False):
    order = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<"))
    rows = order.reshape(len(pixels), -1).view(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, padding)))
    return SimpleNamespace(
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=big,
        step=rows.shape[1],
        data=rows.tobytes(),
    )


def packed(values, kind="16UC1", a=0.0, b=0.0):
    png = cv2.imencode(".png", values)[1].tobytes()
    data = struct.pack("<iff", 0, a, b) + png
    return SimpleNamespace(format=f"{kind}; compressedDepth png", data=data)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("padding", [0, 6])
def test_millimetres_and_metres(big, padding):
    for message in (
        image(MILLIMETRES, "16UC1", padding, big),
        image(METRES, "32FC1", 2 * padding, big),
    ):
        assert is_depth(message)
        np.testing.assert_allclose(read_depth(message), METRES, rtol=1e-6)


def test_what_is_no_distance_is_unknown():
    """REP 117: infinities say that something is nearer or farther than can be measured."""
    odd = np.array([[np.inf, -np.inf, 0.0, -1.0, np.nan, 2.0]], np.float32)
    found = read_depth(image(odd, "32FC1"))
    np.testing.assert_array_equal(found, [[*[np.nan] * 5, 2.0]])


def test_the_greatest_number_of_millimetres_is_unknown():
    """Some drivers say it where they have measured nothing."""
    found = read_depth(image(np.array([[65535, 2000]], np.uint16), "16UC1"))
    np.testing.assert_array_equal(found, [[np.nan, 2.0]])


def test_packed_depth():
    """As compressed_depth_image_transport packs both kinds."""
    message = packed(MILLIMETRES)
    assert is_depth(message)
    np.testing.assert_allclose(read_depth(message), METRES, rtol=1e-6)
    # Metres are stored as A / z + B.
    a, b, metres = 1000.0, 5.0, np.array([[0.5, 2.0, np.nan]])
    values = np.where(np.isnan(metres), 0, np.rint(a / metres + b)).astype(np.uint16)
    found = read_depth(packed(values, "32FC1", a, b))
    np.testing.assert_allclose(found, metres, rtol=0.002)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (image(np.zeros((2, 3), np.uint8), "mono8"), "'mono8', expected depth: 16UC1"),
        (SimpleNamespace(format="jpeg", data=b"..."), "'jpeg', expected one of compressedDepth"),
        (SimpleNamespace(format="16UC1; compressedDepth", data=b"short"), "5 bytes hold no PNG"),
        (packed(np.zeros((2, 2), np.uint8)), "hold no PNG of 16-bit depth"),
    ],
)
def test_what_is_no_depth_is_refused(message, words):
    with pytest.raises(MessageError, match=words):
        read_depth(message)


def test_sizes_must_fit():
    message = image(MILLIMETRES, "16UC1")
    message.data = message.data[:-1]
    with pytest.raises(MessageError, match="11 bytes and a step of 6 for 2 rows of 6 bytes"):
        read_depth(message)


def test_points_fall_on_their_pixels_and_hidden_ones_are_left_out():
    camera = Intrinsics(50.0, 50.0, 31.5, 23.5, 64, 48)
    x, y = camera.rays()
    wall = np.stack(np.broadcast_arrays(4 * x, 4 * y, 4.0), axis=-1)
    box = np.stack(np.broadcast_arrays(2 * x, 2 * y, 2.0), axis=-1)[20:30, 20:40]
    behind, nowhere = [[0.0, 0.0, -1.0]], [[np.nan] * 3]
    points = np.concatenate([wall.reshape(-1, 3), box.reshape(-1, 3), behind, nowhere])
    depth = depth_of_points(points, camera)
    expected = np.full((48, 64), 4.0)
    expected[20:30, 20:40] = 2.0
    known = np.isfinite(depth)
    assert known.mean() > 0.9
    np.testing.assert_allclose(depth[known], expected[known], rtol=1e-6)


def test_a_few_points_are_a_few_pixels():
    camera = Intrinsics(50.0, 50.0, 31.5, 23.5, 64, 48)
    depth = depth_of_points(np.array([[0.1, 0.1, 3.0], [-1.0, 0.5, 5.0]]), camera)
    assert np.isfinite(depth).sum() == 2 and sorted(depth[np.isfinite(depth)]) == [3.0, 5.0]
