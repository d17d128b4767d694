"""How far a camera has moved along its axis, by a flow that is computed from its motion."""

import numpy as np
import pytest

from sosd_ros.egomotion import depth_change

SIZE = (120, 160)
FOCAL = 140.0  # pixels
ROWS, COLUMNS = np.indices(SIZE)
ROOM = (2 + np.hypot(ROWS - 20, COLUMNS - 90) / 50).astype(np.float32)
ALL = np.ones(SIZE, np.float32)


def flow_of(depth, moved, turned=(0.0, 0.0, 0.0)):
    """Of a camera that has moved by metres, right, down and forward, and turned by radians."""
    y, x = (ROWS - 59.5) / FOCAL, (COLUMNS - 79.5) / FOCAL
    rays = np.stack([x, y, np.ones(SIZE)], axis=-1)
    points = rays * depth[..., None]
    then = points + np.array(moved) + np.cross(turned, points)
    return (FOCAL * (then[..., :2] / then[..., 2:] - rays[..., :2])).astype(np.float32)


@pytest.mark.parametrize("forward", [0.08, 0.02, -0.05])
@pytest.mark.parametrize("turned", [(0, 0, 0), (0.01, -0.02, 0.01)])
def test_moving_forward_is_told_from_turning_and_moving_aside(forward, turned):
    flow = flow_of(ROOM, (0.03, -0.02, forward), turned)
    assert depth_change(flow, ROOM, ALL) == pytest.approx(-forward, rel=0.15, abs=0.002)


def test_it_is_in_the_unit_of_depth():
    flow = flow_of(ROOM, (0.0, 0.0, 0.06))
    assert depth_change(flow, 2 * ROOM, ALL) == pytest.approx(
        2 * depth_change(flow, ROOM, ALL), rel=1e-3
    )


def test_what_moves_by_itself_and_what_has_no_weight_do_not_count():
    flow, weight = flow_of(ROOM, (0.0, 0.0, 0.05)), ALL.copy()
    flow[30:60, 40:80] += 6
    flow[80:, 100:], weight[80:, 100:] = 40, 0
    assert depth_change(flow, ROOM, weight) == pytest.approx(-0.05, rel=0.15)


def test_noise_is_no_motion():
    seed = 3
    noise = np.random.default_rng(seed).normal(0, 0.3, (*SIZE, 2)).astype(np.float32)
    assert depth_change(noise, ROOM, ALL) == 0, f"seed {seed}"


def test_without_depth_nothing_is_known():
    far = np.full(SIZE, np.inf, np.float32)
    assert depth_change(flow_of(ROOM, (0, 0, 0.05)), far, ALL) == 0
    far[::16, ::16] = 3.0  # too little of it
    assert np.isfinite(depth_change(flow_of(ROOM, (0, 0, 0.05)), far, ALL))
