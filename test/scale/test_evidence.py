"""What points of one frame say about scale."""

import numpy as np

from sosd_ros.scale import evidence_of_points

DEPTH = np.full((20, 30), 2, np.float32)


def test_ratios_of_what_was_measured_to_what_was_answered():
    evidence = evidence_of_points(np.array([3.0, 1.0]), np.array([[5.4, 6], [29, 19]]), DEPTH)
    np.testing.assert_allclose(np.exp(evidence.log_ratios), [1.5, 0.5])
    assert evidence.weights.tolist() == [1, 1]


def test_what_was_not_measured_says_nothing():
    measured = np.array([np.nan, np.inf, 0, -1, 2, 2, 2])
    pixels = np.array([[5, 5]] * 4 + [[np.nan, 5], [30, 5], [5, -0.6]])
    assert evidence_of_points(measured, pixels, DEPTH).weights.size == 0


def test_a_point_within_a_pixel_of_what_is_invalid_or_of_an_edge_says_nothing():
    depth = DEPTH.copy()
    depth[5, 5], depth[5, 15], depth[:, 20:] = np.nan, np.inf, 4
    columns = np.arange(30)
    pixels = np.stack([columns, np.full(30, 6)], axis=1).astype(float)
    evidence = evidence_of_points(columns + 1.0, pixels, depth)
    said_nothing = set(columns) - set(np.round(evidence.measured - 1).astype(int))
    assert said_nothing == {4, 5, 6, 14, 15, 16, 19, 20}


def test_what_the_network_is_surer_of_weighs_more():
    """By the inverse of the relative uncertainty, but nothing is certain, and NaN is unknown."""
    uncertainty = np.tile(np.float32([0.2, 0.4, 0.0, np.nan]), (20, 8))[:, :30]
    pixels = np.stack([[0, 1, 2, 3], [9, 9, 9, 9]], axis=1).astype(float)
    evidence = evidence_of_points(np.ones(4), pixels, DEPTH, uncertainty)
    np.testing.assert_allclose(evidence.weights, [10, 5, 50])


def test_of_very_many_points_some_are_looked_at(random):
    pixels = random.uniform((0, 0), (29, 19), (10000, 2))
    assert evidence_of_points(np.ones(10000), pixels, DEPTH).weights.size == 2048
