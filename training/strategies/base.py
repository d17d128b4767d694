"""What every strategy is: joint training, of which the others change a part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from sosd_ros.network import SOSDNet

MakeOptimiser = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


class Options(BaseModel):
    """The settings of a strategy, as a configuration gives them; each strategy adds its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str


class Strategy:
    """How the losses of the tasks move the parameters.

    For every mini-batch the training loop calls :meth:`begin`, computes the losses of
    ``self.tasks``, goes backward from what :meth:`combine` makes of them, lets ``self.optimiser``
    step, and calls :meth:`end`.

    Args:
        network: to train.
        options: an instance of the class attribute ``Options``.
        make_optimiser: makes an optimiser over parameters, with the run's learning rate.

    Attributes:
        tasks: that the present mini-batch teaches.
        optimiser: that steps after the present mini-batch.
        optimisers: all of them; their state is in the checkpoint.
        own: parameters of the strategy itself, such as learned weights of the losses. The loop
            averages their gradients over the processes.
    """

    Options: type[Options] = Options
    #: The strategy sets two tasks against each other: a network with one does not suit it.
    needs_both_tasks = False
    #: The strategy looks at gradients before it combines the losses: this needs the whole
    #: mini-batch at once, and rules float16 out, whose gradients are only right when scaled.
    weighs_gradients = False
    #: Some steps hold parameters fixed, so that not every parameter gets a gradient.
    freezes = False

    def __init__(self, network: SOSDNet, options: Any, make_optimiser: MakeOptimiser) -> None:
        self.network, self.options = network, options
        self.tasks = network.tasks
        self.own: list[nn.Parameter] = []
        self.optimiser = make_optimiser(network.parameters())
        self.optimisers = [self.optimiser]

    def tasks_at(self, iteration: int, epoch: int) -> Sequence[str]:
        """What the mini-batch ``iteration`` teaches, so that it can be drawn before its step."""
        return self.network.tasks

    def begin(self, iteration: int, epoch: int) -> None:
        """Before a mini-batch; both counted from 0, over the whole training.

        The network is in training mode. What must be held fixed in this step is frozen here.
        """

    def combine(
        self, losses: Mapping[str, torch.Tensor], shared: tuple[torch.Tensor, ...]
    ) -> torch.Tensor:
        """The scalar to go backward from; called for each part of a mini-batch.

        Args:
            losses: the loss of each of ``self.tasks``. With P processes, each one's are P times
                its share of the whole mini-batch's: their mean over the processes is the loss.
            shared: ``Output.shared`` of the forward pass that gave them.
        """
        return torch.stack(list(losses.values())).sum()

    def end(self) -> None:
        """After the optimiser's step."""

    def state_dict(self) -> dict[str, Any]:
        """What it remembers from one step to the next, besides the optimisers."""
        return {"own": [parameter.detach() for parameter in self.own]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state_dict`."""
        for parameter, value in zip(self.own, state["own"], strict=True):
            parameter.data.copy_(value)
