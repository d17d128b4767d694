"""What the units are worth to a trained network: its answers with cues that say nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from sosd_ros.network import SOSDNet
from sosd_ros.network.decoder import SEMANTIC_CHANNELS
from sosd_ros.network.objectness import DepthToSemantic, SemanticToDepth


def flatten_cues(network: SOSDNet) -> None:
    """Have both units see their cue's mean over the image at every position, from now on.

    Zero in its place would also take away what the convolution behind it has learned to expect,
    which the bias could have given as well.

    Raises:
        ValueError: if the network has no units.
    """
    depth, semantic = getattr(network, "depth_head", None), getattr(network, "semantic_head", None)
    if not (isinstance(depth, SemanticToDepth) and isinstance(semantic, DepthToSemantic)):
        raise ValueError(f"a network of variant {network.variant!r} has no units, and so no cues")
    # Where the cues lie among the channels that the last convolutions see.
    depth.depth.register_forward_pre_hook(_flattening(slice(0, 1)))
    semantic.semantic.register_forward_pre_hook(_flattening(slice(SEMANTIC_CHANNELS, None)))


def _flattening(channels: slice) -> Callable[[nn.Module, Any], tuple[torch.Tensor]]:
    def hook(_module: nn.Module, inputs: Any) -> tuple[torch.Tensor]:
        maps = inputs[0].clone()
        maps[:, channels] = maps[:, channels].mean(dim=(2, 3), keepdim=True)
        return (maps,)

    return hook
