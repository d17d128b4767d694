"""The CUDA graph that all work on a frame is captured as, where the backend says so."""

import contextlib
import dataclasses

import numpy as np
import pytest
import torch

from sosd_ros.engine import EngineError, answers_to
from sosd_ros.engine.answers import Range
from sosd_ros.engine.on_gpu import GpuProgram, Lane

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


def program(backend, manifest):
    return GpuProgram(backend, manifest, SHAPE, answers_to(manifest), Lane(torch.device("cpu")))


def test_a_captured_graph_is_replayed_without_the_network(manifest, answering, graphs):
    """Once a frame, and nothing is run operation by operation."""
    backend = answering(manifest, SHAPE, uses_graph=True)
    with_graph = program(backend, manifest)
    calls = len(backend.inputs)
    for _ in range(5):
        with_graph(np.zeros((*SHAPE, 3), np.uint8), [1.0], METRES)
    assert [graph.replayed for graph in graphs] == [5]
    assert len(backend.inputs) == calls


def test_a_failed_capture_is_refused(manifest, answering, graphs, monkeypatch):
    """What ran without a graph would be another engine; the reason is in the sentence."""

    @contextlib.contextmanager
    def refuse(*_, **__):
        raise RuntimeError("operation not permitted when stream is capturing")
        yield

    monkeypatch.setattr(torch.cuda, "graph", refuse)
    backend = answering(manifest, SHAPE, uses_graph=True)
    reason = "no CUDA graph.*RuntimeError: operation not permitted when stream is capturing"
    with pytest.raises(EngineError, match=reason):
        program(backend, manifest)


def test_other_threads_may_use_cuda_during_a_capture(manifest, answering, graphs, monkeypatch):
    """Diagnostics ask for the memory meanwhile, which the default mode would make it fail for."""
    asked = []

    @contextlib.contextmanager
    def note(graph, pool, stream, capture_error_mode):
        asked.append(capture_error_mode)
        yield

    monkeypatch.setattr(torch.cuda, "graph", note)
    program(answering(manifest, SHAPE, uses_graph=True), manifest)
    assert asked == ["thread_local"]
