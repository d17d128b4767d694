"""The moving average of a network in training, which is what is measured and exported."""

from __future__ import annotations

import copy
from typing import Any

import torch

from sosd_ros.network import SOSDNet


class MovingAverage:
    """A decayed mean of what a network was after each mini-batch.

    Of batch norms' statistics, too: those of one network do not fit the average of many. Counts
    have no mean, and are the network's.

    In the beginning it moves faster, so that it soon forgets the untrained network. torch's own
    would wait for the GPU to learn how many mini-batches that were.

    Args:
        network: as it begins; what follows is given to :meth:`update`.
        decay: share of the mean that stays at each.
    """

    def __init__(self, network: SOSDNet, decay: float) -> None:
        self.network = copy.deepcopy(network)
        self._decay, self._count = decay, 0

    @torch.no_grad()
    def update(self, network: SOSDNet) -> None:
        """After a mini-batch."""
        kept = min(self._decay, (1 + self._count) / (10 + self._count)) if self._count else 0.0
        (means, counts), (numbers, new_counts) = map(_tensors, (self.network, network))
        torch._foreach_lerp_(means, numbers, 1 - kept)
        if counts:
            torch._foreach_copy_(counts, new_counts)
        self._count += 1

    def state_dict(self) -> dict[str, Any]:
        return {"ema": self.network.state_dict(), "averaged": torch.tensor(self._count)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state_dict`; other entries of ``state`` are left alone."""
        self.network.load_state_dict(state["ema"])
        self._count = int(state["averaged"])


def _tensors(network: SOSDNet) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Parameters and statistics; and counts and indices."""
    tensors: list[torch.Tensor] = [*network.parameters(), *network.buffers()]
    return (
        [tensor for tensor in tensors if tensor.is_floating_point()],
        [tensor for tensor in tensors if not tensor.is_floating_point()],
    )
