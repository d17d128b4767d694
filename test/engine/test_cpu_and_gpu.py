"""The work around the network: what holds on a CPU and on a GPU, and that both answer the same.

By the compiled kernels, and by the operations that run on a GPU, here on the CPU.
"""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional

from sosd_ros import kernels, network, weights
from sosd_ros.engine import answers_to, finishing
from sosd_ros.engine.answers import Range
from sosd_ros.engine.backend import Deployment
from sosd_ros.engine.on_cpu import CpuProgram
from sosd_ros.engine.on_gpu import GpuProgram, Lane
from sosd_ros.engine.torch_backend import TorchBackend

CPU = torch.device("cpu")
METRES = Range(0.5, 8.0)


class OnCpu:
    """The steps for one image, by kernels."""

    @staticmethod
    def prepare(image, size, mean, std):
        out = np.full((3, *size), np.nan, np.float32)
        resampling = (kernels.resampling(a, b) for a, b in zip(image.shape[:2], size, strict=True))
        rows, scale = image.reshape(len(image), -1), 1 / (255 * std)
        kernels.in_bands(size[0], (kernels.prepare, rows, *resampling, 255 * mean, scale, out))
        return out

    @staticmethod
    def metres(answer, size, is_disparity, factor, depth_range, spread=None):
        depth = np.full(size, 99, np.float32)
        uncertainty = np.full(size if spread is not None else (0, size[1]), 99, np.float32)
        given = uncertainty if spread is None else spread
        numbers = map(np.float32, (factor, *depth_range))
        arguments = (*to_size(answer, size), is_disparity, *numbers, depth, given, uncertainty)
        kernels.in_bands(size[0], (kernels.metres, answer, *arguments))
        return depth, None if spread is None else uncertainty

    @staticmethod
    def classify(scores, size, with_confidence=True):
        labels = np.full(size, 99, np.uint8)
        confidence = np.full(size if with_confidence else (0, size[1]), 77, np.uint8)
        arguments = (*to_size(scores, size), labels, confidence)
        kernels.in_bands(size[0], (kernels.classify, scores, *arguments))
        return labels, confidence if with_confidence else None


def to_size(answer, size):
    return (kernels.neighbours(a, b) for a, b in zip(answer.shape[-2:], size, strict=True))


class OnGpu:
    """The same steps in torch."""

    @staticmethod
    def prepare(image, size, mean, std):
        mean, std = map(torch.from_numpy, (mean, std))
        return network.prepare(torch.from_numpy(image[None]), size, mean, std)[0].numpy()

    @staticmethod
    def metres(answer, size, is_disparity, factor, depth_range, spread=None):
        given = (None if a is None else torch.from_numpy(a[None]) for a in (answer, spread))
        numbers = torch.tensor([factor]), torch.tensor(depth_range)
        answers = finishing.metres(*given, size, is_disparity, *numbers)
        return tuple(None if a is None else a[0].numpy() for a in answers)

    @staticmethod
    def classify(scores, size, with_confidence=True):
        rows = finishing.rows_on(CPU, scores.shape[1], size[0])
        given = torch.from_numpy(scores[None])
        labels, probability = finishing.classify(given, rows, size[1], with_confidence)
        confidence = (255 * probability[0]).round().byte().numpy() if with_confidence else None
        return labels[0].numpy(), confidence


WAYS = [OnCpu, OnGpu]

SIZES = [
    ((48, 64), (24, 32)),
    ((50, 70), (32, 96)),
    ((97, 131), (64, 32)),
    ((31, 17), (64, 96)),
    ((64, 96), (64, 96)),
    ((1, 1), (32, 32)),
    ((1, 200), (32, 160)),
    ((200, 1), (160, 32)),
    ((480, 640), (32, 64)),
    ((33, 96), (32, 96)),
]

GRIDS = [
    ((6, 8), (48, 64)),
    ((6, 40), (45, 300)),
    ((1, 1), (3, 200)),
    ((9, 5), (4, 3)),
    ((60, 300), (7, 130)),
    ((5, 17), (40, 129)),
    ((12, 40), (48, 160)),  # at stride 4
    ((13, 35), (51, 141)),
]


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_an_image_is_prepared_the_same(source, target, random):
    """Antialiased resizing and normalisation, to a thousandth."""
    image = random.integers(0, 256, (*source, 3), dtype=np.uint8)
    mean, std = np.array([0.4, 0.5, 0.6], np.float32), np.array([0.2, 0.25, 1.0], np.float32)
    ours, theirs = (way.prepare(image, target, mean, std) for way in WAYS)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-3)


@pytest.mark.parametrize("is_disparity", [False, True])
@pytest.mark.parametrize("depth_range", [(0.1, 10.0), (0.0, np.inf), (2.0, 2.5)])
@pytest.mark.parametrize(("source", "size"), GRIDS)
def test_metres_are_the_same(source, size, depth_range, is_disparity, random):
    """NaN, what is negative or zero, and what lies outside the range included."""
    answer = random.uniform(-2, 12, source).astype(np.float32)
    if answer.size > 20:
        answer.flat[random.choice(answer.size, 4, replace=False)] = np.nan
        answer[:2, :2] = 0
    factor, limits = 1.7, Range(*depth_range)
    ours, theirs = (way.metres(answer, size, is_disparity, factor, limits)[0] for way in WAYS)
    # A value on the very limit, or next to zero, may fall to either side of it.
    value = upsampled(answer, size)
    with np.errstate(divide="ignore", invalid="ignore"):
        exact = factor / value if is_disparity else factor * value
        near = [np.isclose(exact, limit, rtol=1e-4, atol=1e-5) for limit in depth_range]
    clear = ~(near[0] | near[1] | (np.abs(value) < 0.01))
    np.testing.assert_allclose(ours[clear], theirs[clear], rtol=1e-3, atol=1e-5)
    assert clear.mean() > 0.9


def upsampled(answer, size):
    given = torch.from_numpy(answer)[None, None]
    return functional.interpolate(given, size=size, mode="bilinear")[0, 0].numpy()


@pytest.mark.parametrize("is_disparity", [False, True])
@pytest.mark.parametrize("certain", [np.inf, 0.3])
@pytest.mark.parametrize(("source", "size"), GRIDS)
def test_uncertainty_is_the_same(source, size, certain, is_disparity, random):
    """A share of each pixel's metres; depth is as without it where it is certain."""
    answer = random.uniform(0.1, 12, source).astype(np.float32)
    spread = random.uniform(0.02, 0.5, source).astype(np.float32)
    numbers = (size, is_disparity, 1.7, Range(0.1, 10.0, certain))
    both = [way.metres(answer, *numbers, spread) for way in WAYS]
    share = np.sqrt(2) * upsampled(spread, size)
    clear = ~np.isclose(share, certain, rtol=1e-4)
    for ours, theirs in zip(*both, strict=True):
        np.testing.assert_allclose(ours[clear], theirs[clear], rtol=1e-3)
    for way, (depth, uncertainty) in zip(WAYS, both, strict=True):
        alone, nothing = way.metres(answer, *numbers)
        assert nothing is None
        expected = np.where(share > certain, np.nan, alone)
        np.testing.assert_array_equal(depth[clear], expected[clear])
        is_known = np.isfinite(depth)
        np.testing.assert_allclose(uncertainty[is_known], (share * depth)[is_known], rtol=1e-3)
        assert np.isnan(uncertainty[~is_known]).all()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("answer", "is_disparity", "expected"),
    [
        (0.0, True, np.inf),
        (-1.0, True, np.inf),
        (np.nan, True, np.nan),
        (np.nan, False, np.nan),
        (0.0, False, np.nan),
        (-1.0, False, np.nan),
        (4.0, True, 0.5),
        (4.0, False, 8.0),
        (5.1, False, np.inf),
    ],
)
def test_special_answers_become_special_metres(answer, is_disparity, expected, way):
    """No disparity is beyond the range; no depth, or less, is invalid."""
    given = np.full((1, 1), answer, np.float32)
    depth, _ = way.metres(given, (8, 8), is_disparity, 2.0, Range(0.1, 10.0))
    np.testing.assert_array_equal(depth, np.full((8, 8), expected, np.float32))


@pytest.mark.parametrize("way", WAYS)
def test_what_is_uncertain_is_unknown_beyond_the_range_as_well(way):
    """A mirror that looks far away must not clear a costmap: NaN, and not +inf."""
    for answer, spread, expected in (
        (9.0, 0.1, (9.0, 9.0 * 0.1 * 2**0.5)),
        (9.0, 0.2, (np.nan, np.nan)),
        (11.0, 0.1, (np.inf, np.nan)),
        (11.0, 0.2, (np.nan, np.nan)),
        (0.05, 0.1, (np.nan, np.nan)),
    ):
        given, doubt = (np.full((1, 1), number, np.float32) for number in (answer, spread))
        answers = way.metres(given, (8, 8), False, 1.0, Range(0.1, 10.0, 0.2), doubt)
        for ours, number in zip(answers, expected, strict=True):
            np.testing.assert_allclose(ours, np.full((8, 8), number), rtol=1e-6)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("classes", [1, 2, 19, 40])
@pytest.mark.parametrize("spread", [0.01, 3.0, 80.0])
@pytest.mark.parametrize(("source", "size"), GRIDS)
def test_labels_are_those_of_all_scores_upsampled(source, size, spread, classes, way, random):
    """Exactly so but for ties; confidence differs by one step of 255 at most."""
    scores = random.uniform(-spread, spread, (classes, *source)).astype(np.float32)
    labels, confidence = way.classify(scores, size)
    exact = torch.from_numpy(scores).double()[None]
    full = functional.interpolate(exact, size=size, mode="bilinear")[0]
    best, expected = full.max(0)
    chosen = full.gather(0, torch.from_numpy(labels).long()[None])[0]
    is_tie = best - chosen < 4e-6 * max(spread, 1)
    assert ((torch.from_numpy(labels) == expected) | is_tie).all()
    probability = full.softmax(0).amax(0).numpy()
    assert np.abs(confidence - 255 * probability).max() <= 1
    np.testing.assert_array_equal(way.classify(scores, size, with_confidence=False)[0], labels)


@pytest.mark.parametrize("way", WAYS)
def test_equal_scores_are_shared_evenly(way):
    """The first class wins, and has its share of certainty."""
    labels, confidence = way.classify(np.full((40, 6, 8), -3.0, np.float32), (48, 64))
    assert (labels == 0).all()
    assert (confidence == round(255 / 40)).all()


@pytest.mark.parametrize("way", WAYS)
def test_certainty_does_not_wrap(way, random):
    """Scores so large that rounding makes more than 1 of a probability: 255, and never 0."""
    scores = (1e5 * random.standard_normal((40, 6, 8))).astype(np.float32)
    _, confidence = way.classify(scores, (60, 80))
    assert np.median(confidence) == 255 and (confidence > 0).all()


@pytest.mark.parametrize("kind", ["metres", "disparity"])
@pytest.mark.parametrize("limits", [METRES, METRES._replace(uncertainty=0.4)])
@pytest.mark.parametrize("spread", [True, False])
@pytest.mark.parametrize("shape", [(1, 64, 96), (2, 97, 131), (3, 33, 20), (1, 9, 300), (1, 1, 1)])
def test_programs_answer_the_same(file, answering, random, shape, spread, limits, kind):
    """The network's input, depth, labels up to ties and confidence up to rounding."""
    depth_kind = weights.DepthKind(kind, *((90.0, 0.1) if kind == "disparity" else ()))
    manifest = dataclasses.replace(file.manifest, depth=depth_kind, spread=spread)
    backend = answering(manifest, shape)
    images = random.integers(0, 256, (*shape, 3), dtype=np.uint8)
    factors = random.uniform(0.5, 2, shape[0]).tolist()
    both = [p(images, factors, limits) for p in programs(backend, manifest, shape)]

    torch.testing.assert_close(*backend.inputs, rtol=0, atol=1e-4, check_stride=False)
    for one, other in zip(*both, strict=True):
        assert one is other is None or (one.shape == other.shape and one.dtype == other.dtype)
    ours, theirs = both
    # A value on the very limit may fall to either side of it.
    same = (np.isnan(ours.depth) == np.isnan(theirs.depth)) & (
        np.isinf(ours.depth) == np.isinf(theirs.depth)
    )
    assert same.mean() > 0.999
    finite = np.isfinite(ours.depth) & np.isfinite(theirs.depth)
    np.testing.assert_allclose(ours.depth[finite], theirs.depth[finite], rtol=1e-4)
    if spread:
        np.testing.assert_allclose(ours.uncertainty[finite], theirs.uncertainty[finite], rtol=1e-4)
        for answer in both:
            np.testing.assert_array_equal(np.isnan(answer.uncertainty), ~np.isfinite(answer.depth))
    assert (ours.labels == theirs.labels).mean() > 0.999
    assert np.abs(ours.confidence.astype(int) - theirs.confidence).max() <= 1


@pytest.mark.parametrize("canvas", [(32, 64), (96, 160), (160, 224)])
@pytest.mark.parametrize("shape", [(1, 64, 96), (2, 97, 131)])
def test_programs_answer_the_same_at_other_scales(sharp, random, shape, canvas):
    """Of a real network, which sees a smaller input, or parts."""
    backend = TorchBackend(Deployment(sharp, CPU, "fp32"), {})
    images = random.integers(0, 256, (*shape, 3), dtype=np.uint8)
    both = programs(backend, sharp.manifest, shape, canvas=canvas)
    with torch.inference_mode():
        ours, theirs = (p(images, [1.0] * shape[0], Range(0.0, np.inf)) for p in both)
    np.testing.assert_allclose(ours.depth, theirs.depth, rtol=1e-3)
    np.testing.assert_allclose(ours.uncertainty, theirs.uncertainty, rtol=2e-3)
    assert (ours.labels == theirs.labels).mean() > 0.995


def programs(backend, manifest, shape, answers=None, canvas=None):
    """Of either way; for all that the network can be asked for, unless ``answers`` says less."""
    answers = answers or answers_to(manifest)
    return (
        CpuProgram(backend, manifest, shape, answers, canvas),
        GpuProgram(backend, manifest, shape, answers, Lane(CPU), canvas),
    )


@pytest.mark.parametrize(
    "answers", [["depth"], ["semantic"], ["confidence"], ["semantic", "depth"], ["uncertainty"]]
)
def test_programs_ask_the_network_for_the_same(file, answering, answers):
    """And leave out what was not asked for."""
    manifest, shape = dataclasses.replace(file.manifest, spread=True), (1, 64, 96)
    backend, images = answering(manifest, shape), np.zeros((*shape, 3), np.uint8)
    both = [p(images, [1.0], METRES) for p in programs(backend, manifest, shape, answers)]
    assert backend.tasks[0] == backend.tasks[1]
    for one, other in zip(*both, strict=True):
        assert (one is None) == (other is None)
