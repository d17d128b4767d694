"""Quantising: what it is measured by, and what it refuses."""

import importlib.util
import math

import numpy as np
import pytest
import torch

from sosd_ros import weights
from sosd_ros.engine.backend import Deployment
from sosd_ros.engine.formats import openvino_model, save_openvino
from sosd_ros.engine.openvino_backend import OpenVinoBackend
from sosd_ros.network import upsample
from training import quantise

SIZE = (64, 96)


def test_a_backend_stands_in_for_the_network(sharp, tmp_path):
    """In the evaluation: all that the network answers, at the size that it is asked for."""
    for name in ("openvino", "onnxscript"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    network = weights.build_network(sharp)
    path = tmp_path / "network.xml"
    model = openvino_model(sharp, SIZE, dynamic_size=True)  # which is made sooner
    save_openvino(sharp, model, path)
    deployment = Deployment(sharp, torch.device("cpu"), "fp32")
    backend = OpenVinoBackend(deployment, {SIZE: path})
    stand_in = quantise.BackendNetwork(backend, sharp.manifest)
    images = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, *SIZE))).float()
    images = images.contiguous(memory_format=torch.channels_last)  # as evaluation prepares them
    with torch.inference_mode():
        ours = stand_in(images, size=(71, 107))
        theirs = network(images, size=network.answer_size(images))
    assert stand_in.tasks == network.tasks
    for name in ("depth", "spread", "logits"):
        one, other = getattr(ours, name), getattr(theirs, name)
        other = upsample(other if other.ndim == 4 else other[:, None], (71, 107))
        torch.testing.assert_close(one, other.view_as(one), rtol=1e-3, atol=1e-3)


def test_costs_are_relative_and_positive_where_it_is_worse():
    """mIoU should be high, and rel low."""
    lost = quantise.costs({"mIoU": 0.5, "rel": 0.2}, {"mIoU": 0.4, "rel": 0.19})
    assert lost["mIoU"] == pytest.approx((0.5, 0.4, 0.2))
    assert lost["rel"] == pytest.approx((0.2, 0.19, -0.05))
    assert quantise.costs({"rel": 0.2}, {"rel": 0.2}) == {"rel": (0.2, 0.2, 0.0)}
    assert quantise.costs({"px": 2.0}, {"px": 3.0}) == {"px": (2.0, 3.0, 0.5)}
    assert quantise.costs({"mIoU": 0.0}, {"mIoU": 0.0}) == {"mIoU": (0.0, 0.0, 0.0)}
    assert quantise.costs({"rel": 0.0}, {"rel": 0.1})["rel"].worse == math.inf
