"""Fixtures of the engine's tests: a weights file that has been read, a picture, built engines."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from support import FROM_ONNX

from sosd_ros.engine import EngineError, Request, build
from sosd_ros.engine.answers import Answers
from sosd_ros.network import input_size


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """The network is so small that threads would mostly wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def picture(random):
    """(64, 96, 3) of noise, the size that the small network was made for."""
    return random.integers(0, 256, (64, 96, 3), dtype=np.uint8)


class Answering:
    """Stands in for a backend: gives what it was made with, and keeps what it was given."""

    def __init__(self, answers, uses_graph):
        self.answers, self.uses_graph = answers, uses_graph
        self.inputs, self.tasks = [], []

    def __call__(self, inputs, tasks):
        self.inputs.append(inputs.clone())
        self.tasks.append(set(tasks))
        depth, logits, spread = self.answers
        if "depth" not in tasks:
            depth = spread = None
        return Answers(depth, logits if "semantic" in tasks else None, spread)


@pytest.fixture
def answering(random):
    """Makes such backends, for a manifest and the (N, H, W) of images.

    Answers are random, at the network's stride; some depth lies on either side of the range.
    """

    def make(manifest, shape, uses_graph=False):
        rows, columns = (side // 8 for side in input_size(shape[1:], manifest.input_size))
        depth = random.uniform(-1, 12, (shape[0], rows, columns)).astype(np.float32)
        logits = random.normal(0, 3, (shape[0], 40, rows, columns)).astype(np.float32)
        spread = random.uniform(0.01, 0.5, depth.shape).astype(np.float32)
        depth, logits, spread = map(torch.from_numpy, (depth, logits, spread))
        return Answering(Answers(depth, logits, spread if manifest.spread else None), uses_graph)

    return make


@pytest.fixture(scope="session")
def built(file, tmp_path_factory):
    """A cache in which what runs from ONNX files is built, as far as it is installed."""
    return _built(file, tmp_path_factory.mktemp("built"), "fp32")


@pytest.fixture(scope="session")
def built_sharp(sharp, tmp_path_factory):
    """The same of the sharp weights, and in bfloat16."""
    return _built(sharp, tmp_path_factory.mktemp("sharp"), "fp32", "bf16")


def _built(file, folder, *precisions):
    frame = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    for backend in FROM_ONNX:
        for precision in precisions:
            if importlib.util.find_spec(backend) and importlib.util.find_spec("onnxscript"):
                try:
                    build(file, frame, "cpu", Request(backend, precision, folder), [(64, 96)])
                except EngineError as error:  # which the tests of that backend will find
                    print(error)
    return folder
