"""The measuring, with networks whose answers are known."""

import dataclasses
import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from support import SMALL
from torch import nn

from sosd_ros.labels import LabelSet
from sosd_ros.network import TASKS, Output
from sosd_ros.weights import DepthKind
from training import distributed
from training.config import Data
from training.data import nyuv2
from training.data.sample import Sample
from training.measuring.protocol import Protocol
from training.measuring.result import measure, measures_of
from training.measuring.setting import Setting
from training.metrics import ConfusionMatrix, DepthErrors, Spread
from training.networks.imagenet import Normalisation
from training.networks.predictor import Predictor
from training.networks.trained import Model

SIZE = (32, 64)
NYU = nyuv2.data_set()
STEREO = dataclasses.replace(NYU, depth=DepthKind("disparity", 2262.5, 0.21))
# Leaves pixels as they are, in 0..1.
PLAIN = Normalisation((0.0,) * 3, (1.0,) * 3)


class Fake(nn.Module):
    """Answers what ``depth`` and ``labels`` make of its input, (N, 3, H, W) in 0..1.

    Both give (N, H, W). Labels become scores that leave no doubt.
    """

    def __init__(self, depth=None, labels=None, classes=40):
        super().__init__()
        self.depth, self.labels, self.classes = depth, labels, classes
        self.tasks = tuple(
            task for task, answer in zip(TASKS, (depth, labels), strict=True) if answer
        )

    def forward(self, images, tasks=TASKS, size=None):
        assert not self.training
        depth = logits = None
        if self.depth:
            depth = self._resized(self.depth(images), size)
        if self.labels:
            labels = self._resized(self.labels(images), size)
            logits = 50 * nn.functional.one_hot(labels.long(), self.classes).movedim(-1, 1).float()
        return Output(depth, logits, (images, images))

    @staticmethod
    def _resized(answer, size):
        return nn.functional.interpolate(answer[:, None].float(), size, mode="nearest-exact")[:, 0]


class Set(list):
    """Samples in memory."""

    @property
    def names(self):
        return [str(number) for number in range(len(self))]


def red(images):
    """The red of each pixel in 0..255."""
    return (images[:, 0] * 255).round()


def green(images):
    return (images[:, 1] * 255).round()


def some_samples(random, count=5, size=SIZE, classes=40):
    """Pictures with classes in their green, and truth with holes that is unlike the picture."""
    samples = Set()
    for _ in range(count):
        image = random.integers(0, classes - 1, (*size, 3)).astype(np.uint8)
        depth = random.uniform(0.5, 10, size).astype(np.float32)
        labels = random.integers(0, classes, size).astype(np.uint8)
        depth[random.random(size) < 0.2] = np.nan
        labels[random.random(size) < 0.2] = 255
        samples.append(Sample(image, depth, labels))
    return samples


def constant(size, image=0, depth=2.0, label=0):
    """A picture of one colour, depth and class."""
    return Sample(
        np.full((*size, 3), image, np.uint8),
        np.full(size, depth, np.float32),
        np.full(size, label, np.uint8),
    )


def measured(network, samples, data_set=NYU, trained_size=SIZE, **options):
    """A result of ``measure``; keywords that are a protocol's make one."""
    names = {field.name for field in dataclasses.fields(Protocol)}
    protocol = Protocol(**{name: v for name, v in options.items() if name in names})
    rest = {name: v for name, v in options.items() if name not in names}
    predictor = Predictor(network, data_set, trained_size, PLAIN)
    return measure(predictor, samples, data_set, workers=0, protocol=protocol, **rest)


def mirrored(samples):
    return Set(Sample(*(part[:, ::-1].copy() for part in sample)) for sample in samples)


@pytest.mark.parametrize(("data_set", "unit"), [(NYU, "rel"), (STEREO, "px")])
def test_every_pixel_of_the_set_is_measured_once(random, data_set, unit):
    """The numbers are those of the metrics, given each image and the answer to it."""
    samples = some_samples(random)
    result = measured(Fake(lambda x: red(x) - 2, green), samples, data_set, batch_size=2)
    confusion, errors = ConfusionMatrix(40), DepthErrors(data_set.depth.kind)
    for image, depth, labels in samples:
        confusion.add(image[..., 1], labels)
        errors.add(image[..., 0].astype(np.float32) - 2, depth)
    assert result.semantic == confusion.summary()
    assert result.depth == errors.pooled() and unit in result.depth
    assert result.depth_per_image == errors.per_image()
    np.testing.assert_array_equal(result.confusion, confusion.total())
    np.testing.assert_array_equal(result.iou, confusion.pooled()["iou"])
    assert result.pooled() == {**result.semantic, **result.depth}


def test_in_detail_every_measure_gets_each_image(random):
    """As if it had been given image and answer; in order, whatever the batches. Without details
    there are the paper's numbers alone.
    """
    samples = some_samples(random, count=3)
    network = Fake(lambda x: red(x) + 1, green)
    result = measured(network, samples, batch_size=2, details=True)
    expected = measures_of(network.tasks, NYU, details=True)
    del expected["spread"]  # which this network does not answer
    for image, depth, labels in samples:
        for name in ("semantic", "trimap"):
            expected[name].add(image[..., 1], labels)
        expected["calibration"].add(image[..., 1], labels, np.ones(labels.shape))
        for name in ("depth", "by_distance", "by_answer", "scale", "points", "edges"):
            expected[name].add(image[..., 0].astype(np.float32) + 1, depth)
    assert list(result.measures) == list(expected) and result.names == ("0", "1", "2")
    for name, expectation in expected.items():
        np.testing.assert_allclose(result.measures[name].stacked(), expectation.stacked())
    plain = measured(network, samples)
    assert list(plain.measures) == ["semantic", "depth"] and plain.pooled() == result.pooled()
    stereo = measured(network, samples, STEREO, details=True)
    assert list(stereo.measures) == ["semantic", "trimap", "calibration", "depth"]


class Unsure(Fake):
    """Is as unsure of depth everywhere as its green channel says."""

    def forward(self, images, tasks=TASKS, size=None):
        answer = super().forward(images, tasks, size)
        return answer._replace(spread=self._resized(green(images) / 255, size))


def test_a_spread_is_measured_where_there_is_one(random):
    """The mean over views, of which each is unsure by itself."""
    samples = some_samples(random, count=2)
    result = measured(Unsure(lambda x: red(x) + 1), samples, details=True)
    expected = Spread()
    for image, depth, _ in samples:
        answer = image[..., 0].astype(np.float32) + 1
        expected.add(answer, depth, image[..., 1].astype(np.float32) / 255)
    np.testing.assert_allclose(result.measures["spread"].stacked(), expected.stacked())


def test_confidence_is_the_probability_of_the_answer():
    """That of scores 0, 1 and -99 is .731; with the mirror image class 2 has half of .018 and .98,
    as the mean of probabilities is.
    """
    labels = LabelSet(("a", "b", "c"), ((0, 0, 0),) * 3)
    data_set, network = dataclasses.replace(NYU, labels=labels), TwoMinds(labels=green)
    picture = constant(SIZE, label=2)
    picture.image[:, 0] = 255
    for flip, expected in ((False, 1 / (1 + math.exp(-1))), (True, 0.49)):
        result = measured(network, Set([picture]), data_set, flip=flip, details=True)
        sums = result.measures["calibration"].total()
        assert sums[:, 1].sum() / sums[:, 0].sum() == pytest.approx(expected, abs=1e-3)


def test_a_single_task_has_the_metrics_of_that_task_alone(random):
    """Nothing is made up for the task that a network lacks."""
    samples = some_samples(random, 1)
    semantic, depth = measured(Fake(labels=green), samples), measured(Fake(red), samples)
    assert set(semantic.pooled()) == {"mIoU", "mAcc", "pAcc"}
    assert set(depth.pooled()) == {"rel", "rms", "log10", "d1", "d2", "d3"}
    assert semantic.depth_per_image == {} and depth.iou == []


class Process(NamedTuple):
    """What one of several processes sees of the others, if all take their turns in order."""

    rank: int
    processes: int
    sent: dict

    def gather(self, value):
        self.sent.setdefault(type(value), []).append(value)
        return self.sent[type(value)]


@pytest.mark.parametrize("processes", [2, 3, 7])
def test_shared_out_is_as_in_one_piece(random, monkeypatch, processes):
    """Bit for bit, with a number of samples that cannot be shared evenly, or is too small."""
    samples = some_samples(random)
    network = Fake(red, green)
    whole = measured(network, samples, details=True)
    sent = {}
    for rank in range(processes):
        process = Process(rank, processes, sent)
        monkeypatch.setattr(distributed, "rank", lambda process=process: process.rank)
        monkeypatch.setattr(distributed, "processes", lambda: processes)
        monkeypatch.setattr(distributed, "gather", process.gather)
        shared = measured(network, samples, details=True)
    assert [len(measures["depth"].rows) for _, measures in sent[tuple]] == [
        len(range(rank, len(samples), processes)) for rank in range(processes)
    ]
    assert repr(shared) == repr(whole)
    np.testing.assert_array_equal(shared.confusion, whole.confusion)


def test_with_mirror_images_a_set_is_measured_as_its_mirror_image(random):
    """Although the network itself answers otherwise on the left than on the right."""

    def slanted(answer):
        return lambda x: (answer(x) + torch.arange(x.shape[-1])).clamp(max=39)

    samples = some_samples(random)
    network = Fake(slanted(red), slanted(green))
    here, there = (measured(network, s, flip=True) for s in (samples, mirrored(samples)))
    assert here.pooled() == pytest.approx(there.pooled())
    assert measured(network, samples).pooled() != pytest.approx(
        measured(network, mirrored(samples)).pooled()
    )


def test_views_are_averaged_pixel_by_pixel():
    """1 m in the left half and 3 m in the right: with the mirror image 2 m everywhere."""
    network = Fake(lambda x: 1.0 + 2 * (torch.arange(x.shape[-1]) >= x.shape[-1] // 2) + 0 * red(x))
    samples = Set([constant(SIZE, depth=2.0)])
    assert measured(network, samples).depth["rel"] == 0.5
    assert measured(network, samples, flip=True).depth["rel"] == 0


class TwoMinds(Fake):
    """Scores three classes by whether the left edge of what it sees is white."""

    def forward(self, images, tasks=TASKS, size=None):
        white = images[:, 0, 0, 0] > 0.5
        scores = torch.where(
            white[:, None], torch.tensor([0.0, 1.0, -99.0]), torch.tensor([0.0, -4.0, 4.0])
        )
        return Output(None, scores[..., None, None].expand(-1, 3, *size), (images, images))


def test_the_class_of_the_highest_mean_probability_wins():
    """Class 2 is 98 % sure in one view, class 1 73 % in the other; the mean score says class 0."""
    picture = constant(SIZE, label=2)
    picture.image[:, 0] = 255
    labels = LabelSet(("a", "b", "c"), ((0, 0, 0),) * 3)
    data_set, network = dataclasses.replace(NYU, labels=labels), TwoMinds(labels=green)
    white, black = Set([picture]), mirrored([picture])
    assert measured(network, white, data_set).confusion[2].tolist() == [0, 32 * 64, 0]
    assert measured(network, black, data_set).semantic["pAcc"] == 1
    assert measured(network, white, data_set, flip=True).semantic["pAcc"] == 1


def test_scale_one_is_single_scale(random):
    """Once or twice."""
    samples, network = some_samples(random), Fake(red, green)
    single = measured(network, samples)
    assert repr(measured(network, samples, scales=(1.0,))) == repr(single)
    twice = measured(network, samples, scales=(1.0, 1.0))
    assert twice.pooled() == pytest.approx(single.pooled())


@pytest.mark.parametrize(("data_set", "metric"), [(NYU, "rel"), (STEREO, "px")])
@pytest.mark.parametrize("size", [(64, 128), (96, 96), (480, 640)])
def test_a_pinhole_camera_is_measured_alike_at_every_scale(data_set, metric, size):
    """A network that takes what it sees for a picture by the training's camera is always right.

    It sees an image of twice the focal length half as far away, with twice the disparity, and
    the correction undoes just that.
    """

    def misled(images):
        seen = (images.shape[-2], images.shape[-1])
        factor = data_set.focal(seen) / data_set.focal(SIZE)
        return 5.0 * (1 / factor if data_set is NYU else factor) + 0 * red(images)

    samples = Set([constant(size, depth=5.0)])
    for scales in ((1.0,), (0.5,), (0.75, 1.0, 1.25, 2.0)):
        result = measured(Fake(misled), samples, data_set, scales=scales)
        assert result.depth[metric] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(("data_set", "metric", "expected"), [(NYU, "rel", 1), (STEREO, "px", 1)])
def test_a_network_blind_to_scale_is_off_by_the_scale(data_set, metric, expected):
    """Shown everything twice as large, it still answers 2: that means 4 m, or 1 px."""
    samples = Set([constant(SIZE, depth=2.0)])
    network = Fake(lambda x: 2 + 0 * red(x))
    assert measured(network, samples, data_set).depth[metric] == 0
    twice = measured(network, samples, data_set, scales=(2.0,))
    assert twice.depth[metric] == pytest.approx(expected)


def test_the_eigen_crop_leaves_out_exactly_the_border():
    """All is right inside and wrong outside: perfect in the crop, to the pixel."""
    size, inside = (480, 640), np.zeros((480, 640), bool)
    inside[45:471, 41:601] = True
    picture = constant(size, image=1, depth=1.0, label=1)
    picture.depth[~inside] = 5
    picture.labels[~inside] = 3
    network = Fake(red, green)
    crop = measured(network, Set([picture]), trained_size=size, crop="eigen")
    full = measured(network, Set([picture]), trained_size=size)
    assert crop.semantic["pAcc"] == 1 and crop.depth["d1"] == 1
    assert crop.confusion.sum() == 426 * 560
    share = 426 * 560 / (480 * 640)
    assert full.semantic["pAcc"] == pytest.approx(share)
    assert full.depth["d1"] == pytest.approx(share)


def test_the_cap_leaves_out_truth_beyond_it():
    """Off by 1 m at 2 m and by 9 at 10: with a cap of 8 m only the first counts, of 10 both."""
    picture = constant(SIZE, image=1, depth=2.0)
    picture.depth[0] = 10
    network = Fake(red, green)
    capped = measured(network, Set([picture]), cap=8.0)
    assert capped.depth["rms"] == 1 and capped.semantic["pAcc"] == 0
    assert capped.confusion.sum() == 32 * 64
    just = measured(network, Set([picture]), cap=10.0)
    assert just.depth == measured(network, Set([picture])).depth
    assert just.depth["rms"] > 1


@pytest.mark.parametrize("options", [{"crop": "eigen"}, {"cap": 8.0}])
def test_crop_and_cap_are_refused_for_disparity(random, options):
    """They are defined in NYU Depth v2's pixels and in metres."""
    with pytest.raises(ValueError, match="NYU Depth v2 has disparity; leave them out"):
        measured(Fake(red), some_samples(random), STEREO, **options)


def test_the_crop_is_refused_for_another_size(random):
    """Rather than cut something else out."""
    with pytest.raises(ValueError, match="defined for images of 480x640, but these are 32x64"):
        measured(Fake(red), some_samples(random), crop="eigen")


def test_40_classes_are_grouped_where_the_truth_has_13(random):
    """The answer's group counts: another class of the same group is right."""
    groups = np.array(nyuv2.GROUPS13) - 1
    samples = some_samples(random)
    grouped = Set(
        s._replace(labels=np.append(groups, [255] * 216)[s.labels].astype(np.uint8))
        for s in samples
    )
    result = measured(Fake(labels=green), grouped, nyuv2.data_set(13))
    confusion = ConfusionMatrix(13)
    for image, _, labels in grouped:
        confusion.add(groups[image[..., 1]], labels)
    assert result.semantic == confusion.summary() and len(result.iou) == 13


def test_other_classes_than_the_truths_are_refused(random):
    """Counting them would be meaningless."""
    samples = some_samples(random, classes=13)
    with pytest.raises(ValueError, match="the network answers 13 classes, but the truth of NYU"):
        measured(Fake(labels=green, classes=13), samples)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"cap": 0.0}, "cap is 0, expected a positive number of metres"),
        ({"cap": math.nan}, "cap is nan"),
        ({"scales": ()}, "one or more positive numbers"),
        ({"scales": (1.0, -1.0)}, "one or more positive numbers"),
    ],
)
def test_an_impossible_protocol_is_refused(values, sentence):
    """Naming the value."""
    with pytest.raises(ValueError, match=sentence):
        Protocol(**values)


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        (Protocol(), "full frame, single scale"),
        (Protocol(flip=True), "full frame, single scale with mirror images"),
        (
            Protocol("eigen", 8.0, True, (0.75, 1.0)),
            "Eigen crop [45:471, 41:601], depth up to 8 m, scales 0.75+1 with mirror images",
        ),
    ],
)
def test_a_protocol_says_what_it_is(protocol, words):
    """For people, beside its numbers."""
    assert str(protocol) == words


@pytest.mark.parametrize(
    ("data", "network", "words"),
    [
        ({}, Fake(red, green), "NYU Depth v2 val, 3 images at 32x64, 40 classes, in-painted depth"),
        ({"raw_depth": True}, Fake(red), "NYU Depth v2 val, 3 images at 32x64, raw depth"),
        (
            {"classes": 13},
            Fake(labels=green),
            "NYU Depth v2 val, 3 images at 32x64, 13 classes grouped from 40",
        ),
        (
            {"name": "cityscapes", "disparity_divisor": 4},
            Fake(red),
            "Cityscapes val, 3 images at 32x64, disparity in pixels of the full-size images "
            "divided by 4",
        ),
    ],
)
def test_the_setting_says_what_was_measured(data, network, words):
    """Which images, and which of the truths that a data set may have."""
    samples = Set([constant(SIZE)] * 3)
    assert Setting(Data(**data), "val", samples).of(Model(network, SMALL, Data(), "")) == words
