"""Learned uncertainty (Kendall, Gal and Cipolla, CVPR 2018): a task's noise weighs its loss.

A loss L is seen as the likelihood of answers whose noise has a scale, which is learned as s:

- Depth has Laplace noise of scale b, whose negative log-likelihood is the L1 loss over b, plus
  log b. With s = log b this is exp(-s) L + s.
- Semantics is the softmax of scores over a temperature sigma^2. The paper takes its negative
  log-likelihood as L / sigma^2 + log sigma. With s = log sigma^2 this is exp(-s) L + s / 2.

The minimum of exp(-s) L + c s is at exp(s) = L / c, where the loss has the weight c / L.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import PositiveFloat
from torch import nn

from sosd_ros.network import SOSDNet

from .base import MakeOptimiser, Options, Strategy

_COST = {"depth": 1.0, "semantic": 0.5}  # c, by the likelihoods above


class UncertaintyOptions(Options):
    """How fast the weights may move.

    Attributes:
        rate_factor: learning rate of s, relative to the network's. Adam moves s by at most one
            learning rate a step: at the network's own 1e-4, the 2,940 steps on NYU Depth v2 would
            leave the weights near where they start.
    """

    rate_factor: PositiveFloat = 10.0


class Uncertainty(Strategy):
    """Both tasks by their losses' weights exp(-s), and s with them, by one optimiser.

    Attributes:
        log_scale: s of each task, from 0.
    """

    Options = UncertaintyOptions
    needs_both_tasks = True

    def __init__(self, network: SOSDNet, options: Any, make_optimiser: MakeOptimiser) -> None:
        super().__init__(network, options, make_optimiser)
        device = next(network.parameters()).device
        self.log_scale = {task: nn.Parameter(torch.zeros((), device=device)) for task in self.tasks}
        self.own = list(self.log_scale.values())
        self.optimiser.add_param_group({"params": self.own, "rate_factor": options.rate_factor})

    def begin(self, iteration: int, epoch: int) -> None:
        # Due once in a mini-batch, in however many parts this comes.
        self._costs = [_COST[task] * s for task, s in self.log_scale.items()]

    def combine(
        self, losses: Mapping[str, torch.Tensor], shared: tuple[torch.Tensor, ...]
    ) -> torch.Tensor:
        weighted = [(-self.log_scale[task]).exp() * loss for task, loss in losses.items()]
        costs, self._costs = self._costs, []
        return torch.stack(weighted + costs).sum()


STRATEGY = Uncertainty
