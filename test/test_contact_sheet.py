"""The contact sheet: what is where, by colour."""

import numpy as np

from sosd_ros.contact_sheet import contact_sheet
from sosd_ros.labels import NYU40


def answer(depth=2.0, label=0):
    return (
        np.full((48, 64, 3), 90, np.uint8),
        np.full((48, 64), depth, np.float32),
        np.full((48, 64), label, np.uint8),
    )


def test_every_picture_is_on_the_sheet_with_its_label():
    """Seven pictures of seven classes: each class's colour covers most of a tile."""
    sheet = contact_sheet([answer(label=i) for i in range(7)], NYU40)
    for colour in NYU40.palette[:7]:
        assert (sheet == colour).all(axis=-1).sum() > 0.9 * 320 * 240
    assert not (sheet == NYU40.palette[8]).all(axis=-1).any()


def test_pictures_of_any_shape_share_a_sheet():
    """A tall one beside a wide one."""
    tall = tuple(np.rot90(part) for part in answer(label=1))
    sheet = contact_sheet([answer(label=0), tall], NYU40)
    for colour in NYU40.palette[:2]:
        assert (sheet == colour).all(axis=-1).sum() > 0.9 * 320 * 240


def test_one_picture_without_any_depth_can_be_drawn():
    """Nothing finite to scale the colours by."""
    assert contact_sheet([answer(depth=np.nan)], NYU40).shape[2] == 3
