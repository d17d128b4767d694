"""GradNorm (Chen et al., ICML 2018): weights of the losses that balance the tasks' gradients.

The weights w are moved so that the norm G = ||w grad_W L|| of each task's gradient approaches the
mean of both, times r^alpha. r is the task's inverse training rate: what is left of its loss,
L / L(0), over the mean of that. A task that lags behind gets the larger gradient.

W is the last layer that both tasks share: the convolution of the Common Representation. L(0) is
the first loss seen; for semantics, whose scores start near zero, that is log(classes).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import autograd, nn

from sosd_ros.network import SOSDNet

from .. import distributed
from .base import MakeOptimiser, Options, Strategy

# Adam's momentum could carry a weight past zero, where its task would unlearn.
_LEAST_WEIGHT = 1e-3


class GradNormOptions(Options):
    """The paper's names.

    Attributes:
        alpha: strength of the force that pulls the tasks to one training rate.
        learning_rate: of the weights, which have an Adam of their own.
    """

    alpha: NonNegativeFloat = 1.5
    learning_rate: PositiveFloat = 0.025


class GradNorm(Strategy):
    """Both tasks, by weights that move after every step and always sum to the number of tasks.

    Attributes:
        weights: (tasks,), all 1 at first.
        first: (tasks,) L(0) of the whole mini-batch; ``None`` before it is seen.
    """

    Options = GradNormOptions
    needs_both_tasks = True
    weighs_gradients = True

    def __init__(self, network: SOSDNet, options: Any, make_optimiser: MakeOptimiser) -> None:
        super().__init__(network, options, make_optimiser)
        self.layer = network.get_parameter("common.conv.conv.weight")
        self.weights = nn.Parameter(torch.ones(len(self.tasks), device=self.layer.device))
        self.first: torch.Tensor | None = None
        self.own = [self.weights]
        self._weights_optimiser = torch.optim.Adam(self.own, lr=options.learning_rate)
        self.optimisers.append(self._weights_optimiser)

    def combine(
        self, losses: Mapping[str, torch.Tensor], shared: tuple[torch.Tensor, ...]
    ) -> torch.Tensor:
        by_task = torch.stack([losses[task] for task in self.tasks])
        self.weights.grad = self._gradient(by_task)
        return (self.weights.detach() * by_task).sum()

    def end(self) -> None:
        self._weights_optimiser.step()
        with torch.no_grad():
            self.weights.clamp_(min=_LEAST_WEIGHT)
            self.weights.mul_(len(self.weights) / self.weights.sum())

    def _gradient(self, losses: torch.Tensor) -> torch.Tensor | None:
        """Of sum |G - mean(G) r^alpha| by the weights, the targets held constant."""
        # Each process has its share of the mini-batch; the mean over all of them is the whole.
        processes = distributed.processes()
        left = distributed.total(losses.detach()) / processes
        if not (left > 0).all():  # a task without any truth here has no rate
            return None
        gradients = torch.stack(
            [autograd.grad(loss, self.layer, retain_graph=True)[0].flatten() for loss in losses]
        )
        norms = self.weights * (distributed.total(gradients) / processes).norm(dim=1)

        if self.first is None:
            self.first = left
        left = left / self.first
        rate = left / left.mean()
        target = norms.detach().mean() * rate**self.options.alpha
        return autograd.grad((norms - target).abs().sum(), self.weights)[0]

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "first": self.first}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        first = state["first"]
        self.first = None if first is None else first.to(self.weights.device)


STRATEGY = GradNorm
