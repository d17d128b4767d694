"""A small network, a batch for it, and one step of training as the loop takes it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sosd_ros.network import SOSDNet
from training import strategies
from training.data.loader import Batch
from training.learning import losses


class Toy(nn.Module):
    """Two tasks and the one layer, of two weights, that they share."""

    tasks = ("depth", "semantic")
    variant = "mtl"

    def __init__(self):
        super().__init__()
        self.common = nn.Module()
        self.common.conv = nn.Module()
        self.common.conv.conv = nn.Linear(2, 1, bias=False)
        self.weight = self.common.conv.conv.weight
        nn.init.ones_(self.weight)


@pytest.fixture
def toy():
    return Toy()


@pytest.fixture
def batch():
    """Normalised images (2, 3, 64, 96) and their truth."""
    torch.manual_seed(1)
    images, depth = torch.randn(2, 3, 64, 96), 1 + torch.rand(2, 64, 96)
    labels = torch.randint(0, 40, (2, 64, 96), dtype=torch.uint8)
    return Batch(images, depth, labels)


@pytest.fixture
def make_network():
    """network(variant), always of the same weights, whose units matter as if it were trained."""

    def make(variant="esosd", **changes):
        torch.manual_seed(0)
        network = SOSDNet(variant, "mobilenetv4_conv_small", **changes)
        for name, parameter in network.named_parameters():
            if "head" in name and parameter.ndim == 4:
                parameter.data.mul_(30)
        return network

    return make


@pytest.fixture
def make_strategy():
    """strategy(network, name, ...options), with Adam."""

    def make(network, name, /, learning_rate=1e-2, **options):
        return strategies.create(
            strategies.options({"name": name} | options),
            network,
            lambda parameters: torch.optim.Adam(parameters, learning_rate),
        )

    return make


@pytest.fixture
def step():
    """step(strategy, batch) changes the network, and returns the losses before."""

    def take(strategy, batch, iteration=0, epoch=0):
        strategy.begin(iteration, epoch)
        for parameter in [*strategy.network.parameters(), *strategy.own]:
            parameter.grad = None
        output = strategy.network(batch.images, strategy.tasks)
        by_task = losses.losses(output, batch)
        strategy.combine(by_task, output.shared).backward()
        strategy.optimiser.step()
        strategy.end()
        return {task: loss.item() for task, loss in by_task.items()}

    return take
