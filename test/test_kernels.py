"""The compiled kernels: the same numbers as torch, at all sizes."""

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from sosd_ros import kernels
from sosd_ros.engine.device import to_metres, to_uncertainty
from sosd_ros.network import prepare

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


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_an_image_is_prepared_as_torch_does_it(source, target, random):
    """Antialiased resizing and normalisation, to a thousandth."""
    image = random.integers(0, 256, (*source, 3), dtype=np.uint8)
    mean, std = np.array([0.4, 0.5, 0.6], np.float32), np.array([0.2, 0.25, 1.0], np.float32)
    out = np.full((3, *target), np.nan, np.float32)
    vertical, horizontal = (kernels.resampling(a, b) for a, b in zip(source, target, strict=True))
    arguments = (image.reshape(source[0], -1), vertical, horizontal, 255 * mean, 1 / (255 * std))
    kernels.in_bands(target[0], (kernels.prepare, *arguments, out))
    expected = prepare(torch.from_numpy(image[None]), target, mean.tolist(), std.tolist())
    np.testing.assert_allclose(out, expected[0].numpy(), rtol=0, atol=1e-3)


@pytest.mark.parametrize("source", [1, 2, 3, 31, 64, 480])
@pytest.mark.parametrize("target", [1, 2, 32, 64, 65, 1000])
def test_resampling_stays_inside(source, target):
    """Every tap lies in the line, and weights of a pixel add up to one."""
    start, weights = kernels.resampling(source, target)
    assert start.min() >= 0 and (start + len(weights)).max() <= source
    np.testing.assert_allclose(weights.sum(0), 1, rtol=1e-6)
    before, after, weight = kernels.neighbours(source, target)
    assert before.min() >= 0 and after.max() < source
    assert (before <= after).all() and weight.min() >= 0 and weight.max() <= 1


def classified(scores, size, with_confidence=True):
    labels = np.full(size, 99, np.uint8)
    confidence = np.full(size if with_confidence else (0, size[1]), 77, np.uint8)
    to_size = (
        kernels.neighbours(source, target)
        for source, target in zip(scores.shape[1:], size, strict=True)
    )
    kernels.in_bands(size[0], (kernels.classify, scores, *to_size, labels, confidence))
    return labels, confidence


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


@pytest.mark.parametrize("classes", [1, 2, 19, 40])
@pytest.mark.parametrize("spread", [0.01, 3.0, 80.0])
@pytest.mark.parametrize(("source", "size"), GRIDS)
def test_labels_are_those_of_all_scores_upsampled(source, size, spread, classes, random):
    """Exactly so but for ties; confidence differs by one step of 255 at most."""
    scores = random.uniform(-spread, spread, (classes, *source)).astype(np.float32)
    labels, confidence = classified(scores, size)
    exact = torch.from_numpy(scores).double()[None]
    full = functional.interpolate(exact, size=size, mode="bilinear")[0]
    best, expected = full.max(0)
    chosen = full.gather(0, torch.from_numpy(labels).long()[None])[0]
    is_tie = best - chosen < 4e-6 * max(spread, 1)
    assert ((torch.from_numpy(labels) == expected) | is_tie).all()
    probability = full.softmax(0).amax(0).numpy()
    assert np.abs(confidence - 255 * probability).max() <= 1
    np.testing.assert_array_equal(classified(scores, size, with_confidence=False)[0], labels)


def test_equal_scores_are_shared_evenly():
    """The first class wins, and has its share of certainty."""
    labels, confidence = classified(np.full((40, 6, 8), -3.0, np.float32), (48, 64))
    assert (labels == 0).all()
    assert (confidence == round(255 / 40)).all()


def metres(answer, size, is_disparity, numbers, spread=None):
    """Depth and its uncertainty; numbers are the factor, the range, and the greatest share."""
    depth = np.full(size, 99, np.float32)
    uncertainty = np.full(size if spread is not None else (0, size[1]), 99, np.float32)
    spread = uncertainty if spread is None else spread
    to_size = (kernels.neighbours(a, b) for a, b in zip(answer.shape, size, strict=True))
    arguments = (*to_size, is_disparity, *map(np.float32, numbers), depth, spread, uncertainty)
    kernels.in_bands(size[0], (kernels.metres, answer, *arguments))
    return depth, uncertainty


@pytest.mark.parametrize("is_disparity", [False, True])
@pytest.mark.parametrize("depth_range", [(0.1, 10.0), (0.0, np.inf), (2.0, 2.5)])
@pytest.mark.parametrize(("source", "size"), GRIDS)
def test_metres_are_those_of_torch(source, size, depth_range, is_disparity, random):
    """NaN, what is negative or zero, and what lies outside the range included."""
    answer = random.uniform(-2, 12, source).astype(np.float32)
    if answer.size > 20:
        answer.flat[random.choice(answer.size, 4, replace=False)] = np.nan
        answer[:2, :2] = 0
    factor = np.float32(1.7)
    least, most = (np.float32(limit) for limit in depth_range)
    out, _ = metres(answer, size, is_disparity, (factor, least, most, np.inf))
    full = functional.interpolate(torch.from_numpy(answer)[None, None], size=size, mode="bilinear")
    numbers = torch.tensor([factor, least, most])
    expected = to_metres(full[0], numbers, is_disparity)[0].numpy()
    # A value on the very limit, or next to zero, may fall to either side of it.
    value = full[0, 0].numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        exact = factor / value if is_disparity else factor * value
        near = [np.isclose(exact, limit, rtol=1e-4, atol=1e-5) for limit in (least, most)]
    clear = ~(near[0] | near[1] | (np.abs(value) < 0.01))
    np.testing.assert_allclose(out[clear], expected[clear], rtol=1e-3, atol=1e-5)
    assert clear.mean() > 0.9


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
def test_special_answers_become_special_metres(answer, is_disparity, expected):
    """No disparity is beyond the range; no depth, or less, is invalid."""
    given = np.full((1, 1), answer, np.float32)
    out, _ = metres(given, (8, 8), is_disparity, (2.0, 0.1, 10.0, np.inf))
    np.testing.assert_array_equal(out, np.full((8, 8), expected, np.float32))


@pytest.mark.parametrize("is_disparity", [False, True])
@pytest.mark.parametrize("certain", [np.inf, 0.3])
@pytest.mark.parametrize(("source", "size"), GRIDS)
def test_uncertainty_is_that_of_torch(source, size, certain, is_disparity, random):
    """A share of each pixel's metres; depth is as without it where it is certain."""
    answer = random.uniform(0.1, 12, source).astype(np.float32)
    spread = random.uniform(0.02, 0.5, source).astype(np.float32)
    numbers = (1.7, 0.1, 10.0, certain)
    depth, uncertainty = metres(answer, size, is_disparity, numbers, spread)
    alone, nothing = metres(answer, size, is_disparity, numbers)
    assert nothing.size == 0
    full = functional.interpolate(torch.from_numpy(spread)[None, None], size=size, mode="bilinear")
    expected = to_uncertainty(full[0], torch.from_numpy(alone)[None], torch.tensor(certain))
    clear = ~np.isclose(np.sqrt(2) * full[0, 0].numpy(), certain, rtol=1e-4)
    for ours, theirs in zip((depth, uncertainty), expected, strict=True):
        np.testing.assert_allclose(ours[clear], theirs[0].numpy()[clear], rtol=1e-3)
    assert np.isnan(uncertainty[~np.isfinite(depth)]).all()
    if certain == np.inf:
        np.testing.assert_array_equal(depth, alone)


def test_what_is_uncertain_is_unknown_beyond_the_range_as_well():
    """A mirror that looks far away must not clear a costmap: NaN, and not +inf."""
    for answer, spread, expected in (
        (9.0, 0.1, (9.0, 9.0 * 0.1 * 2**0.5)),
        (9.0, 0.2, (np.nan, np.nan)),
        (11.0, 0.1, (np.inf, np.nan)),
        (11.0, 0.2, (np.nan, np.nan)),
        (0.05, 0.1, (np.nan, np.nan)),
    ):
        given, doubt = (np.full((1, 1), number, np.float32) for number in (answer, spread))
        answers = metres(given, (8, 8), False, (1.0, 0.1, 10.0, 0.2), doubt)
        for ours, number in zip(answers, expected, strict=True):
            np.testing.assert_allclose(ours, np.full((8, 8), number), rtol=1e-6)


@pytest.mark.parametrize("doubtful", [True, False])
@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("step", [1, 2, 3, 7])
@pytest.mark.parametrize("beyond", [np.nan, 10.5])
def test_a_cloud_is_rays_times_depth(beyond, step, labelled, doubtful, random):
    """Of every n-th row and column; what is not finite is NaN in all of x, y and z.

    But for what is beyond the range, if that is to have a point: it has no label.
    """
    height, width = 23, 31
    depth = random.uniform(0.1, 10, (height, width)).astype(np.float32)
    depth.flat[::5], depth.flat[::7], depth.flat[::11] = np.inf, np.nan, -np.inf
    x_over_z, y_over_z = (random.uniform(-1, 1, n).astype(np.float32) for n in (width, height))
    rgb = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    labels = random.integers(0, 256, (height if labelled else 0, width), dtype=np.uint8)
    doubt = (random.uniform(0, 1, (height if doubtful else 0, width))).astype(np.float32)
    shape = (-(-height // step), -(-width // step), 4 + labelled + doubtful)
    points = np.zeros(shape, np.float32)
    arguments = (depth, x_over_z, y_over_z, rgb, labels, doubt, step, np.float32(beyond), 255)
    kernels.in_bands(shape[0], (kernels.cloud, *arguments, points, points.view(np.uint32)))

    z = np.where(np.isposinf(depth), np.float32(beyond), depth)
    z[~np.isfinite(z)] = np.nan
    expected = np.stack([z * x_over_z, z * y_over_z[:, None], z], axis=-1)[::step, ::step]
    np.testing.assert_array_equal(points[..., :3], expected)
    integers = points.view(np.uint32)
    red, green, blue = np.moveaxis(rgb[::step, ::step].astype(np.uint32), -1, 0)
    np.testing.assert_array_equal(integers[..., 3], red << 16 | green << 8 | blue)
    if doubtful:
        np.testing.assert_array_equal(points[..., -1], doubt[::step, ::step])
    if labelled:
        is_beyond = np.isposinf(depth) & np.isfinite(beyond)
        expected = np.where(is_beyond, 255, labels)[::step, ::step]
        np.testing.assert_array_equal(integers[..., 4], expected)


@pytest.mark.parametrize("cores", [1, 2, 3, 64])
@pytest.mark.parametrize("rows", [1, 2, 3, 7, 480])
def test_bands_cover_each_row_once(rows, cores, monkeypatch):
    """In every call, however many cores there are."""
    monkeypatch.setattr(kernels.os, "sched_getaffinity", lambda _: range(cores))
    seen, lock = [[0] * rows, [0] * rows], threading.Lock()

    def count(first, last, which):
        with lock:
            for row in range(first, last):
                seen[which][row] += 1

    kernels.in_bands(rows, (count, 0), (count, 1))
    assert seen == [[1] * rows, [1] * rows]


def test_an_error_in_a_band_is_raised():
    """Of any band, rather than half an answer being given."""

    def fail(first, last):
        if last == 480:
            raise ValueError("the last band")

    with pytest.raises(ValueError, match="the last band"):
        kernels.in_bands(480, (fail,))


def calls_a_kernel(folder):
    """Call a copy of a kernel in a process of its own; whether it was found compiled."""
    (folder / "alone.py").write_text(Path(kernels.__file__).read_text())
    os.utime(folder / "alone.py", (0, 0))  # the same file each time
    program = """
        import numpy as np, alone
        depth, rgb = np.full((2, 2), 3, np.float32), np.zeros((2, 2, 3), np.uint8)
        rays, points = np.ones(2, np.float32), np.zeros((2, 2, 4), np.float32)
        inputs = (depth, rays, rays, rgb, rgb[:0, :, 0], depth[:0], 1, np.float32(9), 255)
        alone.in_bands(2, (alone.cloud, *inputs, points, points.view(np.uint32)))
        assert (points[..., :3] == 3).all()
        print(sum(alone.cloud.stats.cache_hits.values()))
    """
    nowhere = str(folder / "alone.py" / "home")  # below a file
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=folder,
        env={"HOME": nowhere, "XDG_CACHE_HOME": nowhere, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout) > 0


def test_kernels_work_where_nothing_can_be_kept(tmp_path):
    """On a file system that is read-only, code is compiled once more in each process."""
    (tmp_path / "__pycache__").write_text("a file, where the compiled code would be kept")
    assert not calls_a_kernel(tmp_path)


def test_damaged_compiled_code_is_compiled_anew_and_kept(tmp_path):
    """A full disk or a loss of power must not be the end of every frame."""
    assert not calls_a_kernel(tmp_path)
    for suffix in (".nbc", ".nbi"):
        for path in (tmp_path / "__pycache__").glob(f"*{suffix}"):
            path.write_bytes(path.read_bytes()[:20])
        assert not calls_a_kernel(tmp_path)
    assert calls_a_kernel(tmp_path)


def test_certainty_does_not_wrap(random):
    """Scores so large that rounding makes more than 1 of a probability: 255, and never 0."""
    scores = (1e5 * random.standard_normal((40, 6, 8))).astype(np.float32)
    _, confidence = classified(scores, (60, 80))
    assert np.median(confidence) == 255 and (confidence > 0).all()
