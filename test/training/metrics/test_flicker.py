"""Flicker, in a room of known depth through which a camera moves."""

import numpy as np
import pytest
from room import CAMERA, SIZE, camera_rays, cast

from training.metrics import Flicker, matches

POSES = [np.eye(4), np.eye(4)]
POSES[1][:3, 3] = 0.05, 0.0, 0.1  # metres to the right, and ahead


def truth(pose):
    """The depth (H, W) that a camera sees which looks ahead."""
    points = cast(pose[:3, 3], camera_rays()) - pose[:3, 3]
    return points[:, 2].reshape(SIZE).astype(np.float32)


@pytest.fixture(scope="module")
def depths():
    return [truth(pose) for pose in POSES]


@pytest.fixture(scope="module")
def matched(depths):
    return matches(CAMERA, depths[1], POSES[1], depths[0], POSES[0])


def of(matched, depth, before, labels=None, labels_before=None):
    flicker, none = Flicker(), np.zeros(SIZE, np.uint8)
    pair = (none if labels is None else labels, none if labels_before is None else labels_before)
    flicker.add(matched, depth, before, *pair)
    return flicker.pooled()


def test_the_truth_does_not_flicker(depths, matched):
    """Its own motion is taken out: the wall is 10 cm nearer, and so is the pole."""
    assert matched.there.mean() > 0.9
    assert of(matched, depths[1], depths[0])["depth"] < 3e-3
    assert np.abs(np.log(depths[1] / depths[0])).mean() > 0.01


def test_what_was_hidden_before_is_not_matched(depths, matched):
    """Beside the pole there is wall that the pole hid."""
    row = depths[1][100]
    columns = np.flatnonzero(row < 1.0)
    hidden = slice(columns[-1] + 1, columns[-1] + 4)
    assert not matched.there[100, hidden].all()
    assert matched.there[100, 500:600].all()


def test_depth_flickers_by_its_relative_change(depths, matched):
    """Of a tenth more than before, and of a tenth less, by as much."""
    for factor in (1.1, 1 / 1.1):
        flicker = of(matched, np.float32(factor) * depths[1], depths[0])
        assert flicker["depth"] == pytest.approx(np.log(1.1), abs=3e-3)


def test_labels_flicker_by_the_share_that_changes(depths, matched):
    """All of those in the left half of the image."""
    labels = np.zeros(SIZE, np.uint8)
    labels[:, :320] = 9
    share = matched.there[:, :320].sum() / matched.there.sum()
    assert of(matched, depths[1], depths[0], labels)["labels"] == pytest.approx(share)
    surfaces = [(depth < 1.2).astype(np.uint8) for depth in depths]
    assert of(matched, depths[1], depths[0], surfaces[1], surfaces[0])["labels"] < 0.01


def test_unknown_depth_is_not_matched(depths):
    """Now or before."""
    holes = depths[1].copy()
    holes[:, :100], holes[:, 100:200] = np.nan, 0
    there = matches(CAMERA, holes, POSES[1], depths[0], POSES[0]).there
    assert not there[:, :200].any() and there[:, 200:].any()
    none = np.full(SIZE, np.nan, np.float32)
    assert not matches(CAMERA, depths[1], POSES[1], none, POSES[0]).there.any()
    assert np.isnan(of(matches(CAMERA, none, POSES[1], none, POSES[0]), *depths)["depth"])
