"""A room to measure in: a wall at 5 m, level ground, and a pole, seen from a camera and a sensor.

Frames are the camera's optical frame: x right, y down, z forward.
"""

import numpy as np

from sosd_ros.camera import Intrinsics

CAMERA = Intrinsics(500, 500, 319.5, 239.5, 640, 480)
SIZE = (CAMERA.height, CAMERA.width)
HEIGHT = 1.0  # of the camera above the ground
WALL, POLE = 5.0, 1.0  # metres in front of the camera
POLE_WIDTH = 0.1


def cast(origin, directions):
    """The points (N, 3) at which rays from a place first meet the room."""
    x, y, z = directions.T
    with np.errstate(divide="ignore"):
        ways = np.stack([(WALL - origin[2]) / z, (HEIGHT - origin[1]) / y, (POLE - origin[2]) / z])
    ways[ways <= 0] = np.inf
    ways[2, np.abs(origin[0] + ways[2] * x) > POLE_WIDTH / 2] = np.inf
    return origin + ways.min(axis=0)[:, None] * directions


def camera_rays():
    """(H * W, 3), each at depth 1."""
    x, y = np.broadcast_arrays(*CAMERA.rays())
    return np.stack([x.ravel(), y.ravel(), np.ones(x.size)], axis=1)


def depth_image():
    """The true depth of every pixel, (H, W) float32."""
    return cast(np.zeros(3), camera_rays())[:, 2].reshape(SIZE).astype(np.float32)


def lidar(origin, across=0.005, down=0.02):
    """Points that a lidar at a place sees, this many radians apart, in the camera's frame."""
    azimuth, elevation = np.meshgrid(np.arange(-0.9, 0.9, across), np.arange(-0.6, 0.6, down))
    return cast(np.asarray(origin), _directions(azimuth.ravel(), elevation.ravel()))


def _directions(azimuth, elevation):
    return np.stack([np.tan(azimuth), np.tan(elevation), np.ones(len(azimuth))], axis=1)


def project(points):
    """Where a pinhole camera sees points, (N, 2); NaN for those behind it."""
    z = np.where(points[:, 2] > 0, points[:, 2], np.nan)
    return points[:, :2] / z[:, None] * 500 + (CAMERA.cx, CAMERA.cy)


def turned(points, degrees, axis):
    """As they seem to lie for one who has the sensor's rotation wrong; axis 0 is pitch, 1 yaw."""
    angle, rotation = np.radians(degrees), np.eye(3)
    one, other = ((1, 2), (2, 0))[axis]
    rotation[[one, other], [one, other]] = np.cos(angle)
    rotation[one, other], rotation[other, one] = -np.sin(angle), np.sin(angle)
    return points @ rotation.T
