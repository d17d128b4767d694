"""Algorithm 1: the EM learning strategy.

Steps alternate between learning depth and learning semantics. Each holds the other task's path and
unit fixed, and moves its own and everything shared, theta_com.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import nn

from sosd_ros.network import TASKS, SOSDNet
from sosd_ros.network.sharp import DETAIL_STRIDE

from .base import MakeOptimiser, Options, Strategy


class EMOptions(Options):
    """The defaults are the paper's, or the plainest where it is silent.

    Attributes:
        every: iterations after which the task changes, or ``epoch``.
        alpha: weights of the three branches of eq. 5 in the gradient of theta_com, in the order of
            Algorithm 1: the learned task's own path, the 3-D area of its unit, the held path.
        moments: one Adam for all parameters, or one for each task's steps, with moments of
            theta_com of its own.
        batch_norm: mode of the held path and unit: ``train`` normalises by the mini-batch and
            goes on counting statistics, ``eval`` uses those that are there.
        hold: whether the other path and unit are held at all. Else the learned task moves what its
            unit reads of them.
    """

    every: PositiveInt | Literal["epoch"] = 1
    alpha: tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat] = (1.0, 1.0, 1.0)
    moments: Literal["shared", "separate"] = "shared"
    batch_norm: Literal["train", "eval"] = "train"
    hold: bool = True


class EM(Strategy):
    Options = EMOptions
    needs_both_tasks = True
    freezes = True

    def __init__(self, network: SOSDNet, options: Any, make_optimiser: MakeOptimiser) -> None:
        super().__init__(network, options, make_optimiser)
        if options.moments == "separate":
            self.optimisers = [make_optimiser(self._moved(task)) for task in TASKS]
        # With every alpha at 1 the sum of eq. 5 is the plain gradient.
        if options.alpha != (1, 1, 1):
            self._weigh_branches()

    def tasks_at(self, iteration: int, epoch: int) -> Sequence[str]:
        return (TASKS[self._turn(iteration, epoch)],)

    def _turn(self, iteration: int, epoch: int) -> int:
        every = self.options.every
        return (epoch if every == "epoch" else iteration // every) % len(TASKS)

    def begin(self, iteration: int, epoch: int) -> None:
        turn = self._turn(iteration, epoch)
        self.tasks = (TASKS[turn],)
        self.optimiser = self.optimisers[turn % len(self.optimisers)]
        for task in TASKS:
            learned = task in self.tasks or not self.options.hold
            # Held parameters get no gradient at all: Adam would move them on a gradient of zero.
            # Gradients still flow through them into the shared ones.
            for parameter in self.network.task_parameters(task):
                parameter.requires_grad_(learned)
            if self.options.batch_norm == "eval":
                for module in self.network.task_modules(task):
                    module.train(learned)

    def _moved(self, task: str) -> Iterator[nn.Parameter]:
        """What the steps of a task move: all but the other task's own."""
        held = (
            {p for other in TASKS if other != task for p in self.network.task_parameters(other)}
            if self.options.hold
            else set()
        )
        return (parameter for parameter in self.network.parameters() if parameter not in held)

    def _weigh_branches(self) -> None:
        """Scale gradients where they leave a branch for theta_com; answers stay as they are."""
        if self.network.variant == "mtl":
            raise ValueError(
                "alpha of strategy em weighs the branches of a unit, but variant 'mtl' has no "
                "units; leave alpha out"
            )
        if not hasattr(self.network.depth_head, "area_3d"):
            raise ValueError(
                "alpha of strategy em weighs the branches of the paper's units, but with "
                "network.units=told depth has no area; leave alpha out"
            )
        if DETAIL_STRIDE in self.network.taps:
            raise ValueError(
                "alpha of strategy em weighs the branches of the paper's network, but taps has "
                f"{DETAIL_STRIDE}, which is one more; leave alpha out, or that tap"
            )
        own, area, held = self.options.alpha
        for task in TASKS:
            path, unit = self.network.task_modules(task)[:2]
            path.register_forward_pre_hook(
                lambda _module, maps, task=task: _scaled(maps, own if task in self.tasks else held)
            )
            unit.get_submodule("area_3d").register_forward_pre_hook(
                lambda _module, maps: _scaled(maps, area)
            )


class _ScaledGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: torch.Tensor, factor: float) -> torch.Tensor:
        ctx.factor = factor
        return features.view_as(features)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradients[0] * ctx.factor, None


def _scaled(maps: tuple[torch.Tensor, ...], factor: float) -> tuple[torch.Tensor, ...]:
    return tuple(_ScaledGradient.apply(features, factor) for features in maps)


STRATEGY = EM
