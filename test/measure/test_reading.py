"""What is read off at a pixel, and the factor from measured distances."""

import numpy as np
import pytest

from sosd_ros.camera import Intrinsics
from sosd_ros.measure.reading import Measurable, factor, measured, read

CAMERA = Intrinsics(fx=100, fy=100, cx=20, cy=10, width=41, height=21)


def frame(**changes):
    """All is 2 m away, class 3 with certainty, unsure by 0.2 m."""
    size = CAMERA.height, CAMERA.width
    answers = {
        "depth": np.full(size, 2, np.float32),
        "labels": np.full(size, 3, np.uint8),
        "confidence": np.full(size, 255, np.uint8),
        "uncertainty": np.full(size, 0.2, np.float32),
    }
    return Measurable(rays=CAMERA.rays(), **(answers | changes))


def test_the_middle_is_read_unless_a_pixel_is_named():
    """On the axis, z is the distance."""
    reading = read(frame())
    assert reading.place == (20, 10)
    assert (reading.z, reading.distance, reading.label, reading.confidence) == (2, 2, 3, 1)
    assert reading.uncertainty == pytest.approx(0.2)


def test_along_the_ray_it_is_farther_than_along_the_axis():
    """20 px beside and 10 px above the axis at f = 100: by sqrt(1 + 0.2^2 + 0.1^2)."""
    reading = read(frame(), (40, 0))
    assert reading.z == 2
    assert reading.distance == pytest.approx(2 * np.sqrt(1.05))


def test_rays_of_a_bent_lens_are_those_of_each_pixel():
    rays = np.zeros((21, 41), np.float32), np.zeros((21, 41), np.float32)
    rays[0][7, 30] = 1
    assert read(frame()._replace(rays=rays), (30, 7)).distance == pytest.approx(2 * np.sqrt(2))


def test_of_the_pixels_around_the_median_counts():
    """Of those that have depth: neither one wrong pixel nor a hole is read off."""
    depth = frame().depth
    depth[10, 20], depth[8:10, 18:23] = 7, np.nan
    assert read(frame(depth=depth)).z == 2
    depth[8:13, 18:23] = np.nan
    assert np.isnan(read(frame(depth=depth)).z) and np.isnan(read(frame(depth=depth)).distance)
    depth[8:13, 18:23] = np.inf
    assert np.isposinf(read(frame(depth=depth)).z)


def test_the_class_is_that_of_most_pixels_and_the_confidence_theirs():
    labels, confidence = frame().labels, frame().confidence
    labels[8:10, 18:23], confidence[8:10] = 5, 51
    reading = read(frame(labels=labels, confidence=confidence))
    assert (reading.label, reading.confidence) == (3, 1)
    labels[10, 18:23], confidence[10] = 5, 51
    reading = read(frame(labels=labels, confidence=confidence))
    assert (reading.label, reading.confidence) == (5, pytest.approx(0.2))


def test_what_the_network_does_not_answer_is_not_read():
    reading = read(frame(labels=None, confidence=None, uncertainty=None))
    assert reading.label is None
    assert np.isnan([reading.confidence, reading.uncertainty]).all()


@pytest.mark.parametrize("at", [(41, 0), (0, 21)])
def test_a_pixel_outside_the_image_is_refused_with_the_order_of_its_numbers(at):
    with pytest.raises(ValueError, match="outside the image of 41x21; give the column first, 0 to"):
        read(frame(), at)


def test_several_frames_are_one_distance_if_most_have_one():
    assert measured([2, 3, np.nan, 2.5, np.inf]) == (2.5, 2, 3)
    for distances in ([np.nan, np.inf, 2], [np.nan]):
        with pytest.raises(ValueError, match=f"depth in {len(distances) // 2} of {len(distances)}"):
            measured(distances)


def test_the_factor_is_that_of_most_distances(random):
    """One of three that was read off wrongly does not count."""
    true = random.uniform(0.5, 8, 3)
    found = factor(true, true / [1.24, 3, 1.25])
    assert found.value == pytest.approx(1.25)
    assert found.spread == pytest.approx(1.4826 * np.log(1.25 / 1.24))
    assert (found.least, found.most) == pytest.approx((1.24, 3))


def test_of_two_distances_the_factor_lies_between_and_of_one_it_has_no_spread():
    """Between, in ratios: of 1 and 4 it is 2."""
    assert factor([1, 1], [1, 0.25]).value == pytest.approx(2)
    assert factor([3], [2]) == pytest.approx((1.5, 0, 1.5, 1.5))
