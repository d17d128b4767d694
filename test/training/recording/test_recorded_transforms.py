"""Where frames lie, by the transforms of a recording."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from training.data.errors import DataError
from training.recording.transforms import PATIENCE, Transforms

SECOND = 10**9


def message(parent, child, time=0, place=(0, 0, 0), turn=(0, 0, 0)):
    """A TFMessage of one transform; ``turn`` in degrees about x, y and z."""
    x, y, z, w = Rotation.from_euler("xyz", turn, degrees=True).as_quat()
    stamp = SimpleNamespace(sec=time // SECOND, nanosec=time % SECOND)
    return SimpleNamespace(
        transforms=[
            SimpleNamespace(
                header=SimpleNamespace(frame_id=parent, stamp=stamp),
                child_frame_id=child,
                transform=SimpleNamespace(
                    translation=SimpleNamespace(x=place[0], y=place[1], z=place[2]),
                    rotation=SimpleNamespace(x=x, y=y, z=z, w=w),
                ),
            )
        ]
    )


@pytest.fixture
def tree():
    """A robot that drives along x and turns, with a camera and a lidar on it."""
    found = Transforms()
    found.add(message("base", "camera", place=(0.2, 0, 0.5), turn=(-90, 0, -90)), is_static=True)
    found.add(message("/base", "/lidar", place=(0, 0, 1.0)), is_static=True)
    for second in range(3):
        moved = message("odom", "base", second * SECOND, (second, 0, 0), (0, 0, 90 * second))
        found.add(moved, is_static=False)
    return found


def test_fixed_frames(tree):
    """What is ahead of the lidar is ahead of the camera, which lies half a metre below it."""
    pose = tree.pose("lidar", "camera", 5 * SECOND)
    np.testing.assert_allclose(pose.of(np.array([[3.2, 0, 0]])), [[0, -0.5, 3.0]], atol=1e-9)


def test_between_two_messages(tree):
    pose = tree.pose("base", "odom", SECOND // 2)
    np.testing.assert_allclose(pose.origin, [0.5, 0, 0], atol=1e-9)
    ahead = pose.rotation @ [1, 0, 0]
    np.testing.assert_allclose(ahead, [np.sqrt(0.5), np.sqrt(0.5), 0], atol=1e-9)


def test_there_and_back(tree):
    there, back = (tree.pose(*pair, SECOND) for pair in (("lidar", "odom"), ("odom", "lidar")))
    point = np.array([[1.0, 2.0, 3.0]])
    np.testing.assert_allclose(back.of(there.of(point)), point, atol=1e-9)


def test_what_it_does_not_know_is_said(tree):
    with pytest.raises(DataError, match=r"where sonar lies in camera at 1\.0+: .* record /tf"):
        tree.pose("sonar", "camera", SECOND)
    tree.pose("base", "odom", 2 * SECOND + PATIENCE)
    with pytest.raises(DataError, match=r"where base lies in odom at 2\.2"):
        tree.pose("base", "odom", 2 * SECOND + PATIENCE + 1)


def test_a_circle_is_refused():
    found = Transforms()
    found.add(message("a", "b"), is_static=True)
    found.add(message("b", "a"), is_static=True)
    with pytest.raises(DataError, match="in a circle"):
        found.pose("a", "c", 0)


def test_numbers_that_are_no_rotation_are_left_out(tree):
    broken = message("base", "lidar")
    broken.transforms[0].transform.rotation.x = np.nan
    tree.add(broken, is_static=True)
    assert np.isfinite(tree.pose("lidar", "camera", 0).origin).all()
