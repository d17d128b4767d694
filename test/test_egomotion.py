"""How a camera has moved, by images that are rendered from its motion."""

import cv2
import numpy as np
import pytest

from sosd_ros.egomotion import egomotion

SIZE = (120, 160)
FOCAL = 140.0  # pixels
ROWS, COLUMNS = np.indices(SIZE)
ROOM = (2 + np.hypot(ROWS - 20, COLUMNS - 90) / 50).astype(np.float32)
STILL = (0.0, 0.0, 0.0)


def places(depth, moved, turned):
    """Where surfaces were, columns and rows, and their depth then.

    The camera has moved by metres, right, down and forward, and turned by radians.
    """
    y, x = (ROWS - 59.5) / FOCAL, (COLUMNS - 79.5) / FOCAL
    points = np.stack([x, y, np.ones(SIZE)], axis=-1) * depth[..., None]
    then = points + np.array(moved) + np.cross(turned, points)
    columns, rows = (FOCAL * then[..., i] / then[..., 2] + SIZE[1 - i] / 2 - 0.5 for i in (0, 1))
    return columns.astype(np.float32), rows.astype(np.float32), then[..., 2]


def images(columns, rows, seed=0):
    """Two grey images: the later one, and the one before, of which it is made."""
    noise = np.random.default_rng(seed).normal(size=SIZE)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.5)
    before = np.clip(128 + 50 * smooth / smooth.std(), 0, 255).astype(np.uint8)
    return cv2.remap(before, columns, rows, cv2.INTER_LINEAR, None, cv2.BORDER_REFLECT_101), before


def found(now, before, depth=ROOM):
    return egomotion(now, before, depth)


@pytest.mark.parametrize("forward", [0.08, 0.02, -0.05])
@pytest.mark.parametrize("turned", [STILL, (0.01, -0.02, 0.01)])
def test_where_surfaces_were_and_how_far_away(forward, turned):
    """Within a twentieth of a pixel, and four thousandths of their depth."""
    columns, rows, then = places(ROOM, (0.03, -0.02, forward), turned)
    ego = found(*images(columns, rows))
    off = np.hypot(ego.columns - columns, ego.rows - rows)
    assert np.median(off) < 0.05 and np.percentile(off, 95) < 0.2
    answered = ROOM * ego.turned + ego.nearer
    assert np.abs(answered / then - 1).max() < 0.004
    assert ego.nearer == pytest.approx(forward, rel=0.1, abs=0.002)


def test_it_is_in_the_unit_of_depth():
    now_and_before = images(*places(ROOM, (0.0, 0.0, 0.06), STILL)[:2])
    metres, feet = (found(*now_and_before, factor * ROOM).nearer for factor in (1, 3.28))
    assert feet == pytest.approx(3.28 * metres, rel=1e-3)


def test_what_moves_by_itself_does_not_count():
    columns, rows, _ = places(ROOM, (0.0, 0.0, 0.05), STILL)
    elsewhere = columns.copy()
    elsewhere[30:70, 40:90] += 6
    ego = found(*images(elsewhere, rows))
    off = np.hypot(ego.columns - columns, ego.rows - rows)
    assert np.median(off) < 0.1 and ego.nearer == pytest.approx(0.05, rel=0.2)


def test_noise_is_no_motion():
    """Of a still camera: less than a twentieth of a pixel, and nothing ahead."""
    for seed in range(5):
        same, before = images(*places(ROOM, STILL, STILL)[:2], seed)
        noise = np.random.default_rng(seed).normal(0, 2, SIZE)
        ego = found(np.clip(same + noise, 0, 255).astype(np.uint8), before)
        off = np.hypot(ego.columns - COLUMNS, ego.rows - ROWS)
        assert np.median(off) < 0.05 and ego.nearer == 0, f"seed {seed}"


def test_light_that_all_pixels_share_is_no_motion():
    same, before = images(*places(ROOM, STILL, STILL)[:2])
    ego = found(cv2.add(same // 2 + 60, 12), before // 2 + 60)
    assert ego.lighter == pytest.approx(12, abs=0.5)
    assert np.hypot(ego.columns - COLUMNS, ego.rows - ROWS).max() < 0.1


@pytest.mark.parametrize("turned", [(0.0, 0.3, 0.0), (-0.2, 0.2, 0.05)])
def test_a_camera_that_turns_fast_is_followed(turned):
    """By up to a quarter of the image between two of them."""
    columns, rows, _ = places(ROOM, (0.03, 0.0, 0.05), turned)
    seen = (columns > 0) & (columns < SIZE[1] - 1) & (rows > 0) & (rows < SIZE[0] - 1)
    ego = found(*images(columns, rows))
    assert np.median(np.hypot(ego.columns - columns, ego.rows - rows)[seen]) < 1


@pytest.mark.parametrize("far", [np.inf, np.nan, 0.0])
def test_without_depth_it_is_told_from_turning_alone(far):
    """Every depth unknown, or all but a few."""
    turned = (0.01, -0.02, 0.01)
    columns, rows, _ = places(ROOM, STILL, turned)
    depth = np.full(SIZE, far, np.float32)
    for _ in range(2):
        ego = found(*images(columns, rows), depth)
        assert np.median(np.hypot(ego.columns - columns, ego.rows - rows)) < 0.1
        assert np.isfinite(ego.nearer) and np.isfinite(ego.turned).all()
        depth[::16, ::16] = 3.0


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_of_images_without_anything_in_them_no_motion_is_made(grey):
    blank = np.full(SIZE, grey, np.uint8)
    ego = found(blank, blank)
    assert np.hypot(ego.columns - COLUMNS, ego.rows - ROWS).max() < 1e-3 and ego.nearer == 0
