"""What the units are worth to a trained network, and what they say that it does not know anyway."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from sosd_ros.network import SOSDNet
from sosd_ros.network.decoder import SEMANTIC_CHANNELS
from sosd_ros.network.objectness import DepthToSemantic, SemanticToDepth, pixel_sqrt

from ..networks.oracle import TrueObjectness

_CUT_OFF = 1.01 * float(pixel_sqrt(torch.zeros(()), torch.zeros(())))
_ROUNDING = torch.finfo(torch.float32).eps


class DepthCue:
    """Watches the semantic-to-depth cue, from now on, while the network answers.

    Raises:
        ValueError: if the network has no units.
    """

    def __init__(self, network: SOSDNet) -> None:
        depth, _ = _units(network)
        self._cut_off = self._positions = 0
        # Of the cue and the depth feature's channels: the mean of each, and the sums of products of
        # what each pair lies off its means.
        self._mean = self._scatter = torch.zeros(())
        depth.depth.register_forward_pre_hook(self._see)

    def _see(self, _module: nn.Module, inputs: Any) -> None:
        maps = inputs[0].detach().double().transpose(0, 1).flatten(1)
        self._cut_off += int((maps[0] <= _CUT_OFF).sum())
        # Merged as by Chan et al. (1979): sums of the values' own squares would cancel.
        seen, new = self._positions, maps.shape[1]
        self._positions = seen + new
        mean = maps.mean(dim=1)
        off, step = maps - mean[:, None], mean - self._mean.to(mean.device)
        between = step.outer(step) * (seen * new / self._positions)
        self._scatter = self._scatter.to(mean.device) + off @ off.T + between
        self._mean = mean - step * (seen / self._positions)

    @property
    def cut_off(self) -> float:
        """The share of positions at which one of the two areas is zero, and so the cue."""
        return self._cut_off / self._positions

    @property
    def known(self) -> float:
        """The share of the cue's variance that a linear function of the depth feature gives.

        The convolution behind could as well have had it from there; 1 if the cue does not vary, NaN
        if the network answers none.
        """
        mean, scatter = self._mean.cpu(), self._scatter.cpu()
        if not scatter.isfinite().all():
            return math.nan
        spread = scatter.diagonal().sqrt()
        # What varies by less than float32 can tell apart at its size is rounding.
        varies = spread > _ROUNDING * mean.abs() * self._positions**0.5
        if not varies[0]:
            return 1.0
        scatter, spread = scatter[varies][:, varies], spread[varies]
        correlation = scatter / spread.outer(spread)
        cue, others = correlation[1:, :1], correlation[1:, 1:]
        weights = torch.linalg.lstsq(others, cue, driver="gelsd").solution
        return float((cue * weights).sum().clamp(0, 1))


def flatten_cues(network: SOSDNet) -> None:
    """Have both units see their cue's mean over the image at every position, from now on.

    Zero in its place would also take away what the convolution behind it has learned to expect,
    which the bias could have given as well.

    Raises:
        ValueError: if the network has no units.
    """
    depth, semantic = _units(network)
    # Where the cues lie among the channels that the last convolutions see.
    depth.depth.register_forward_pre_hook(_flattening(slice(0, 1)))
    semantic.semantic.register_forward_pre_hook(_flattening(slice(SEMANTIC_CHANNELS, None)))


def _units(network: SOSDNet) -> tuple[SemanticToDepth, DepthToSemantic]:
    depth, semantic = getattr(network, "depth_head", None), getattr(network, "semantic_head", None)
    if isinstance(depth, TrueObjectness):
        raise ValueError("a network with network.units=told has no depth cue")
    if not (isinstance(depth, SemanticToDepth) and isinstance(semantic, DepthToSemantic)):
        raise ValueError(f"a network of variant {network.variant!r} has no units, and so no cues")
    return depth, semantic


def _flattening(channels: slice) -> Callable[[nn.Module, Any], tuple[torch.Tensor]]:
    def hook(_module: nn.Module, inputs: Any) -> tuple[torch.Tensor]:
        maps = inputs[0].clone()
        maps[:, channels] = maps[:, channels].mean(dim=(2, 3), keepdim=True)
        return (maps,)

    return hook
