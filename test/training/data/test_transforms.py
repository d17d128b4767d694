"""Augmentation: where points land, what becomes of depth, and how often each transform happens."""

import dataclasses
from collections import Counter

import cv2
import numpy as np
import pytest
import torch

from sosd_ros.labels import UNLABELLED
from sosd_ros.weights import DepthKind
from training.data import cityscapes, nyuv2, transforms
from training.data.loader import Batch
from training.data.sample import Sample
from training.learning.losses import depth_sum, known_pixels, semantic_sum

METRES, DISPARITY = DepthKind("metres"), DepthKind("disparity", 100.0, 0.2)
NYU, CITIES = nyuv2.data_set(), cityscapes.data_set((60, 90))
BOTH = pytest.mark.parametrize("data", [NYU, CITIES], ids=["nyuv2", "cityscapes"])


def random_sample(seed=0, size=(60, 90)):
    rng = np.random.default_rng(seed)
    return Sample(
        rng.integers(0, 256, (*size, 3), dtype=np.uint8),
        rng.uniform(0.5, 10, size).astype(np.float32),
        rng.integers(0, 40, size, dtype=np.uint8),
    )


def ramp(axis, size=(101, 121)):
    """Image, depth and labels all say 2 * row + 1, or 2 * column + 1."""
    values = (2 * np.indices(size)[axis] + 1).astype(np.uint8)
    return Sample(np.dstack([values] * 3), values.astype(np.float32), values)


def assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("depth", "value"), [(METRES, 2.0), (DISPARITY, 4.5)])
def test_scaling_up_brings_the_scene_nearer(depth, value):
    """Scale 1.5 keeps two thirds of each side; metres / 1.5, disparity * 1.5; labels stay."""
    sample = random_sample()._replace(depth=np.full((60, 90), 3.0, np.float32))
    scaled = transforms.scale(sample, 1.5, 1.0, 0.0, depth)
    assert (scaled.depth == value).all()
    np.testing.assert_array_equal(scaled.image, sample.image[20:, :60])
    np.testing.assert_array_equal(scaled.labels, sample.labels[20:, :60])


@pytest.mark.parametrize(("depth", "factor"), [(METRES, 2.0), (DISPARITY, 0.5)])
def test_scaling_down_takes_the_scene_away_and_pads(depth, factor):
    """Scale 0.5 shows the whole picture in a frame twice as large: unknown truth around it."""
    sample = random_sample()
    scaled = transforms.scale(sample, 0.5, 1.0, 0.5, depth)
    inside = (slice(60, 120), slice(45, 135))  # at the bottom, in the middle
    np.testing.assert_array_equal(scaled.image[inside], sample.image)
    np.testing.assert_array_equal(scaled.depth[inside], sample.depth * np.float32(factor))
    np.testing.assert_array_equal(scaled.labels[inside], sample.labels)
    outside = np.ones((120, 180), bool)
    outside[inside] = False
    assert (scaled.image[outside] == transforms.PADDING[0]).all()
    assert np.isnan(scaled.depth[outside]).all() and (scaled.labels[outside] == UNLABELLED).all()


@pytest.mark.parametrize(
    ("factor", "top", "left", "at"),
    [
        (0.5, 0.0, 0.0, (15, 20)),  # the whole picture at half its size, top left
        (0.5, 1.0, 1.0, (45, 60)),  # bottom right
        (1.0, 0.3, 0.9, (30, 40)),
        (1.5, 0.0, 0.0, (45, 60)),  # the upper left two thirds, enlarged
        (1.5, 1.0, 1.0, (15, 20)),  # 30 - 20 rows and 40 - 80/3 columns, enlarged
    ],
)
def test_a_point_lands_where_it_must(factor, top, left, at):
    """A spot at (30, 40) of 60x80, found again in image, depth and labels; and mirrored."""
    rows, columns = np.indices((60, 80))
    spot = (abs(rows + 0.5 - 30) < 4) & (abs(columns + 0.5 - 40) < 4)
    sample = Sample(
        np.where(spot[..., None], 255, 0).astype(np.uint8).repeat(3, axis=2),
        np.where(spot, 2, 1).astype(np.float32),
        spot.astype(np.uint8),
    )
    result = transforms.resize(transforms.scale(sample, factor, top, left, METRES), (60, 80))
    for mirrored, found in ((False, result), (True, transforms.flip(result))):
        row, column = at[0], 80 - at[1] if mirrored else at[1]
        for mask in (found.image[..., 0] > 200, found.depth == 2 / factor, found.labels == 1):
            centre = np.argwhere(mask).mean(0) + 0.5
            np.testing.assert_allclose(centre, (row, column), atol=0.75)


@BOTH
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("size", [(100, 120), (77, 90), (130, 131)])
def test_image_and_truth_stay_aligned(data, axis, size, monkeypatch):
    """What was equal in image, depth and labels still is, to the scale of depth."""
    monkeypatch.setattr(transforms, "jitter", lambda image, *_: image)
    for seed in range(20):
        image, depth, labels = transforms.augment(
            ramp(axis), size, data, np.random.default_rng(seed)
        )
        known = labels != UNLABELLED
        np.testing.assert_array_equal(np.isfinite(depth), known)
        # The resampled edge of the picture is partly padding.
        known = cv2.erode(known.astype(np.uint8), np.ones((3, 3))) == 1
        difference = image[known, 0].astype(float) - labels[known]
        # Half a pixel of the source would be 1. Enlarging holds the values of the last half pixel.
        assert abs(difference.mean()) < 0.3
        ratio = depth[known] / labels[known]
        factors = data.scales if data.depth.kind == "disparity" else 1 / np.array(data.scales)
        np.testing.assert_allclose(ratio, ratio.mean(), rtol=1e-5)
        assert np.isclose(ratio.mean(), [1, *factors], rtol=1e-4).any()


@pytest.mark.parametrize("factor", [0.5, 0.75, 4 / 3, 1.75])
def test_an_object_keeps_its_size_in_space(factor):
    """X = u Z / f: scaled by s an object covers s times the pixels at depth Z / s."""
    labels = np.zeros((96, 128), np.uint8)
    labels[:, 48:80] = 1  # 32 columns around the centre
    sample = random_sample(size=labels.shape)._replace(
        depth=np.full(labels.shape, 4.0, np.float32), labels=labels
    )
    scaled = transforms.resize(transforms.scale(sample, factor, 0.5, 0.5, METRES), labels.shape)
    width = (scaled.labels[48] == 1).sum()
    assert width * scaled.depth[48, 64] == pytest.approx(32 * 4.0, abs=4.0 / factor)


@pytest.mark.parametrize(
    ("top", "left", "row", "column"), [(0, 0, 0, 0), (1, 1, 28, 50), (0.5, 0.25, 14, 12)]
)
@pytest.mark.parametrize("stride", [1, 2])
def test_a_crop_lies_anywhere_and_its_truth_with_it(top, left, row, column, stride):
    """From one border to the other, where the truth has a pixel."""
    sample = transforms.resize(random_sample(), (60, 90), stride)
    part = transforms.crop(sample, (32, 40), top, left, stride)
    inside = (slice(row, row + 32), slice(column, column + 40))
    np.testing.assert_array_equal(part.image, sample.image[inside])
    inside = tuple(slice(s.start // stride, s.stop // stride) for s in inside)
    np.testing.assert_array_equal(part.depth, sample.depth[inside])
    np.testing.assert_array_equal(part.labels, sample.labels[inside])


def test_no_loss_counts_padding():
    """Scaled by 0.5, a quarter of the pixels is left; answers elsewhere change nothing."""
    sample = random_sample(size=(64, 96))
    small = transforms.resize(transforms.scale(sample, 0.5, 0.3, 0.6, METRES), (64, 96))
    truth = Batch(*(torch.from_numpy(part)[None] for part in small))
    pixels = known_pixels(truth)
    assert pixels["depth"] == pixels["semantic"] == 32 * 48
    depth, logits = torch.ones(1, 64, 96), torch.zeros(1, 40, 64, 96)
    before = depth_sum(depth, truth.depth), semantic_sum(logits, truth.labels)
    depth[truth.depth.isnan()] = 1e6
    logits[:, 3][truth.labels == UNLABELLED] = 1e6
    assert before == (depth_sum(depth, truth.depth), semantic_sum(logits, truth.labels))


def test_flipping_mirrors_all_three():
    """Twice is the original."""
    sample = random_sample()
    once = transforms.flip(sample)
    assert_same(once, Sample(*(part[:, ::-1] for part in sample)))
    assert_same(transforms.flip(once), sample)


def test_jitter_by_hand():
    """Brightness doubles; contrast 0 is the mean grey; saturation 0 is luma; all 1 is nothing.

    The rest is linear between these.
    """
    image = np.array([[[10, 20, 30], [30, 40, 50]]], np.uint8)
    luma = np.array([0.299 * 10 + 0.587 * 20 + 0.114 * 30, 0.299 * 30 + 0.587 * 40 + 0.114 * 50])
    np.testing.assert_array_equal(transforms.jitter(image, 1, 1, 1), image)
    np.testing.assert_array_equal(transforms.jitter(image, 2, 1, 1), image * 2)
    assert (transforms.jitter(image, 1, 0, 1) == round(luma.mean())).all()
    assert (transforms.jitter(image, 1, 1, 0)[0] == np.rint(luma)[:, None]).all()
    assert (transforms.jitter(np.full_like(image, 200), 2, 1, 1) == 255).all()
    bright, grey = 1.5 * image, 1.5 * luma
    contrasted = grey.mean() + 0.5 * (bright - grey.mean())
    own = (grey.mean() + 0.5 * (grey - grey.mean()))[:, None]
    expected = own + 0.5 * (contrasted[0] - own)
    assert abs(transforms.jitter(image, 1.5, 0.5, 0.5)[0] - expected).max() <= 0.5 + 1e-3
    tinted = transforms.jitter(image, 2, 1, 1, (0.5, 1, 1.5))
    np.testing.assert_array_equal(tinted, image * np.array([1, 2, 3]))


def test_turning_moves_a_point_around_the_centre():
    """30 degrees to the left, about the middle; metres stay, and what comes in is unknown."""
    rows, columns = np.indices((101, 121))
    spot = np.hypot(rows - 50, columns - 100) < 5  # 40 pixels to the right of the centre
    sample = Sample(
        np.where(spot[..., None], 255, 0).astype(np.uint8).repeat(3, axis=2),
        np.where(spot, 2, 1).astype(np.float32),
        spot.astype(np.uint8),
    )
    image, depth, labels = transforms.rotate(sample, 30)
    expected = 50 - 40 * np.sin(np.pi / 6), 60 + 40 * np.cos(np.pi / 6)
    for mask in (image[..., 0] > 200, depth == 2, labels == 1):
        np.testing.assert_allclose(np.argwhere(mask).mean(0), expected, atol=0.15)
    assert np.isnan(depth[0, 0]) and labels[0, 0] == UNLABELLED
    assert set(np.unique(depth[np.isfinite(depth)])) == {1, 2}


def test_what_is_done_beyond_the_paper_happens_half_of_the_time(monkeypatch):
    """Turns within their range, tints within theirs; and where neither is asked for, neither is."""
    angles, tints = [], []
    monkeypatch.setattr(transforms, "rotate", lambda sample, angle: angles.append(angle) or sample)
    monkeypatch.setattr(
        transforms, "jitter", lambda image, *factors: tints.append(factors[3]) or image
    )
    random, sample, draws = np.random.default_rng(6), random_sample(size=(4, 6)), 1000
    for _ in range(draws):
        transforms.augment(sample, (4, 6), NYU, random)
    assert not angles and np.all(np.array(tints) == 1)

    tints.clear()
    data = dataclasses.replace(NYU, chance=0.5, rotation=5.0, tint=0.2)
    for _ in range(draws):
        transforms.augment(sample, (4, 6), data, random)
    for times in map(len, (angles, tints)):
        assert abs(times - draws / 2) < 4 * np.sqrt(draws / 4)
    for values, low, high in ((angles, -5, 5), (np.ravel(tints), 0.8, 1.2)):
        margin = 0.02 * (high - low)
        assert low <= min(values) < low + margin and high - margin < max(values) <= high


@pytest.mark.parametrize("stride", [2, 4])
def test_truth_of_fewer_pixels_is_that_at_their_centres(stride):
    """A ramp of coordinates: a pixel of the truth lies where so many of the image's are centred."""
    size = (240, 320)
    rows, columns = np.indices((480, 640))
    sample = Sample(
        np.zeros((480, 640, 3), np.uint8), columns.astype(np.float32), (rows // 2).astype(np.uint8)
    )
    image, depth, labels = transforms.resize(sample, size, stride)
    assert image.shape == (*size, 3) and depth.shape == labels.shape == (
        240 // stride,
        320 // stride,
    )
    centres = (np.arange(320 // stride) + 0.5) * 2 * stride - 0.5
    assert abs(depth[0] - centres).max() <= 0.5
    assert abs(labels[:, 0] - (centres[: 240 // stride] - 0.5) / 2).max() <= 0.5


@pytest.mark.parametrize("size", [(36, 40), (60, 80), (48, 96)])
def test_truth_is_never_interpolated(size):
    """Resizing gives only depths and labels that were there."""
    halves = np.where(np.arange(64) < 32, 1, 9) * np.ones((48, 1))
    sample = Sample(
        np.zeros((48, 64, 3), np.uint8), halves.astype(np.float32), halves.astype(np.uint8)
    )
    resized = transforms.resize(sample, size)
    assert set(np.unique(resized.depth)) == {1, 9} and set(np.unique(resized.labels)) == {1, 9}


def test_images_are_enlarged_linearly_and_reduced_by_the_mean():
    """Of 0 and 100 the quarters between; of four values the means of two."""
    narrow, wide = (np.tile(np.uint8(v), (4, 1)) for v in ([0, 100], [0, 10, 50, 90]))
    for values, width, expected in ((narrow, 4, [0, 25, 75, 100]), (wide, 2, [5, 70])):
        sample = Sample(np.dstack([values] * 3), values.astype(np.float32), values)
        resized = transforms.resize(sample, (4, width)).image
        assert (resized == np.array(expected)[:, None]).all()


@pytest.mark.parametrize(("width", "target"), [(640, 384), (427, 384), (427, 640), (320, 288)])
def test_truth_stays_where_the_image_is(width, target):
    """A ramp of coordinates, resized: each pixel has the value at its own centre, on average."""
    coordinates = np.tile(np.arange(width, dtype=np.float32), (8, 1))
    sample = Sample(np.zeros((8, width, 3), np.uint8), coordinates, np.zeros((8, width), np.uint8))
    resized = transforms.resize(sample, (8, target)).depth[0]
    centres = (np.arange(target) + 0.5) * width / target - 0.5
    assert abs(np.mean(resized - centres)) < 0.05


@BOTH
def test_the_result_has_the_size_that_was_asked_for(data):
    """Whatever is drawn, in the dtypes of a sample; and the sample that went in is as it was."""
    sample = random_sample()
    before = Sample(*(part.copy() for part in sample))
    for seed in range(30):
        size = (31 + seed, 97 - seed)
        image, depth, labels = transforms.augment(sample, size, data, np.random.default_rng(seed))
        assert image.shape == (*size, 3) and depth.shape == labels.shape == size
        assert (image.dtype, depth.dtype, labels.dtype) == (np.uint8, np.float32, np.uint8)
    assert_same(sample, before)


@BOTH
def test_the_same_seed_gives_the_same_sample(data):
    """And another seed another one."""
    sample = random_sample()
    one, again, other = (
        transforms.augment(sample, (48, 72), data, np.random.default_rng(seed))
        for seed in (1, 1, 2)
    )
    assert_same(one, again)
    assert (one.image != other.image).any()


@BOTH
@pytest.mark.parametrize("chance", [1.0, 0.5])
def test_how_often_each_transform_happens(data, chance, monkeypatch):
    """Independently of the others; every scale, place and factor in its range is drawn.

    The paper scales and jitters every sample, and flips half of them.
    """
    data = dataclasses.replace(data, chance=chance)
    drawn = {"scale": [], "jitter": [], "flip": []}
    happened: set[str] = set()

    def record(name):
        def transform(sample_or_image, *arguments):
            happened.add(name)
            drawn[name].append(arguments)
            return sample_or_image

        return transform

    for name in drawn:
        monkeypatch.setattr(transforms, name, record(name))
    random, sample, draws = np.random.default_rng(5), random_sample(size=(4, 6)), 2000
    together: Counter = Counter()
    for _ in range(draws):
        happened = set()
        transforms.augment(sample, (4, 6), data, random)
        together[frozenset(happened)] += 1
    # Four standard deviations of a binomial distribution, here and below.
    for name, expected in (("scale", chance), ("jitter", chance), ("flip", 0.5)):
        deviation = np.sqrt(draws * expected * (1 - expected))
        assert abs(len(drawn[name]) - draws * expected) <= 4 * deviation
    share = 1 / len(together)
    assert len(together) == (2 if chance == 1 else 8)
    deviation = np.sqrt(draws * share * (1 - share))
    assert all(abs(n - draws * share) < 4 * deviation for n in together.values())

    factors, tops, lefts, kinds = zip(*drawn["scale"], strict=True)
    share, times = 1 / len(data.scales), len(factors)
    for scale in data.scales:
        assert abs(factors.count(scale) - times * share) < 4 * np.sqrt(times * share)
    assert set(factors) == set(data.scales) and set(kinds) == {data.depth}
    for values, (low, high) in (
        (tops, (0, 1)),
        (lefts, (0, 1)),
        *(
            (f, transforms.JITTER)
            for f in zip(*(three for *three, _ in drawn["jitter"]), strict=True)
        ),
    ):
        assert low <= min(values) < low + 0.02 and high - 0.02 < max(values) <= high


def test_a_rectangle_of_another_sample_takes_all_three_parts_with_it():
    """A tenth to four tenths of the picture, the truth of which is smaller; the sources stay."""
    random = np.random.default_rng(0)
    small = transforms.resize(ramp(0, (96, 120)), (96, 120), truth_stride=2)
    black = Sample(*(np.zeros_like(part) for part in small))
    for _ in range(20):
        mixed = transforms.cut_and_mix(small, black, random)
        replaced = mixed.depth == 0
        assert 0.09 < replaced.mean() < 0.42
        np.testing.assert_array_equal(mixed.labels == 0, replaced)
        wide = replaced.repeat(2, axis=0).repeat(2, axis=1)
        np.testing.assert_array_equal((mixed.image == 0).all(axis=2), wide)
        np.testing.assert_array_equal(mixed.image[~wide], small.image[~wide])
    assert (small.depth > 0).all()


def test_pictures_are_degraded_up_to_what_is_allowed():
    """A gamma keeps black and white, a blur keeps the mean, noise has its deviation; off is off."""
    random = np.random.default_rng(0)
    picture = random_sample().image
    assert transforms.degrade(picture, NYU, random) is picture
    state = random.bit_generator.state
    transforms.degrade(picture, NYU, random)
    assert random.bit_generator.state == state

    def degraded(image, **amounts):
        return transforms.degrade(image, dataclasses.replace(NYU, **amounts), random)

    ends = np.array([0, 128, 255], np.uint8).repeat(3).reshape(1, 3, 3)
    for _ in range(20):
        black, grey, white = degraded(ends, gamma=0.5)[0, :, 0]
        assert (black, white) == (0, 255)
        assert 255 * 0.5 ** np.exp(0.5) - 1 < grey < 255 * 0.5 ** np.exp(-0.5) + 2
    grey = np.full((100, 100, 3), 128, np.uint8)
    deviations = [degraded(grey, noise=8.0).std() for _ in range(20)]
    assert max(deviations) < 8.3
    assert max(deviations) > 4
    steps = np.zeros((100, 100, 3), np.uint8)
    steps[:, 50:] = 200
    widths = [
        (np.diff(degraded(steps, blur=2.0)[50, :, 0].astype(int)) > 0).sum() for _ in range(9)
    ]
    assert min(widths) < max(widths) <= 14
