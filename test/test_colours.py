"""Pictures for people: what a colour means, and what shows through."""

import numpy as np
import pytest
from support import SMALL

from sosd_ros.colours import depth_colours, overlay
from sosd_ros.labels import UNLABELLED

LABELS = SMALL.labels


def test_near_is_red_far_is_blue_and_unknown_is_black():
    """NaN and what is out of range have no colour."""
    depth = np.array([[0.2, 4.5, np.nan, np.inf]], np.float32)
    red, blue, nan, inf = depth_colours(depth, farthest=5.0)[0].astype(int)
    assert red[0] > 2 * red[2] and blue[2] > 2 * blue[0]
    assert (nan == 0).all() and (inf == 0).all()


def test_depth_beyond_the_farthest_has_its_colour():
    """And not that of something near, by an overflow."""
    farthest, beyond = depth_colours(np.array([[5.0, 7.0]], np.float32), farthest=5.0)[0]
    np.testing.assert_array_equal(farthest, beyond)


@pytest.mark.parametrize("opacity", [0, 0.5, 1])
def test_the_overlay_is_between_image_and_colours(opacity, random):
    """By its opacity; where a pixel has no label, the image shows as it is."""
    image = np.full((4, 6, 3), 100, np.uint8)
    labels = random.integers(0, len(LABELS.names), (4, 6)).astype(np.uint8)
    labels[0, 0] = UNLABELLED
    picture = overlay(image, labels, LABELS, opacity)
    wanted = 100 + opacity * (LABELS.colours(labels).astype(float) - 100)
    wanted[0, 0] = 100
    np.testing.assert_allclose(picture, wanted, atol=0.5 + 1e-9)
    assert picture.dtype == np.uint8


def test_the_image_stays_as_it_is(random):
    """The same image goes into other outputs, and may be a view of the message's padded rows."""
    rows = random.integers(0, 256, (4, 8, 3), dtype=np.uint8)
    before, labels = rows.copy(), np.zeros((4, 6), np.uint8)
    view = overlay(rows[:, :6], labels, LABELS, 0.5)
    np.testing.assert_array_equal(rows, before)
    np.testing.assert_array_equal(view, overlay(before[:, :6].copy(), labels, LABELS, 0.5))
