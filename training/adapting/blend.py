"""Between a network as it was and as it has become.

On the way from one's weights to the other's, a network learns most of what is new before it
forgets much of what is old (Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022).
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch

from sosd_ros.network import SOSDNet

from ..data.sample import DataSet, Samples
from ..measuring.result import measure
from ..networks.trained import Model

SHARES = (1.0, 0.8, 0.6, 0.4, 0.2)
MOST_MOVED = 0.05


class Blend(NamedTuple):
    """How much of what was learned a network has taken over.

    Attributes:
        share: of the way to the weights that were learned.
        moved: by how much its depth of old pictures then differs from before: the mean of
            |depth - depth before| / depth before.
        pictures: how many these are.
    """

    share: float
    moved: float
    pictures: int

    def __str__(self) -> str:
        return (
            f"{self.share:.0%} of the way from the weights before to those that were learned, so "
            f"that depth of {self.pictures} old pictures moves by {self.moved:.1%}"
        )


def blend(before: SOSDNet, learned: Model, old: Samples, data: DataSet, device: str) -> Blend:
    """Leave in a network the greatest share of what it has learned that old pictures allow.

    Of ``SHARES``: the first with which depth of these moves by ``MOST_MOVED`` at most, or else the
    least.

    Args:
        before: the network as its training began, on the CPU.
        learned: as it ended, there as well; it is changed.
        old: pictures with what was said before as their truth.
        data: that was learned from.
        device: of torch.
    """
    start, end = before.state_dict(), copy.deepcopy(learned.network.state_dict())
    for share in SHARES:
        learned.network.load_state_dict(_between(start, end, share))
        moved = measure(learned.predictor(device), old, data, batch_size=1).depth["rel"]
        if moved <= MOST_MOVED:
            break
    learned.network.cpu()
    return Blend(share, moved, len(old))


def _between(
    start: dict[str, torch.Tensor], end: dict[str, torch.Tensor], share: float
) -> dict[str, torch.Tensor]:
    """Parameters and statistics on the way; counts as in the end."""
    return {
        name: torch.lerp(start[name], value, share) if value.is_floating_point() else value
        for name, value in end.items()
    }
