"""Fixtures of the engine's tests: a weights file that has been read, a picture, built engines."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

from sosd_ros.engine import EngineError, build


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
    for backend in ("onnxruntime", "openvino"):
        for precision in precisions:
            if importlib.util.find_spec(backend) and importlib.util.find_spec("onnxscript"):
                try:
                    build(file, frame, "cpu", backend, precision, [(64, 96)], folder, tell=print)
                except EngineError as error:  # which the tests of that backend will find
                    print(error)
    return folder
