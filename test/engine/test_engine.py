"""The engine: metric depth for any camera, range limits, sizes and refusals."""

import dataclasses
import math
import weakref

import numpy as np
import pytest
import torch
from support import SMALL

import sosd_ros.engine.engine
from sosd_ros import weights
from sosd_ros.engine import Engine, EngineError, Range, Request, load
from sosd_ros.engine.backend import Deployment
from sosd_ros.engine.on_gpu import GpuProgram, Lane

BOTH = ["depth", "semantic"]
ALL = [*BOTH, "confidence"]


@pytest.fixture(params=["on_cpu", "on_gpu"], autouse=True)
def program(request, monkeypatch):
    """Each test once with either way of doing the work around the network."""
    if request.param == "on_gpu":
        monkeypatch.setattr(
            sosd_ros.engine.engine,
            "CpuProgram",
            lambda *arguments, canvas: GpuProgram(*arguments, Lane(CPU), canvas),
        )
    return request.param


CPU = torch.device("cpu")
EVERYTHING = Range(0.0, np.inf)


def eager(file, device="cpu"):
    """An engine that needs no trial, and therefore no picture for one."""
    return load(file, images()[0], device, Request("torch", "fp32"))


def constant(answer=2.0, **changes):
    """An engine whose network answers ``answer`` everywhere, and class 7; with spread, of 0.1."""
    manifest = dataclasses.replace(SMALL, **changes)
    torch.manual_seed(0)
    network = weights.create_network(manifest)
    for layer, value in (
        (network.depth_head.depth, torch.tensor([answer, math.log(0.1)])[: 1 + manifest.spread]),
        (network.semantic_head.semantic, torch.eye(40)[7]),
    ):
        torch.nn.init.zeros_(layer.weight)
        layer.bias.data.copy_(value)
    return eager(weights.Weights(manifest, network.state_dict(), ""))


def images(count=1, height=64, width=96):
    return np.zeros((count, height, width, 3), np.uint8)


def test_depth_is_corrected_by_each_cameras_focal_length():
    """Learned at 100 px and seen through 100, 50 and 200 px: 2 m, 1 m and 4 m."""
    depth = constant()(images(3), [100.0, 50.0, 200.0], BOTH).depth
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth[:, 0, 0], [2, 1, 4], rtol=1e-6)


def test_the_focal_length_counts_at_the_networks_input():
    """An image of 192x128 is halved for a network of 96x64: 200 px become its 100."""
    depth = constant()(images(1, 128, 192), [200.0], BOTH).depth
    np.testing.assert_allclose(depth, 2.0, rtol=1e-6)


@pytest.mark.parametrize(
    ("fit", "focal", "canvas"),
    [
        (1, 50.0, (64, 96)),  # one input cannot show more of it
        (4, 50.0, (96, 160)),
        (9, 50.0, (128, 192)),
        (1, 105.0, (64, 96)),
        (1, 200.0, (32, 64)),  # half of 96 rounded to multiples of 32
        (4, 900.0, (32, 32)),
        (0, 50.0, (64, 96)),
    ],
)
def test_depth_stays_metric_at_the_scale_of_the_training(fit, focal, canvas):
    """What counts is the focal length at the size at which the network sees the image."""
    two = constant()
    two.fit = fit
    assert two.canvas((128, 192), 2 * focal) == canvas
    depth, labels, *_ = two(images(1, 128, 192), [2 * focal], BOTH, EVERYTHING)
    expected = 2 * focal / 100 * math.sqrt(canvas[0] * canvas[1] / (64 * 96))
    np.testing.assert_allclose(depth, np.full((1, 128, 192), expected), rtol=1e-5)
    assert (labels == 7).all()


@pytest.mark.parametrize("fit", [0, 4])
def test_without_a_focal_length_there_are_labels_alone(fit):
    two = constant(spread=True)
    two.fit = fit
    depth, labels, _, uncertainty = two(images(), [math.nan], [*ALL, "uncertainty"])
    assert np.isnan(depth).all() and np.isnan(uncertainty).all() and (labels == 7).all()


def test_each_images_depth_is_scaled(file, random):
    """After all else, and so its scale does not change what the network sees."""
    small = eager(file)
    small.fit = 4
    pictures = random.integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)
    plain = small(pictures, [60.0, 100.0], ["depth"], EVERYTHING).depth
    scaled = small(pictures, [60.0, 100.0], ["depth"], EVERYTHING, [2.0, 0.5]).depth
    np.testing.assert_allclose(scaled, plain * np.array([2, 0.5])[:, None, None], rtol=1e-5)


def test_answers_have_the_images_size():
    """Whatever the network's input size is."""
    depth, labels, *_ = constant()(images(2, 70, 50), [100.0, 100.0], BOTH)
    assert depth.shape == labels.shape == (2, 70, 50)
    assert labels.dtype == np.uint8 and (labels == 7).all()


@pytest.mark.parametrize(
    "asked", [[], ["depth"], ["semantic"], ["confidence"], ["depth", "confidence"], BOTH, ALL]
)
def test_only_what_was_asked_for(asked):
    """None for the rest."""
    plain, unsure = constant(), constant(spread=True)
    names = ("depth", "semantic", "confidence", "uncertainty")
    for engine, wanted in (
        (plain, asked),
        (plain, [*asked, "uncertainty"]),  # which it cannot answer
        (unsure, asked),
        (unsure, [*asked, "uncertainty"]),
    ):
        answer = engine(images(), [100.0], wanted, Range(uncertainty=0.1))
        given = {name for name, values in zip(names, answer, strict=True) if values is not None}
        assert given == set(wanted) & engine.answers
    assert unsure.answers - plain.answers == {"uncertainty"}


@pytest.mark.parametrize("kind", ["metres", "disparity"])
def test_uncertainty_is_one_standard_deviation_in_metres(kind):
    """sqrt(2) times the scale of Laplace's distribution, of 0.1 over log depth, times the depth.

    Through 50 and 200 px it is a half and twice as large, as is the depth.
    """
    changes = {"spread": True}
    if kind == "disparity":
        changes["depth"] = weights.DepthKind("disparity", focal_length=40.0, baseline=0.1)
    engine = constant(2.0, **changes)
    depth, _, _, uncertainty = engine(images(3), [100.0, 50.0, 200.0], ["depth", "uncertainty"])
    assert uncertainty.dtype == np.float32
    np.testing.assert_allclose(depth[:, 0, 0], [2, 1, 4], rtol=1e-6)
    np.testing.assert_allclose(uncertainty, 2**0.5 * 0.1 * depth, rtol=1e-5)
    alone = engine(images(3), [100.0, 50.0, 200.0], ["uncertainty"])
    np.testing.assert_array_equal(alone.uncertainty, uncertainty)


def test_what_is_not_known_has_no_uncertainty():
    """Depth that is NaN or beyond the range."""
    for answer in (np.nan, -1.0, 0.05, 11.0):
        uncertainty = constant(answer, spread=True)(images(), [100.0], ["uncertainty"]).uncertainty
        assert np.isnan(uncertainty).all()


def test_depth_that_is_too_uncertain_is_unknown():
    """Above the share that is allowed, whether or not uncertainty is asked for; even infinity."""
    for answer in (2.0, 11.0):
        engine = constant(answer, spread=True)
        before = engine(images(), [100.0], ["depth"]).depth
        depth = engine(images(), [100.0], ["depth"], Range(uncertainty=0.15)).depth
        np.testing.assert_array_equal(depth, before)
        too_low = Range(uncertainty=0.13)  # it is unsure by 0.14
        assert np.isnan(engine(images(), [100.0], ["depth"], too_low).depth).all()
        assert np.isnan(engine(images(), [100.0], ALL, too_low).depth).all()
    plain = constant()(images(), [100.0], ["depth"], Range(uncertainty=0.01))
    assert (plain.depth == 2).all()


def test_confidence_is_the_probability_of_the_label():
    """Softmax of one score of 1 among 39 of 0, of 255."""
    confidence = constant()(images(), [100.0], ["confidence"]).confidence
    assert confidence.dtype == np.uint8
    assert (confidence == round(255 * math.e / (math.e + 39))).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 64), (64, 1), (3, 190), (7, 5)])
def test_the_smallest_images_are_answered(size):
    """With the shapes of larger ones; what they show is another matter."""
    answer = constant()(images(1, *size), [100.0], ALL, EVERYTHING)
    assert {a.shape for a in answer if a is not None} == {(1, *size)}
    assert np.isfinite(answer.depth).all() and (answer.labels == 7).all()


@pytest.mark.parametrize("fit", [0, 4])
def test_a_batch_of_unlike_cameras_is_answered_as_each_alone(file, random, fit):
    """Whatever their focal lengths, and whatever the others see, at whichever scale."""
    small = eager(file)
    small.fit = fit
    pictures = random.integers(0, 256, (3, 64, 96, 3), dtype=np.uint8)
    focals = [40.0, 100.0, 350.0]
    together = small(pictures, focals, BOTH, EVERYTHING)
    for index, focal in enumerate(focals):
        alone = small(pictures[index, None], [focal], BOTH, EVERYTHING)
        np.testing.assert_allclose(together.depth[index], alone.depth[0], rtol=1e-4)
        assert (together.labels[index] == alone.labels[0]).mean() > 0.999


def test_answers_stay_as_they_were_given(file, random):
    """The next frame, though its way leads through the same buffers, changes none of them."""
    small = eager(file)
    one, other = random.integers(0, 256, (2, 1, 64, 96, 3), dtype=np.uint8)
    answer = small(one, [100.0], ALL)
    copies = [np.copy(values) for values in answer[:3]]
    small(other, [50.0], ALL)
    for values, copy in zip(answer[:3], copies, strict=True):
        np.testing.assert_array_equal(values, copy)


def test_shapes_may_alternate(file, random):
    """More of them than buffers are kept for; each is answered as by an engine of its own."""
    small = eager(file)
    pictures = [
        random.integers(0, 256, (count, 40 + 8 * i, 96, 3), dtype=np.uint8)
        for i in range(5)
        for count in (1, 2)
    ]
    first = [small(picture, [100.0] * len(picture), ALL) for picture in pictures]
    again = [small(picture, [100.0] * len(picture), ALL) for picture in pictures]
    for one, other in zip(first, again, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_range_may_change_between_two_frames():
    """Each frame is answered by its own."""
    two = constant()
    for _ in range(2):
        assert (two(images(), [100.0], ["depth"]).depth == 2).all()
        assert np.isposinf(two(images(), [100.0], ["depth"], Range(0.1, 1.5)).depth).all()


def test_a_closed_engine_holds_no_network(file):
    """Its tensors are gone with it, though somebody still holds the engine."""
    small = eager(file)
    small.warm_up()
    tensors = [weakref.ref(parameter) for parameter in small.backend.network.parameters()]
    small.close()
    assert tensors and not any(tensor() is not None for tensor in tensors)
    with pytest.raises(RuntimeError, match="closed"):
        small(images(), [100.0], BOTH)


def test_an_engine_works_on_after_giving_memory_back(file, picture):
    """What is freed is made anew when it is needed."""
    small = eager(file)
    before = small(picture[None], [100.0], ALL)
    small.free()
    for a, b in zip(before, small(picture[None], [100.0], ALL), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_closed_engine_holds_no_device_memory(file):
    """None of its own in use and none cached; what CUDA's libraries keep is there before."""
    held = []
    for _ in range(2):
        small = eager(file, "cuda")
        small(images(), [100.0], ALL)
        while_open = torch.cuda.memory_allocated()
        small.close()
        held.append((torch.cuda.memory_allocated(), torch.cuda.memory_reserved()))
    assert held[0] == held[1]
    assert held[1][0] < while_open


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(2.0, 2.0), (9.9, 9.9), (10.1, np.inf), (0.05, np.nan), (-3.0, np.nan), (np.nan, np.nan)],
)
def test_the_range_is_marked_as_rep_117_has_it(answer, expected):
    """Beyond the range +inf; nearer, negative or not a number NaN."""
    depth = constant(answer)(images(), [100.0], BOTH).depth
    np.testing.assert_allclose(depth, expected, rtol=1e-6)


def test_disparity_becomes_metres():
    """Z = f B / disparity: 2000 px * 0.2 m / 100 px = 4 m; no disparity is beyond the range."""
    kind = weights.DepthKind("disparity", focal_length=2000.0, baseline=0.2)
    depth = constant(100.0, depth=kind)(images(), [100.0], BOTH).depth
    np.testing.assert_allclose(depth, 4.0, rtol=1e-6)
    depth = constant(-1.0, depth=kind)(images(), [100.0], BOTH).depth
    assert np.isposinf(depth).all()


def test_a_strided_view_is_read_as_it_lies(random):
    """Padded rows of a message: the same answer as a copy."""
    padded = random.integers(0, 256, (1, 64, 100, 3), dtype=np.uint8)
    view = padded[:, :, :96]
    small = constant()
    for a, b in zip(small(view, [100.0], BOTH), small(view.copy(), [100.0], BOTH), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_message_that_cannot_be_written_to_is_read(file, picture):
    """What a middleware lends may be read-only."""
    lent = picture[None].copy()
    lent.flags.writeable = False
    small = eager(file)
    for a, b in zip(small(lent, [100.0], ALL), small(picture[None], [100.0], ALL), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("backend", ["torch", "cuda_graph"])
def test_cuda_answers_as_the_cpu_does(file, picture, backend, tmp_path):
    """Half precision on the GPU: depth within 1 %, and nearly all labels the same."""
    told = []
    on_gpu = load(file, picture, "cuda", Request(backend, "fp16", tmp_path), told.append)
    answer, expected = (e(picture[None], [100.0], BOTH) for e in (on_gpu, eager(file)))
    np.testing.assert_allclose(answer.depth, expected.depth, rtol=0.01)
    assert (answer.labels == expected.labels).mean() > 0.98
    assert not told


def test_every_size_that_was_built_is_warmed_up_for_every_length_of_batch(file):
    """Some runtimes compile for each, which no image of a second camera should wait for."""
    kind, seen = type(eager(file).backend), set()

    def note(self, inputs, tasks):
        seen.add(tuple(inputs.shape))
        return kind.__call__(self, inputs, tasks)

    sizes = [(64, 96), (96, 64)]
    built = type("Built", (kind,), {"sizes": sizes, "__call__": note})
    backend = built(Deployment(file, CPU, "fp32"), {})
    engine = Engine(backend, file.manifest, CPU, "fp32", pytest.fail)
    engine.warm_up(3)
    assert {(count, 3, *size) for count in (2, 3) for size in sizes} <= seen


def test_an_engine_without_another_to_fall_back_on_says_so(file):
    """Inputs of a size that nothing runs are refused by size, and by name."""
    kind = type(eager(file).backend)
    choosy = type("Choosy", (kind,), {"accepts": lambda self, size: False})
    backend = choosy(Deployment(file, CPU, "fp32"), {})
    engine = Engine(backend, file.manifest, CPU, "fp32", pytest.fail)
    with pytest.raises(EngineError, match="torch fp32 does not accept inputs of 64x96"):
        engine(images(), [100.0], BOTH)
