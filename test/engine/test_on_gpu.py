"""The CUDA graph that all work on a frame is captured as, where the backend says so."""

import contextlib
import dataclasses

import numpy as np
import pytest
import torch

from sosd_ros.engine import answers_to
from sosd_ros.engine.answers import Range
from sosd_ros.engine.on_gpu import GpuProgram

SHAPE = (1, 64, 96)
METRES = Range(0.5, 8.0)


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

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", lambda *_, **__: contextlib.nullcontext())
    return made


@pytest.fixture
def manifest(file):
    """Of a network that has all answers."""
    return dataclasses.replace(file.manifest, spread=True)


def program(backend, manifest, tell):
    return GpuProgram(backend, manifest, SHAPE, answers_to(manifest), torch.device("cpu"), tell)


def test_a_captured_graph_is_replayed_without_the_network(manifest, answering, graphs):
    """Once a frame, and nothing is run operation by operation."""
    backend = answering(manifest, SHAPE, uses_graph=True)
    with_graph = program(backend, manifest, pytest.fail)
    calls = len(backend.inputs)
    for _ in range(5):
        with_graph(np.zeros((*SHAPE, 3), np.uint8), [1.0], METRES)
    assert [graph.replayed for graph in graphs] == [5]
    assert len(backend.inputs) == calls


def test_a_failed_capture_is_told_and_does_no_harm(
    manifest, answering, random, graphs, monkeypatch
):
    """The reason is in the sentence, and all answers are as without a graph."""

    @contextlib.contextmanager
    def refuse(*_, **__):
        raise RuntimeError("operation not permitted when stream is capturing")
        yield

    monkeypatch.setattr(torch.cuda, "graph", refuse)
    backend, told = answering(manifest, SHAPE, uses_graph=True), []
    refused = program(backend, manifest, told.append)
    assert len(told) == 1
    assert "no CUDA graph" in told[0]
    assert "RuntimeError: operation not permitted when stream is capturing" in told[0]

    backend.uses_graph = False
    plain = program(backend, manifest, pytest.fail)
    images = random.integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
    for one, other in zip(*(p(images, [1.0], METRES) for p in (refused, plain)), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [graph.replayed for graph in graphs] == [0]
