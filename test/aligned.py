"""Whether the answers to one image belong together: the same pixels, by stamp and by geometry."""

from __future__ import annotations

import cv2
import numpy as np
from robot import pixels

POINT = {"x": "<f4", "y": "<f4", "z": "<f4", "rgb": "<u4", "label": "<u4"}


def cloud_of(message):
    """The points of a cloud as an image of records."""
    assert [field.name for field in message.fields] == list(POINT)
    return np.frombuffer(message.data, list(POINT.items())).reshape(message.height, message.width)


def check_cloud(answers, image):
    """A cloud's depth, labels and colours are those of the pixels of the other answers.

    Args:
        answers: messages by topic, with points, depth, semantic and camera_info.
        image: that they are of, (H, W, 3) uint8 RGB.

    Returns:
        (H, W) bool: where depth is finite.
    """
    cloud, depth = cloud_of(answers["points"]), pixels(answers["depth"], np.float32)
    valid, beyond = np.isfinite(depth), np.isposinf(depth) & np.isfinite(cloud["z"])
    np.testing.assert_array_equal(cloud["z"][valid], depth[valid])
    assert all(np.isnan(cloud[axis][~(valid | beyond)]).all() for axis in "xyz")
    assert (cloud["z"][beyond] > depth[valid].max()).all()
    labels = np.where(beyond, np.uint8(255), pixels(answers["semantic"], np.uint8))
    np.testing.assert_array_equal(cloud["label"], labels)
    red, green, blue = np.moveaxis(image.astype(np.uint32), -1, 0)
    np.testing.assert_array_equal(cloud["rgb"], red << 16 | green << 8 | blue)
    info = answers["camera_info"]
    found, off = projected(cloud[valid | beyond], info), 0.1 if any(info.d) else 1e-3
    np.testing.assert_allclose(found, np.argwhere(valid | beyond)[:, ::-1], atol=off)
    return valid


def projected(points, info):
    """Where OpenCV sees points through the camera of a CameraInfo: (N, 2) columns and rows."""
    places = np.stack([points[axis] for axis in "xyz"], axis=-1)[:, None].astype(np.float64)
    is_fisheye = info.distortion_model == "equidistant"
    project = cv2.fisheye.projectPoints if is_fisheye else cv2.projectPoints
    k, still = np.reshape(info.k, (3, 3)), np.zeros(3)
    return project(places, still, still, k, np.float64(info.d))[0].reshape(-1, 2)
