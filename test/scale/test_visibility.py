"""Which points the camera sees."""

import numpy as np
import pytest
import room

from sosd_ros.scale import visible


def behind_the_pole(points):
    """Where the line from the camera to a point passes the pole, and how many pixels inside."""
    column = points[:, 0] / points[:, 2] * 500
    edge = room.POLE_WIDTH / 2 / room.POLE * 500
    return np.where(points[:, 2] > room.POLE + 0.01, edge - np.abs(column), -np.inf)


@pytest.mark.parametrize(
    ("across", "down"), [(0.002, 0.002), (0.004, 0.004), (0.004, 0.03), (0.004, 1.0)]
)
def test_a_sensor_beside_the_camera_sees_behind_a_pole(across, down):
    """A depth camera, a lidar of rings, and a scan of one line, .3 m to the right."""
    points = room.lidar([0.3, 0.0, 0.0], across, down)
    pixels = room.project(points)
    seen = visible(points, pixels, room.SIZE)
    deep = behind_the_pole(points)
    inside = (np.abs(pixels - (319.5, 239.5)) < (320, 240)).all(axis=1)
    hidden, free = inside & (deep > 0), inside & (deep < -16)
    assert hidden.sum() >= 10 and free.sum() >= 100
    assert seen[hidden].mean() <= 0.1
    assert seen[free].mean() >= 0.99
    assert not seen[~inside].any()


def test_points_too_sparse_for_a_surface_hide_nothing(random):
    """Sixty-four points at any distance, some of which fall beside each other."""
    pixels = random.uniform((0, 0), (639, 479), (64, 2))
    depth = random.uniform(0.5, 10, 64)
    points = np.stack([np.zeros(64), np.zeros(64), depth], axis=1)
    assert visible(points, pixels, room.SIZE).all()


@pytest.mark.parametrize("across", [0.004, 0.016])
def test_ground_at_a_slant_hides_nothing_of_itself(across):
    """Out to 4 m, 30 cm below the camera and 1 m below a lidar."""
    points = room.lidar([0.0, 0.0, 0.0], across, 0.01) * [1, 0.3, 1]
    points = points[np.isclose(points[:, 1], 0.3) & (points[:, 2] < 4)]
    pixels = room.project(points)
    inside = (np.abs(pixels - (319.5, 239.5)) < (320, 240)).all(axis=1)
    assert inside.sum() > 1000
    assert visible(points, pixels, room.SIZE)[inside].all()


def test_what_is_behind_beside_or_nowhere_is_not_seen():
    points = np.array([[0, 0, -1], [0, 0, 0], [0, 0, np.nan], [0, 0, 1], [0, 0, 1], [0, 0, 1]])
    pixels = np.array([[9, 9], [9, 9], [9, 9], [-0.6, 9], [np.nan, np.nan], [19.4, 9.4]])
    assert visible(points, pixels, (10, 20)).tolist() == [False] * 5 + [True]
    assert visible(np.zeros((0, 3)), np.zeros((0, 2)), (10, 20)).shape == (0,)
