"""Images that are on the device already, whose answers stay there."""

import dataclasses

import numpy as np
import pytest
import torch

import sosd_ros.engine.engine
from sosd_ros.engine import Range, Request, answers_to, load
from sosd_ros.engine.on_gpu import GpuProgram, Lane

SHAPE = (2, 64, 96)
FACTORS, METRES = [1.0, 1.5], Range(0.5, 8.0, 0.3)
CPU = torch.device("cpu")


@pytest.fixture
def program(file, answering):
    """Of a network that has all answers, on the CPU."""
    manifest = dataclasses.replace(file.manifest, spread=True)
    backend = answering(manifest, SHAPE)
    return GpuProgram(backend, manifest, SHAPE, answers_to(manifest), Lane(CPU))


def images(random):
    return random.integers(0, 256, (*SHAPE, 3), dtype=np.uint8)


def assert_same(answer, expected):
    """Tensors, bit for bit as the arrays."""
    for ours, theirs in zip(answer, expected, strict=True):
        assert isinstance(ours, torch.Tensor)
        np.testing.assert_array_equal(ours.cpu().numpy(), theirs)


def test_tensors_are_answered_as_arrays_are(program, random):
    """Also those that lie strided, as rows of a padded image do; all of depth's marks are there."""
    array = images(random)
    expected = program(array, FACTORS, METRES)
    assert np.isnan(expected.depth).any() and np.isinf(expected.depth).any()
    assert_same(program.on_device(torch.from_numpy(array), FACTORS, METRES), expected)
    padded = torch.zeros(2, 64, 100, 3, dtype=torch.uint8)
    padded[:, :, :96] = torch.from_numpy(array)
    assert_same(program.on_device(padded[:, :, :96], FACTORS, METRES), expected)


def test_answers_on_the_device_outlast_the_next_call(program, random):
    """They have memory of their own."""
    first = program.on_device(torch.from_numpy(images(random)), FACTORS, METRES)
    before = [answer.clone() for answer in first]
    program.on_device(torch.from_numpy(images(random)), [9.0, 9.0], METRES)
    for now, then in zip(first, before, strict=True):
        torch.testing.assert_close(now, then, rtol=0, atol=0, equal_nan=True)


def test_the_callers_stream_is_waited_for_before_its_images_are_read(program, random, monkeypatch):
    """And the host waits at the end, so that frames do not queue on the device."""
    events = []
    for name in ("begin", "wait"):
        monkeypatch.setattr(Lane, name, lambda lane, name=name: events.append(name))
    run = program._run
    monkeypatch.setattr(program, "_run", lambda: (events.append("run"), run()))
    program.on_device(torch.from_numpy(images(random)), FACTORS, METRES)
    assert events == ["begin", "run", "wait"]


def test_the_engine_answers_what_is_asked_and_no_more(sharp, picture, monkeypatch):
    """Uncertainty that only the limits need is not among it."""
    monkeypatch.setattr(
        sosd_ros.engine.engine,
        "CpuProgram",
        lambda *arguments, canvas: GpuProgram(*arguments, Lane(CPU), canvas),
    )
    engine = load(sharp, picture, "cpu", Request("torch", "fp32"))
    asked = [100.0], ["depth", "semantic"], METRES
    answer = engine.on_device(torch.from_numpy(picture[None]), *asked)
    expected = engine(picture[None], *asked)
    assert answer.confidence is answer.uncertainty is None
    assert_same(answer[:2], expected[:2])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("backend", ["torch", "cuda_graph"])
def test_on_a_gpu_images_may_still_be_on_their_way(sharp, picture, backend, tmp_path):
    """Written on the caller's stream, after a pause that it has not waited for."""
    engine = load(sharp, picture, "cuda", Request(backend, "fp32", tmp_path))
    asked = [100.0], sorted(engine.answers)
    expected = engine(picture[None], *asked)
    source, late = torch.from_numpy(picture[None]).cuda(), torch.zeros(1, 64, 96, 3).byte().cuda()
    torch.cuda.synchronize()
    with torch.cuda.stream(torch.cuda.Stream()):
        torch.cuda._sleep(100_000_000)  # cycles
        late.copy_(source)
        answer = engine.on_device(late, *asked)
    assert all(part.is_cuda for part in answer)
    assert_same(answer, expected)
