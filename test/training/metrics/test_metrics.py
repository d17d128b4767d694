"""Metrics against numbers worked out by hand, and torchmetrics."""

import math

import numpy as np
import pytest
import torch

from training.metrics import ConfusionMatrix, DepthErrors, ErrorsByDistance


def random_labels(random, classes=7):
    """Predicted and true labels: a fifth is unlabelled, the last class occurs in neither."""
    predicted, truth = random.integers(0, classes - 1, (2, 3, 12, 15)).astype(np.uint8)
    truth[random.random(truth.shape) < 0.2] = 255
    return predicted, truth


def random_depth(random, images=3):
    """Predicted and true metres: predictions down to -1, a fifth of the truth unknown, one image
    without any."""
    predicted = random.uniform(-1, 10, (images, 9, 13)).astype(np.float32)
    truth = random.uniform(0.5, 10, (images, 9, 13)).astype(np.float32)
    truth[random.random(truth.shape) < 0.2] = np.nan
    truth[1] = np.nan
    truth[0, 0, 0] = 0
    return predicted, truth


def confusion_of(predicted, truth, classes):
    matrix = ConfusionMatrix(classes)
    matrix.add(predicted, truth)
    return matrix


def errors_of(predicted, truth, kind="metres"):
    errors = DepthErrors(kind)
    for p, t in zip(predicted, truth, strict=True):
        errors.add(p, t)
    return errors


def test_confusion_matrix_by_hand():
    """Truth 0 0 1 1 2 -, predicted 0 1 1 1 1 0: three right of five; class 3 is absent.

    IoU: class 0 is 1/2, class 1 is 2/4, class 2 is 0/1. Accuracy: 1/2, 2/2, 0/1.
    """
    truth = np.array([[0, 0, 1, 1, 2, 255]], np.uint8)
    matrix = confusion_of(np.array([[0, 1, 1, 1, 1, 0]], np.uint8), truth, 4)
    assert matrix.total().sum() == 5
    assert matrix.summary() == pytest.approx({"mIoU": 1 / 3, "mAcc": 0.5, "pAcc": 0.6})
    assert math.isnan(matrix.pooled()["iou"][3])


def test_a_class_that_is_only_predicted_counts_as_wrong():
    """Absent from truth but predicted: IoU 0 and part of the mean; it has no accuracy."""
    matrix = confusion_of(np.array([0, 1], np.uint8), np.array([0, 0], np.uint8), 2)
    assert matrix.summary() == pytest.approx({"mIoU": 0.25, "mAcc": 0.5, "pAcc": 0.5})


def test_segmentation_against_torchmetrics(random):
    """The same mIoU and accuracies as torchmetrics, with unlabelled pixels."""
    segmentation = pytest.importorskip("torchmetrics.classification", reason="extra 'test'")
    predicted, truth = random_labels(random)
    ours = confusion_of(predicted, truth, 7).summary()

    def theirs(metric, **options):
        oracle = metric(task="multiclass", num_classes=7, ignore_index=255, **options)
        return oracle(torch.tensor(predicted).long(), torch.tensor(truth).long()).item()

    assert ours["mIoU"] == pytest.approx(theirs(segmentation.JaccardIndex, average="macro"))
    assert ours["mAcc"] == pytest.approx(theirs(segmentation.Accuracy, average="macro"))
    assert ours["pAcc"] == pytest.approx(theirs(segmentation.Accuracy, average="micro"))


def test_depth_errors_by_hand():
    """Predicted 1.5, 3, 1 and 1.9 where 1, 3, 2 and 1 are true, and one unknown pixel.

    The errors are 0.5, 0, 1 and 0.9, the ratios 1.5, 1, 2 and 1.9: of the thresholds 1.25, 1.56
    and 1.95 each has one more below it.
    """
    errors = errors_of(np.array([[1.5, 3, 1, 1.9, 7]]), np.array([[1.0, 3, 2, 1, np.nan]]))
    expected = {
        "rel": (0.5 + 0 + 1 / 2 + 0.9) / 4,
        "rms": math.sqrt((0.25 + 0 + 1 + 0.81) / 4),
        "log10": math.log10(1.5 * 2 * 1.9) / 4,
        "d1": 1 / 4,
        "d2": 2 / 4,
        "d3": 3 / 4,
    }
    assert errors.pooled() == pytest.approx(expected)
    assert errors.per_image() == pytest.approx(expected)


def test_pooled_and_per_image_differ_as_they_should():
    """One pixel off by 1 at 1 m, and three right ones in another image: rel 1/4 or 1/2.

    A third image has no truth, and counts in neither.
    """
    predicted, truth = ([2.0], [4.0] * 3, [1.0]), ([1.0], [4.0] * 3, [np.nan])
    errors = errors_of(map(np.array, predicted), map(np.array, truth))
    assert errors.pooled()["rel"] == 0.25
    assert errors.per_image()["rel"] == 0.5
    assert errors.pooled()["rms"] == 0.5
    assert errors.per_image()["rms"] == 0.5


def test_depth_against_torchmetrics(random):
    """The same relative, squared, logarithmic and absolute errors over the valid pixels."""
    functional = pytest.importorskip("torchmetrics.functional", reason="extra 'test'")
    predicted, truth = random_depth(random)
    valid = truth > 0
    p = torch.tensor(predicted[valid]).double()
    t = torch.tensor(truth[valid]).double()
    metres = errors_of(predicted, truth).pooled()
    near = p.clamp(min=1e-3)
    assert metres["rel"] == pytest.approx(functional.mean_absolute_percentage_error(near, t).item())
    assert metres["rms"] == pytest.approx(
        functional.mean_squared_error(near, t, squared=False).item()
    )
    assert metres["log10"] == pytest.approx(
        functional.mean_absolute_error(near.log10(), t.log10()).item()
    )
    truth[truth == 0] = np.nan
    disparity = errors_of(predicted, truth, "disparity").pooled()
    assert disparity["px"] == pytest.approx(functional.mean_absolute_error(p, t).item())


def test_disparity_by_hand():
    """Off by 1 and 3 px in one image, by 2 in another, whose other pixel is unknown.

    A true disparity of zero is a point at infinity and counts; a negative answer is as wrong as
    it is far off.
    """
    errors = errors_of(
        [np.array([5.0, -3.0]), np.array([2.0, 9.0])],
        [np.array([4.0, 0.0]), np.array([4.0, np.nan])],
        "disparity",
    )
    assert errors.pooled() == {"px": 2.0}
    assert errors.per_image() == {"px": 2.0}
    assert [row[0] for row in errors.rows] == [2, 1]


def test_a_negative_depth_is_punished_and_finite():
    """It counts as a millimetre."""
    errors = errors_of(np.array([[-1.0]]), np.array([[1.0]]))
    assert errors.pooled()["log10"] == pytest.approx(3)
    assert errors.pooled()["d3"] == 0


def test_an_answer_that_is_no_number_is_not_hidden():
    """NaN where the truth is known makes the errors NaN, not smaller."""
    errors = errors_of(np.array([[np.nan, 1.0]]), np.array([[1.0, 1.0]]))
    assert math.isnan(errors.pooled()["rel"]) and errors.pooled()["d1"] == 0.5


def test_errors_by_distance_by_hand():
    """Truth on an edge belongs to what lies beyond it; unknown truth to nothing."""
    truth = np.float32([[0.5, 1.0, 1.5, 9.0, np.nan, 0.0]])
    predicted = np.float32([[0.6, 1.5, 1.5, 6.0, 1.0, 1.0]])
    errors = ErrorsByDistance()
    errors.add(predicted[:, :2], truth[:, :2])
    other = ErrorsByDistance()
    other.add(predicted[:, 2:], truth[:, 2:])
    near, middle, far = (errors + other).summary()
    assert (near["from"], near["to"], near["share"]) == (0, 1, 0.25)
    assert (near["rel"], near["bias"], near["d1"]) == pytest.approx((0.2, 0.1, 1), abs=1e-6)
    assert (middle["from"], middle["to"], middle["share"]) == (1, 2, 0.5)
    assert (middle["rel"], middle["rms"]) == pytest.approx((0.25, math.sqrt(0.125)))
    assert (middle["bias"], middle["d1"]) == (0.25, 0.5)
    assert (far["from"], far["to"], far["bias"], far["d1"]) == (8, math.inf, -3, 0)
    assert ErrorsByDistance().summary() == []
