"""Answers that are drawn towards those of the image before, and when they are not."""

import cv2
import numpy as np
import pytest

from sosd_ros.labels import UNLABELLED
from sosd_ros.steady import Steady

SIZE = (120, 160)


def texture(seed, size=SIZE):
    """(H, W, 3) uint8 of smooth spots, which a flow can follow."""
    noise = np.random.default_rng(seed).normal(size=size)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    grey = np.clip(128 + 60 * smooth / max(smooth.std(), 1e-9), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def noisy(image, random, deviation=3):
    return np.clip(image + random.normal(0, deviation, image.shape), 0, 255).astype(np.uint8)


def plain(depth=2.0, label=3, sure=200, size=SIZE):
    """Depth, labels and confidence of one surface."""
    values = ((depth, np.float32), (label, np.uint8), (sure, np.uint8))
    return tuple(np.full(size, value, dtype) for value, dtype in values)


def changes(answers):
    """How much depth changes from image to image, and the share of labels that do."""
    depth, labels = (np.stack([answer[place] for answer in answers]) for place in (0, 1))
    return np.abs(np.diff(np.log(depth), axis=0)).mean(), (np.diff(labels, axis=0) != 0).mean()


def test_a_still_camera_flickers_less_than_half_as_much():
    """With noise in images, depth and labels; and depth is no worse on average."""
    random, image, steady = np.random.default_rng(1), texture(0), Steady()
    given, made = [], []
    for number in range(20):
        off = cv2.resize(random.normal(0, 0.03, (8, 10)), SIZE[::-1], interpolation=cv2.INTER_CUBIC)
        depth = (2 * np.exp(off + random.normal(0, 0.01))).astype(np.float32)
        other = cv2.resize(random.random((15, 20)), SIZE[::-1], interpolation=cv2.INTER_NEAREST)
        labels = np.where(other < 0.2, 7, 3).astype(np.uint8)
        given.append((depth, labels, np.where(other < 0.2, 100, 140).astype(np.uint8)))
        made.append(steady(noisy(image, random), number / 30, *given[-1]))
    before, after = changes(given), changes(made)
    assert after[0] < before[0] / 2 and after[1] < before[1] / 2
    errors = [np.abs(np.stack([answer[0] for answer in of]) - 2).mean() for of in (given, made)]
    assert errors[1] < errors[0]


def test_a_moving_edge_neither_lags_nor_leaves_a_ghost():
    """A box passes a wall, six pixels an image: all but its very edge is the truth."""
    wall, box, steady = texture(2), texture(3, (50, 40)), Steady()
    for number in range(12):
        image, (depth, labels, confidence) = wall.copy(), plain(4.0)
        left = 20 + 6 * number
        there = slice(40, 90), slice(left, left + 40)
        image[there], depth[there], labels[there] = box, 1.5, 8
        steady_depth, steady_labels, _ = steady(image, number / 30, depth, labels, confidence)
        near_edge = cv2.dilate(cv2.Canny(labels * 20, 10, 20), np.ones((5, 5))) > 0
        off = np.abs(steady_depth / depth - 1)  # of a jump by more than half
        assert off.max() < 0.06 and (off > 1e-3).mean() < 0.005
        np.testing.assert_array_equal(steady_labels[~near_edge], labels[~near_edge])


def test_what_moves_is_steadied_where_it_has_moved():
    """The camera turns: noise in depth is halved all the same, though the scene is no plane."""
    random, wide, steady = np.random.default_rng(4), texture(5, (120, 300)), Steady()
    shape = np.linspace(1, 6, 300, dtype=np.float32) * np.ones((120, 1), np.float32)
    errors = []
    for number in range(15):
        view = slice(5 * number, 5 * number + 160)
        truth = shape[:, view]
        depth = (truth * np.exp(random.normal(0, 0.03))).astype(np.float32)
        made = steady(wide[:, view].copy(), number / 30, depth, None, None)[0]
        errors.append([np.abs(np.log(of / truth))[:, :140].mean() for of in (depth, made)])
    before, after = np.std(np.array(errors)[3:], axis=0) + np.mean(errors[3:], axis=0)
    assert after < 0.75 * before


def test_depth_does_not_lag_behind_a_camera_that_drives_ahead():
    """Towards a wall, which is 3 % nearer in each image: it is not seen three images late."""
    wall, steady = texture(14, (480, 640)), Steady()
    for number in range(12):
        nearer = 0.97**number
        seen = cv2.getRectSubPix(wall, (round(480 * nearer), round(360 * nearer)), (320, 240))
        image = cv2.resize(seen, SIZE[::-1], interpolation=cv2.INTER_AREA)
        depth = plain(4 * nearer)[0]
        made = steady(image, number / 10, depth, None, None)[0]
    assert 0.98 < np.median(made / depth) < 1.02


@pytest.mark.parametrize(
    ("image", "seconds"),
    [(texture(7), 0.1), (texture(6), 1.5), (texture(6), -0.1), (texture(6), 0.0)],
    ids=["a cut", "a gap", "a clock that goes back", "a clock that stands still"],
)
def test_after_a_cut_and_a_gap_answers_are_as_they_come(image, seconds):
    """Nothing is left of the image before; the next one is steadied again."""
    steady, second, third = Steady(), plain(2.1, 4, 120), plain(2.0, 3, 100)
    steady(texture(6), 0.0, *plain())
    for made, given in zip(steady(image, seconds, *second), second, strict=True):
        np.testing.assert_array_equal(made, given)
    depth, labels, _ = steady(image, seconds + 0.1, *third)
    assert np.median(depth) > 2.03 and np.median(labels) == 4


def test_images_of_another_size_are_a_cut():
    steady, given = Steady(), plain(2.1, size=(100, 130))
    steady(texture(6), 0.0, *plain())
    for made, answer in zip(steady(texture(6, (100, 130)), 0.1, *given), given, strict=True):
        np.testing.assert_array_equal(made, answer)


def test_what_is_no_number_stays_and_does_not_spread():
    """NaN and inf are those of this image; a number never becomes one of them."""
    image, steady = texture(8), Steady()
    for number, left in enumerate((10, 30, 50)):
        depth, labels, confidence = plain(2 + 0.05 * number)
        depth[20:40, left : left + 30], depth[60:90, left : left + 30] = np.nan, np.inf
        labels[100:, left:] = UNLABELLED
        made = steady(image, number / 30, depth, labels, confidence)
        np.testing.assert_array_equal(np.isnan(made[0]), np.isnan(depth))
        np.testing.assert_array_equal(np.isposinf(made[0]), np.isposinf(depth))
        np.testing.assert_array_equal(made[1] == UNLABELLED, labels == UNLABELLED)


def test_depth_stays_within_the_range():
    """Beside an edge as well, where what is near is drawn farther."""
    image, steady, limits = texture(9), Steady(), (0.5, 3.0)
    for number in range(6):
        depth = plain(2.95 - 0.2 * (number % 2))[0]
        depth[:, 80:], depth[:, 120:] = 3.0, 0.5
        made = steady(image, number / 30, depth, None, None, limits)[0]
        assert made.min() >= 0.5 and made.max() <= 3.0


def test_a_class_that_is_gone_is_gone_after_three_images():
    """One contrary image does not change it, and two that take turns never do."""
    image, steady = texture(10), Steady()

    def label(number, label):
        return int(np.median(steady(image, number / 30, None, *plain(label=label)[1:])[1]))

    assert [label(*pair) for pair in enumerate([3, 3, 8, 3, 8, 3, 8, 3, 8])] == [3] * 9
    assert [label(number, 8) for number in (9, 10, 11)][-1] == 8


def test_each_answer_remembers_its_own_image():
    """Depth for every image, labels for every other one: both are steadied."""
    image, steady = texture(11), Steady()
    for number in range(4):
        depth, labels, confidence = plain(2 + 0.1 * (number % 2), 3 + number // 2)
        asked = (labels, confidence) if number % 2 == 0 else (None, None)
        made = steady(image, number / 30, depth, *asked)
        assert (made[1] is None) == (number % 2 == 1)
        if number == 2:
            assert np.median(made[1]) == 3
        assert number == 0 or abs(np.median(made[0]) - 2.05) < 0.045


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (20, 640), (10, 2000), (361, 541)])
def test_images_of_any_size(size):
    """Small and narrow ones too."""
    steady, image = Steady(), texture(12, size)
    steady(image, 0.0, *plain(size=size))
    depth, labels, confidence = steady(image, 0.1, *plain(2.1, size=size))
    assert depth.shape == labels.shape == confidence.shape == size
    assert 2 < np.median(depth) < 2.1


def test_two_cameras_do_not_know_of_each_other():
    """Each has its own memory."""
    one, other, image, given = Steady(), Steady(), texture(13), plain(2.1)
    one(image, 0.0, *plain())
    assert np.array_equal(other(image, 0.1, *given)[0], given[0])
    assert not np.array_equal(one(image, 0.1, *given)[0], given[0])
