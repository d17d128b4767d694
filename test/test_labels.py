"""Label sets."""

import dataclasses

import numpy as np
import pytest

from sosd_ros.labels import CAMVID11, CITYSCAPES19, NYU13, NYU40, LabelSet, distinct_colours


def test_nyu40_has_forty_distinct_classes():
    """In the data set's order, from wall to other prop."""
    assert len(set(NYU40.names)) == len(set(NYU40.palette)) == 40
    assert NYU40.names[0] == "wall" and NYU40.names[-1] == "other prop"


def test_nyu13_has_thirteen_distinct_classes():
    """In alphabetical order, as the data set numbers them."""
    assert len(set(NYU13.names)) == len(set(NYU13.palette)) == 13
    assert list(NYU13.names) == sorted(NYU13.names)


def test_cityscapes_has_its_official_colours():
    """Of the 19 evaluated classes, road is the first and bicycle the last."""
    assert len(set(CITYSCAPES19.names)) == len(set(CITYSCAPES19.palette)) == 19
    colours = dict(zip(CITYSCAPES19.names, CITYSCAPES19.palette, strict=True))
    assert colours["road"] == (128, 64, 128) and colours["car"] == (0, 0, 142)
    assert CITYSCAPES19.names[0] == "road" and CITYSCAPES19.names[-1] == "bicycle"


def test_colours_paint_labels_and_leave_the_unlabelled_black():
    """Pixel by pixel."""
    labels = np.array([[0, 39, 255]], np.uint8)
    painted = NYU40.colours(labels)
    np.testing.assert_array_equal(painted[0], [NYU40.palette[0], NYU40.palette[39], (0, 0, 0)])


def test_a_label_set_survives_a_dictionary():
    """As it travels through JSON."""
    assert LabelSet.from_dict(dataclasses.asdict(NYU40)) == NYU40


@pytest.mark.parametrize(
    ("labels", "traversable", "neither"),
    [
        (NYU40, {"floor", "floor mat"}, {"ceiling", "lamp"}),
        (NYU13, {"floor"}, {"ceiling"}),
        (
            CITYSCAPES19,
            {"road", "sidewalk"},
            {"terrain", "sky", "traffic light", "traffic sign"},
        ),
        (CAMVID11, {"road", "pavement"}, {"sky", "sign"}),
    ],
    ids=["NYU40", "NYU13", "CITYSCAPES19", "CAMVID11"],
)
def test_a_robot_drives_on_floors_and_hits_all_but_what_hangs_above(labels, traversable, neither):
    """No class is in both groups."""
    assert set(labels.traversable) == traversable
    assert set(labels.obstacle) == set(labels.names) - traversable - neither


def test_label_sets_from_before_the_groups_have_those_of_the_same_names():
    """Other classes have none."""
    old = {"names": NYU40.names, "palette": NYU40.palette}
    assert LabelSet.from_dict(old) == NYU40
    other = LabelSet.from_dict({"names": ["cat"], "palette": [[1, 2, 3]]})
    assert other.traversable == other.obstacle == ()


@pytest.mark.parametrize(
    ("groups", "sentence"),
    [
        ({"traversable": ("moon",)}, "the groups name 'moon', which is no class"),
        ({"traversable": ("a",), "obstacle": ("a",)}, "class 'a' is in the groups twice"),
    ],
)
def test_senseless_groups_are_refused(groups, sentence):
    """In a sentence."""
    with pytest.raises(ValueError, match=sentence):
        LabelSet(("a", "b"), ((0, 0, 0),) * 2, **groups)


@pytest.mark.parametrize(
    ("names", "palette", "sentence"),
    [
        ((), (), "0 classes, expected 1 to 255"),
        (("a", "b"), ((0, 0, 0),), "2 class names but 1 colours"),
        (("a",), ((0, 0, 256),), "red, green and blue in 0..255"),
    ],
)
def test_a_senseless_label_set_is_refused(names, palette, sentence):
    """In a sentence."""
    with pytest.raises(ValueError, match=sentence):
        LabelSet(names, palette)


@pytest.mark.parametrize("count", [2, 19, 40, 100])
def test_neighbours_in_a_palette_differ_clearly(count):
    """By at least a quarter of the range in some channel."""
    colours = np.array(distinct_colours(count), int)
    assert np.abs(np.diff(colours, axis=0)).max(axis=1).min() >= 64
