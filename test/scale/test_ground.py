"""Scale from the camera's height above ground."""

import numpy as np
import pytest
import room

from sosd_ros.scale import Limits, ScaleWindow, evidence_of_height

FLOOR, WALL = 1, 0
ALONE = Limits(frames=1, points=1)
RAYS = tuple(ray.reshape(room.SIZE) for ray in room.camera_rays().T[:2].astype(np.float32))


def tilted(pitch, roll, height):
    """Depth of ground below a camera that looks down by ``pitch`` and leans by ``roll``; up."""
    pitch, roll = np.radians([pitch, roll])
    up = -np.array([np.sin(roll), np.cos(roll) * np.cos(pitch), np.cos(roll) * np.sin(pitch)])
    slope = -(room.camera_rays() @ up).reshape(room.SIZE)
    depth = np.where(slope > 0.1, height / np.maximum(slope, 0.1), np.nan)
    return depth.astype(np.float32), up


def with_furniture(depth, random, share=0.3):
    """Blocks, nearer than the ground and taken for it, on a share of its pixels."""
    depth, ground = depth.copy(), np.isfinite(depth)
    whole, left = ground.sum(), ground.copy()
    while left.sum() > (1 - share) * whole:
        row, column = random.integers(240, 460), random.integers(0, 600)
        block = np.s_[row : row + 60, column : column + 80]
        depth[block] = depth[block] * random.uniform(0.5, 0.8)
        left[block] = False
    return depth, np.where(ground, FLOOR, WALL).astype(np.uint8)


def factor(evidence):
    window = ScaleWindow(limits=ALONE)
    window.add(0, evidence)
    return window.estimate(0).factor


@pytest.mark.parametrize("knows_up", [True, False])
@pytest.mark.parametrize(("pitch", "roll"), [(0, 0), (25, 0), (10, 8)])
def test_the_height_gives_the_factor(pitch, roll, knows_up, random):
    """Of ground on whose pixels 30 % are furniture, answered 1.45 times too far and wavy."""
    depth, up = tilted(pitch, roll, height=0.8)
    depth, labels = with_furniture(depth, random)
    waves = 1.45 + 0.05 * np.sin(np.arange(640) / 40 + random.uniform(0, 7))
    answer = (depth * waves).astype(np.float32)
    evidence = evidence_of_height(0.8, labels, (FLOOR,), RAYS, answer, up if knows_up else None)
    assert factor(evidence) == pytest.approx(1 / 1.45, rel=0.02)


@pytest.mark.parametrize("pitch", [0, 12, 25])
def test_a_wrong_up_is_noticed(pitch):
    """Ground that is tilted by 8 degrees to what tf says is no plane of one height."""
    depth, _ = tilted(pitch, 0, height=0.8)
    labels = np.full(depth.shape, FLOOR, np.uint8)
    for wrong in (-8, 8):
        _, up = tilted(pitch + wrong, 0, height=0.8)
        said = evidence_of_height(0.8, labels, (FLOOR,), RAYS, depth, up)
        assert isinstance(said, str)
        assert "the heights that its pixels imply stray by" in said


def test_a_wall_taken_for_ground_is_refused():
    depth = np.full(room.SIZE, 3, np.float32)
    said = evidence_of_height(0.8, np.full(room.SIZE, FLOOR), (FLOOR,), RAYS, depth)
    assert "faces the camera" in said


def test_what_is_no_plane_is_refused(random):
    """Ground whose every patch lies at a distance of its own."""
    depth, _ = tilted(25, 0, height=0.8)
    depth *= np.kron(random.uniform(0.4, 1.6, (24, 32)), np.ones((20, 20))).astype(np.float32)
    said = evidence_of_height(0.8, np.full(room.SIZE, FLOOR), (FLOOR,), RAYS, depth)
    assert isinstance(said, str)
    assert "no plane" in said or "faces the camera" in said


@pytest.mark.parametrize("knows_up", [True, False])
def test_too_little_ground_is_refused(knows_up):
    depth, up = tilted(25, 0, height=0.8)
    labels = np.zeros(room.SIZE, np.uint8)
    labels[300:305, 100:110] = FLOOR
    said = evidence_of_height(0.8, labels, (FLOOR,), RAYS, depth, up if knows_up else None)
    assert said == "50 usable pixels of ground, at least 64 are needed"
