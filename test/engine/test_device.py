"""The work around the network as a GPU does it, on the CPU: what the CPU's own way answers."""

import contextlib
import dataclasses

import numpy as np
import pytest
import torch

from sosd_ros import weights
from sosd_ros.engine.backend import Answers
from sosd_ros.engine.device import DeviceProgram
from sosd_ros.engine.host import HostProgram, Range
from sosd_ros.network import input_size

CPU = torch.device("cpu")
ALL = ["depth", "semantic", "confidence", "uncertainty"]
METRES = Range(0.5, 8.0)


class Answering:
    """Stands in for a backend: gives what it was made with, and keeps what it was given."""

    uses_graph = False

    def __init__(self, depth, logits, spread):
        self.answers = Answers(depth, logits, spread)
        self.inputs = []

    def __call__(self, inputs, tasks):
        self.inputs.append(inputs.clone())
        depth, logits, spread = self.answers
        if "depth" not in tasks:
            depth = spread = None
        return Answers(depth, logits if "semantic" in tasks else None, spread)


def answering(random, manifest, shape):
    """Random answers at the network's stride, of which some lie on either side of the range."""
    rows, columns = (side // 8 for side in input_size(shape[1:], manifest.input_size))
    depth = random.uniform(-1, 12, (shape[0], rows, columns)).astype(np.float32)
    logits = random.normal(0, 3, (shape[0], 40, rows, columns)).astype(np.float32)
    spread = random.uniform(0.01, 0.5, depth.shape).astype(np.float32)
    return Answering(*map(torch.from_numpy, (depth, logits, spread)))


@pytest.mark.parametrize("kind", ["metres", "disparity"])
@pytest.mark.parametrize("limits", [METRES, METRES._replace(uncertainty=0.4)])
@pytest.mark.parametrize("shape", [(1, 64, 96), (2, 97, 131), (3, 33, 20), (1, 1, 1)])
def test_both_ways_answer_the_same(file, random, shape, limits, kind):
    """The network's input, depth, labels up to ties and confidence up to rounding."""
    depth_kind = weights.DepthKind(kind, *((90.0, 0.1) if kind == "disparity" else ()))
    manifest = dataclasses.replace(file.manifest, depth=depth_kind)
    backend = answering(random, manifest, shape)
    images = random.integers(0, 256, (*shape, 3), dtype=np.uint8)
    factors = random.uniform(0.5, 2, shape[0]).tolist()
    host = HostProgram(backend, manifest, shape, ALL)(images, factors, limits)
    device = DeviceProgram(backend, manifest, shape, ALL, CPU, pytest.fail)(images, factors, limits)

    torch.testing.assert_close(*backend.inputs, rtol=0, atol=1e-4, check_stride=False)
    for one, other in zip(host, device, strict=True):
        assert one.shape == other.shape and one.dtype == other.dtype
    # A value on the very limit may fall to either side of it.
    same = (np.isnan(host.depth) == np.isnan(device.depth)) & (
        np.isinf(host.depth) == np.isinf(device.depth)
    )
    assert same.mean() > 0.999
    finite = np.isfinite(host.depth) & np.isfinite(device.depth)
    np.testing.assert_allclose(host.depth[finite], device.depth[finite], rtol=1e-4)
    np.testing.assert_allclose(host.uncertainty[finite], device.uncertainty[finite], rtol=1e-4)
    for answer in (host, device):
        np.testing.assert_array_equal(np.isnan(answer.uncertainty), ~np.isfinite(answer.depth))
    assert (host.labels == device.labels).mean() > 0.999
    assert np.abs(host.confidence.astype(int) - device.confidence).max() <= 1


@pytest.mark.parametrize(
    "answers", [["depth"], ["semantic"], ["confidence"], ["semantic", "depth"], ["uncertainty"]]
)
def test_both_ways_ask_the_network_for_the_same(file, random, answers):
    """And leave out what was not asked for."""
    backend = answering(random, file.manifest, (1, 64, 96))
    images = np.zeros((1, 64, 96, 3), np.uint8)
    host = HostProgram(backend, file.manifest, (1, 64, 96), answers)
    device = DeviceProgram(backend, file.manifest, (1, 64, 96), answers, CPU, pytest.fail)
    for one, other in zip(*(p(images, [1.0], METRES) for p in (host, device)), strict=True):
        assert (one is None) == (other is None)


@pytest.fixture
def graphs(monkeypatch):
    """CUDA graphs that are none: a list of them, each with how often it was replayed."""
    made = []

    class Graph:
        def __init__(self):
            self.replayed = 0
            made.append(self)

        def replay(self):
            self.replayed += 1

    class Stream:
        def synchronize(self):
            pass

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "graph", lambda *_, **__: contextlib.nullcontext())
    return made


def captured(backend, manifest, told):
    """A program that has tried to capture its work."""
    program = DeviceProgram(backend, manifest, (1, 64, 96), ALL, CPU, told.append)
    program._stream = torch.cuda.Stream()
    program._capture(told.append)
    program._stream = None  # pinned memory cannot be had without a GPU
    return program


def test_a_captured_graph_is_replayed_without_the_network(file, random, graphs):
    """Once a frame, and nothing is run operation by operation."""
    backend, told = answering(random, file.manifest, (1, 64, 96)), []
    program = captured(backend, file.manifest, told)
    calls = len(backend.inputs)
    for _ in range(5):
        program(np.zeros((1, 64, 96, 3), np.uint8), [1.0], METRES)
    assert [graph.replayed for graph in graphs] == [5]
    assert len(backend.inputs) == calls and not told


def test_a_failed_capture_is_told_and_does_no_harm(file, random, graphs, monkeypatch):
    """The reason is in the sentence, and all answers are as without a graph."""

    @contextlib.contextmanager
    def refuse(*_, **__):
        raise RuntimeError("operation not permitted when stream is capturing")
        yield

    monkeypatch.setattr(torch.cuda, "graph", refuse)
    backend, told = answering(random, file.manifest, (1, 64, 96)), []
    program = captured(backend, file.manifest, told)
    assert len(told) == 1
    assert "no CUDA graph" in told[0]
    assert "RuntimeError: operation not permitted when stream is capturing" in told[0]

    images = random.integers(0, 256, (1, 64, 96, 3), dtype=np.uint8)
    plain = DeviceProgram(backend, file.manifest, (1, 64, 96), ALL, CPU, pytest.fail)
    for one, other in zip(*(p(images, [1.0], METRES) for p in (program, plain)), strict=True):
        np.testing.assert_array_equal(one, other)
    assert graphs[0].replayed == 0
