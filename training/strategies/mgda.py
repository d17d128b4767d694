"""MGDA-UB (Sener and Koltun, NeurIPS 2018): a direction that is downhill for both tasks.

Where gradients conflict, their sum may be uphill for one of the tasks. The point of least norm in
the convex hull of the two gradients never is; if it is zero, no direction helps both. The upper
bound (UB) takes the gradients by the shared representation instead of the shared parameters, which
costs no pass through the backbone. The representation is all that both tasks' own parts see: the
Common Representation and the refined features together.

As in the paper's Algorithm 2 a task's own parameters learn from the losses as they are, and only
what comes before the representation learns from the point of least norm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import autograd, nn

from sosd_ros.network import SOSDNet
from sosd_ros.network.backbone import REFINED_STRIDE

from .. import distributed
from .base import MakeOptimiser, Options, Strategy


class MGDAOptions(Options):
    """How MGDA compares gradients.

    Attributes:
        normalise: what each task's gradient is divided by to find the weights: nothing, as in the
            paper; or, as the authors' program offers, its norm (``l2``), its loss, or the
            product of both (``loss+``). The weights then apply to the gradients as they are, so
            that only ``none`` promises a direction that is downhill for both.
    """

    normalise: Literal["none", "l2", "loss", "loss+"] = "none"


class MGDA(Strategy):
    Options = MGDAOptions
    needs_both_tasks = True
    weighs_gradients = True

    def __init__(self, network: SOSDNet, options: Any, make_optimiser: MakeOptimiser) -> None:
        super().__init__(network, options, make_optimiser)
        network.backbone.register_forward_hook(_set_refined_apart)

    def combine(
        self, losses: Mapping[str, torch.Tensor], shared: tuple[torch.Tensor, ...]
    ) -> torch.Tensor:
        by_task = torch.stack([losses[task] for task in self.tasks])
        gradients = [autograd.grad(loss, shared, retain_graph=True) for loss in by_task]
        weights = self._weights(by_task.detach(), gradients)
        for features, first, second in zip(shared, *gradients, strict=True):
            _replace_gradient(features, weights[0] * first + weights[1] * second)
        return by_task.sum()

    def _weights(
        self, losses: torch.Tensor, gradients: list[tuple[torch.Tensor, ...]]
    ) -> torch.Tensor:
        """The tasks' (2,), the same in every process.

        The representation of the whole mini-batch is that of all processes' samples. A factor
        that both gradients have in common, such as the number of processes, changes nothing.
        """
        flat = torch.stack([torch.cat([p.float().flatten() for p in parts]) for parts in gradients])
        gram = distributed.total(flat @ flat.T)
        norms, losses = gram.diagonal().sqrt(), distributed.total(losses)
        scale = {
            "none": torch.ones_like(norms),
            "l2": norms,
            "loss": losses,
            "loss+": losses * norms,
        }[self.options.normalise]
        # A task without any truth in this mini-batch has loss and gradient 0.
        scale = scale.clamp(min=1e-12)
        return least_norm(gram / scale.outer(scale))


def least_norm(gram: torch.Tensor) -> torch.Tensor:
    """Weights (2,) of two vectors, not negative and of sum 1, whose weighted sum is the shortest.

    The square of the length of ``gamma a + (1 - gamma) b`` is a parabola in gamma, with its
    minimum at ``(b - a) b / |a - b|^2``, clipped to 0..1. Of two equal vectors either does.

    Args:
        gram: (2, 2) inner products.
    """
    (aa, ab), (_, bb) = gram
    distance = aa - 2 * ab + bb
    # A difference of large numbers: what is left of equal ones is their rounding.
    differ = distance > 4 * torch.finfo(gram.dtype).eps * (aa + bb)
    gamma = torch.where(differ, ((bb - ab) / distance).clamp(0, 1), 0.5)
    return torch.stack([gamma, 1 - gamma])


def _set_refined_apart(
    _module: nn.Module, _inputs: Any, features: dict[int, torch.Tensor]
) -> dict[int, torch.Tensor]:
    # The backbone makes its deepest features from the refined ones. Gradients by a view, which
    # only the tasks' paths get, leave that way out: it is the Common Representation's.
    refined = {stride: f.view_as(f) for stride, f in features.items() if stride <= REFINED_STRIDE}
    return features | refined


def _replace_gradient(features: torch.Tensor, gradient: torch.Tensor) -> None:
    features.register_hook(lambda _: gradient)


STRATEGY = MGDA
