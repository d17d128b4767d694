"""Every strategy, on every variant that it suits, learns a few real images by heart."""

import numpy as np
import pytest
import torch

from sosd_ros.network import prepare
from training import strategies
from training.config import Data, Network
from training.data.loader import Batch
from training.data.sets import data_set
from training.data.transforms import resize
from training.networks.imagenet import create_network, normalisation

BACKBONE = "tf_efficientnet_lite0"
SIZE = (64, 96)
FACTOR = 10  # by which each loss falls
STEPS = 60


def variants(strategy):
    """Those that the paper trains by such a strategy."""
    if strategy.freezes:
        return ("esosd",)
    return ("mtl", "sosd") if strategy.needs_both_tasks else ("semantic", "depth", "mtl", "sosd")


RUNS = [(name, v) for name in strategies.NAMES for v in variants(strategies.kind(name))]


@pytest.fixture(scope="module")
def images(real_nyuv2):
    """Four of NYU Depth v2, small."""
    data = data_set(Data(name="nyuv2", size=SIZE)).open(real_nyuv2, "train")
    samples = [resize(data[index], SIZE) for index in range(0, 40, 10)]
    pixels, *truth = (torch.from_numpy(np.stack(part)) for part in zip(*samples, strict=True))
    return Batch(prepare(pixels, SIZE, *normalisation(BACKBONE)), *truth)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "variant"), RUNS)
def test_both_losses_fall_by_the_factor(name, variant, images, make_strategy, step):
    """Within a bounded number of steps, from ImageNet weights."""
    torch.manual_seed(0)
    network = create_network(Network(variant=variant, backbone=BACKBONE), 40, pretrained=True)
    strategy = make_strategy(network, name, learning_rate=1e-3)
    first, last = {}, {}
    for iteration in range(STEPS):
        last |= step(strategy, images, iteration)
        first = last | first
        if set(last) == set(network.tasks) and all(last[t] * FACTOR < first[t] for t in last):
            return
    pytest.fail(f"from {first} to {last} in {STEPS} steps")
