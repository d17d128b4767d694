"""A network that is measured sees images as it does on the robot."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from sosd_ros.engine import Range, Request, load
from sosd_ros.weights import Weights
from training.data import nyuv2
from training.networks import trained


@pytest.mark.parametrize("fit", [0, 1, 4, 9])
@pytest.mark.parametrize("focal", [0.5, 0.7, 1.0, 2.0])
def test_an_evaluation_answers_as_the_engine(file, small_weights, random, focal, fit):
    """At each focal length, in as many inputs."""
    camera, manifest = nyuv2.data_set(), file.manifest
    images = random.integers(0, 256, (1, 60, 80, 3), dtype=np.uint8)
    manifest = dataclasses.replace(manifest, focal_length=camera.focal(manifest.input_size))
    weights = Weights(manifest, file.tensors, "")
    engine = load(weights, images, "cpu", Request("torch", "fp32"))
    engine.fit = fit
    predictor = dataclasses.replace(
        trained.load(small_weights).predictor(), focal=focal, fit=fit, data=camera
    )
    with torch.inference_mode():
        [ours] = predictor.answers(torch.from_numpy(images))
    focals = [focal * camera.focal((60, 80))]
    theirs = engine(images, focals, ["depth", "semantic"], Range(-math.inf, math.inf))
    np.testing.assert_allclose(ours["depth"].numpy(), theirs.depth, rtol=1e-3)
    assert (ours["semantic"].argmax(1).numpy() == theirs.labels).mean() > 0.995
