"""Measures of what people see, against numbers worked out by hand and other implementations."""

import math

import cv2
import numpy as np
import pytest
import torch

from training.metrics import (
    Calibration,
    ConfusionMatrix,
    DepthEdges,
    DepthErrors,
    ErrorsByDistance,
    Scale,
    ScaledByPoints,
    Spread,
    Trimap,
)
from training.metrics.measure import Measure
from training.metrics.semantic import near_another_class


def measured(measure, *images):
    """The measure with these images, each a tuple of arrays."""
    for image in images:
        measure.add(*image)
    return measure


def steps(*heights, size=(24, 40), at=20):
    """Depth maps of 2 m that fall off by these heights at column ``at``; twice 2x2 pixels each."""
    maps = []
    for height in heights:
        depth = np.full(size, 2, np.float32)
        depth[:, at:] += height
        maps.append(depth)
    return maps


def test_edges_by_hand():
    """At a step of h metres between halved columns 9 and 10, both have a gradient of 4 h.

    Steps of .2 and .1 m are of .8 and .4 m/px: both are edges of .25 m, one is of .5 m, none of 1.
    """
    answer, truth = steps(0.1, 0.2)
    found = measured(DepthEdges(), (answer, truth)).pooled()
    nan = pytest.approx(math.nan, nan_ok=True)
    assert found["precision"] == [1, nan, nan]
    assert found["recall"] == [1, 0, nan]
    assert found["F1"] == [1, 0, nan]


def test_an_edge_one_column_off_is_half_right():
    """Columns 9 and 10 are answered, 10 and 11 true: of either two one is right."""
    [answer], [truth] = steps(1.0, at=20), steps(1.0, at=22)
    found = measured(DepthEdges(), (answer, truth)).pooled()
    assert found == {"precision": [0.5] * 3, "recall": [0.5] * 3, "F1": [0.5] * 3}


def test_edges_are_a_mean_over_images():
    """However many edges each has; one without any counts for nothing, one that invents an edge has
    no recall.
    """
    flat, low, high = steps(0, 0.1, 2)
    rows = measured(DepthEdges(), (high, high), (flat, flat), (high, flat), (flat, low)).pooled()
    assert rows["precision"][0] == pytest.approx((1 + 0) / 2)
    assert rows["recall"][0] == pytest.approx((1 + 0) / 2)
    assert rows["F1"] == pytest.approx([(1 + 0 + 0) / 3, (1 + 0) / 2, (1 + 0) / 2])


def test_no_edge_lies_beside_what_is_unknown_or_at_the_border():
    """A hole in the truth takes its neighbours with it; the border is none."""
    answer, truth = steps(1, 1)
    truth[8:10] = np.nan  # row 4 of the halved map, and so 3 to 5 do not count
    truth[14, 30] = 0
    whole = measured(DepthEdges(), (answer, truth))
    assert whole.pooled()["F1"] == [1, 1, 1]
    answer[:2] = 9  # row 0 alone has gradients of this: rows 0 and 1
    assert measured(DepthEdges(), (answer, truth)).pooled()["precision"][0] < 1
    answer, truth = steps(1, 1)
    answer[8:10], truth[8:10] = 9, np.nan
    assert measured(DepthEdges(), (answer, truth)).pooled()["precision"] == [1, 1, 1]


def test_edges_against_scipy(random):
    """The same pixels, by another Sobel, with thresholds on the root."""
    ndimage = pytest.importorskip("scipy.ndimage")
    answer, truth = random.uniform(1, 2, (2, 30, 44)).astype(np.float32)
    found = measured(DepthEdges(), (answer, truth)).pooled()
    edges = []
    for depth in (answer, truth):
        halved = depth.reshape(15, 2, 22, 2).mean((1, 3))
        steepness = np.hypot(ndimage.sobel(halved, 0), ndimage.sobel(halved, 1))[1:-1, 1:-1]
        edges.append(steepness)
    for place, limit in enumerate((0.25, 0.5, 1)):
        answered, true = (steepness > limit for steepness in edges)
        right = (answered & true).sum()
        expected = right / answered.sum(), right / true.sum()
        assert (found["precision"][place], found["recall"][place]) == pytest.approx(expected)
        assert found["F1"][place] == pytest.approx(2 / sum(1 / value for value in expected))


def test_the_trimap_against_every_pair_of_pixels(random):
    """Within 5 px, as the crow flies, of a pixel of another class; unlabelled is no class."""
    coarse = random.choice([0, 3, 39, 255], (3, 4)).astype(np.uint8)
    labels = cv2.resize(coarse, (40, 30), interpolation=cv2.INTER_NEAREST)
    rows, columns = np.indices(labels.shape)
    expected = np.zeros(labels.shape, bool)
    for y, x in np.ndindex(labels.shape):
        near = (rows - y) ** 2 + (columns - x) ** 2 <= 25
        seen = set(labels[near].tolist()) - {255}
        expected[y, x] = labels[y, x] != 255 and len(seen) > 1
    assert expected.any() and not expected.all()
    np.testing.assert_array_equal(near_another_class(labels), expected)


def test_the_trimap_sees_the_boundary_alone():
    """All is wrong but for 5 columns on either side of a seam, and one far away does not count."""
    truth = np.zeros((20, 60), np.uint8)
    truth[:, 30:] = 1
    answer = 1 - truth
    answer[:, 25:35] = truth[:, 25:35]
    assert measured(Trimap(2), (answer, truth)).pooled()["mIoU"] == 1
    assert measured(ConfusionMatrix(2), (answer, truth)).pooled()["mIoU"] < 0.2
    truth[:, 29:31] = 255  # a seam without labels
    assert measured(Trimap(2), (answer, truth)).total().tolist() == [[60, 0], [0, 60]]


def test_calibration_by_hand():
    """.95 twice, right once; .5 once, right; one unlabelled: (2 |.95 - .5| + |.5 - 1|) / 3."""
    answer, truth = np.array([[3, 3, 1, 1]], np.uint8), np.array([[3, 4, 1, 255]], np.uint8)
    sure = np.array([[0.95, 0.95, 0.5, 0.1]])
    found = measured(Calibration(), (answer, truth, sure)).pooled()
    assert found["ECE"] == pytest.approx((2 * 0.45 + 0.5) / 3)
    assert found["share"][7] == pytest.approx(1 / 3) and found["accuracy"][7] == 1
    assert (found["confidence"][14], found["accuracy"][14]) == pytest.approx((0.95, 0.5))
    assert measured(Calibration(), (answer, truth, sure * 0 + 1)).pooled()["share"][14] == 1
    assert math.isnan(measured(Calibration(), (answer, truth, sure * np.nan)).pooled()["ECE"])


def test_calibration_against_torchmetrics(random):
    """Over images, with unlabelled pixels."""
    classification = pytest.importorskip("torchmetrics.classification", reason="extra 'test'")
    probabilities = torch.tensor(random.dirichlet(np.full(6, 0.3), (3, 12, 15))).movedim(-1, 1)
    truth = random.integers(0, 6, (3, 12, 15)).astype(np.uint8)
    truth[random.random(truth.shape) < 0.2] = 255
    sure, answer = probabilities.max(1)
    images = zip(answer.numpy().astype(np.uint8), truth, sure.numpy(), strict=True)
    oracle = classification.MulticlassCalibrationError(6, n_bins=15, ignore_index=255)
    theirs = oracle(probabilities, torch.tensor(truth).long()).item()
    assert measured(Calibration(), *images).pooled()["ECE"] == pytest.approx(theirs, abs=1e-6)


def test_errors_by_answered_distance_by_hand():
    """Answers of 1.5 m are 0.5 m too far and 1.5 m too near; unknown truth counts nowhere."""
    answer = np.float32([[1.5, 1.5, 4.2, 7.0]])
    truth = np.float32([[1.0, 3.0, 4.2, np.nan]])
    near, far = measured(ErrorsByDistance("answer"), (answer, truth)).summary()
    assert (near["from"], near["to"], near["share"]) == (1, 2, pytest.approx(2 / 3))
    assert (near["bias"], near["rms"]) == (-0.5, pytest.approx(math.sqrt(1.25)))
    assert (far["from"], far["bias"], far["d1"]) == (4, 0, 1)


def test_scale_by_hand():
    """Answers at half the truth are right but for the scale; one outlier moves no median."""
    truth = np.float32([[1, 2, 3, np.nan]])
    found = measured(Scale(), (truth / 2, truth), (np.float32([[1, 2, 6, 1]]), truth)).pooled()
    assert found["aligned_rel"] == pytest.approx(1 / 6)
    assert found["off_scale"] == 0.5
    assert found["factor"] == pytest.approx(math.sqrt(2 * 1))


def test_points_scale_an_image_that_is_right_but_for_a_factor():
    """And say nothing where the answer is an edge at every pixel, or no depth."""
    truth = np.tile(np.linspace(1, 3, 100, dtype=np.float32), (40, 1))
    truth[:, :5] = np.nan
    found = measured(ScaledByPoints(), (truth / 1.45, truth)).pooled()["rel"]
    np.testing.assert_allclose(found, 0, atol=1e-6)
    for useless in (np.where(np.arange(100) % 2, truth, 3 * truth), np.full_like(truth, -1)):
        expected = np.nanmean(np.abs(useless - truth) / truth)
        found = measured(ScaledByPoints(), (useless, truth)).pooled()["rel"]
        np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(("factor", "off"), [(1.24, 0), (1.26, 1), (1 / 1.24, 0), (1 / 1.26, 1)])
def test_a_factor_is_off_beyond_a_quarter_to_either_side(factor, off):
    truth = np.full((2, 2), 3, np.float32)
    assert measured(Scale(), (truth / factor, truth)).pooled()["off_scale"] == off


def test_the_spread_of_true_laplace_noise_covers_what_it_says(random):
    """And a spread twice or half as wide covers as much more or less."""
    answer = random.uniform(1, 5, (300, 300))
    scale = random.uniform(0.05, 0.3, answer.shape)
    truth = answer * np.exp(random.laplace(0, scale))
    for wider in (0.5, 1, 2):
        found = measured(Spread(), (answer, truth, wider * scale)).pooled()["coverage"]
        expected = [1 - (1 - share) ** wider for share in (0.5, 0.8, 0.95)]
        assert found == pytest.approx(expected, abs=0.01)


def test_no_order_is_better_than_that_of_the_errors(random):
    """Which has no area; another has some, and the opposite one the most."""
    answer = random.uniform(1, 5, (40, 40))
    truth = random.uniform(1, 5, (40, 40))
    errors = np.abs(answer - truth)
    right, none, wrong = (
        measured(Spread(), (answer, truth, spread)).pooled()
        for spread in (errors / truth, np.ones_like(truth), 9 - errors / truth)
    )
    assert right["AUSE_rel"] == 0
    assert 0 < none["AUSE_rel"] < wrong["AUSE_rel"]
    metres = measured(Spread(), (answer, truth, errors / answer)).pooled()
    assert metres["AUSE_rms"] == pytest.approx(0, abs=1e-12) and none["AUSE_rms"] > 0


def test_the_area_by_hand():
    """Of 50 pixels one errs by half, and is left out last or first: while 49 of 50 steps leave it
    in, the mean of the rest is .5 / left, and zero without it.
    """
    truth = np.full((5, 10), 2.0)
    answer = truth.copy()
    answer[0, 0] = 3
    spread = np.ones_like(truth)
    spread[0, 0] = 0.5
    found = measured(Spread(), (answer, truth, spread)).pooled()
    left = np.arange(49, 0, -1)
    assert found["AUSE_rel"] == pytest.approx(np.sum(0.5 / left) / 50)
    assert found["AUSE_rms"] == pytest.approx(np.sum(np.sqrt(1 / left)) / 50)


def some_images(random, count=9):
    """Depth, its truth with holes, a spread, labels, their truth, and a confidence."""
    depth, truth, spread = random.uniform(0.5, 9, (3, count, 20, 26)).astype(np.float32)
    labels, classes = random.integers(0, 5, (2, count, 20, 26)).astype(np.uint8)
    truth[random.random(truth.shape) < 0.02] = np.nan
    classes[random.random(classes.shape) < 0.2] = 255
    truth[1], classes[2] = np.nan, 255
    return depth, truth, spread, labels, classes, random.random(labels.shape)


MEASURES = {
    "confusion": (lambda: ConfusionMatrix(5), (3, 4)),
    "trimap": (lambda: Trimap(5), (3, 4)),
    "calibration": (Calibration, (3, 4, 5)),
    "depth": (DepthErrors, (0, 1)),
    "disparity": (lambda: DepthErrors("disparity"), (0, 1)),
    "by distance": (ErrorsByDistance, (0, 1)),
    "by answer": (lambda: ErrorsByDistance("answer"), (0, 1)),
    "scale": (Scale, (0, 1)),
    "points": (ScaledByPoints, (0, 1)),
    "edges": (DepthEdges, (0, 1)),
    "spread": (Spread, (0, 1, 2)),
}


@pytest.mark.parametrize("name", MEASURES)
def test_a_set_in_parts_is_the_set(random, name):
    """Bit for bit, however it is dealt out; an image's metrics are those of it alone."""
    make, columns = MEASURES[name]
    arrays = some_images(random)
    images = list(zip(*(arrays[column] for column in columns), strict=True))
    whole = measured(make(), *images)
    assert len(whole.rows) == 9
    for _ in range(3):
        dealt = np.array_split(random.permutation(9), 4)
        parts = [measured(make(), *(images[index] for index in part)) for part in dealt]
        together = sum(parts, make())
        assert repr(together.pooled()) == repr(whole.pooled())
        if isinstance(whole, DepthErrors):
            assert together.per_image() == whole.per_image()
    own = whole.metrics(whole.stacked())
    alone = measured(make(), images[4]).pooled()
    for metric, values in own.items():
        np.testing.assert_array_equal(values[4], alone[metric], err_msg=metric)


@pytest.mark.parametrize("name", MEASURES)
def test_drawn_images_are_measured_as_if_they_came_again(random, name):
    """Two of the third and none of the fourth are what they say."""
    make, columns = MEASURES[name]
    arrays = some_images(random)
    images = list(zip(*(arrays[column] for column in columns), strict=True))
    drawn = np.array([[1.0] * 9, [0, 1, 1, 3, 0, 0, 2, 1, 1]])
    again = [images[index] for index in np.repeat(np.arange(9), drawn[1].astype(int))]
    resampled = measured(make(), *images).resampled(drawn)
    for place, measure in enumerate((measured(make(), *images), measured(make(), *again))):
        for metric, value in measure.pooled().items():
            np.testing.assert_allclose(resampled[metric][place], value, err_msg=metric)


@pytest.mark.parametrize("name", MEASURES)
def test_of_nothing_nothing_is_known(name):
    """Every metric is there, and NaN."""
    measure: Measure = MEASURES[name][0]()
    assert measure.pooled()
    assert all(np.isnan(value).all() for value in measure.pooled().values())
    if isinstance(measure, DepthErrors):
        assert np.isnan(list(measure.per_image().values())).all()
