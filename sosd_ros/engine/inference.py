"""The network of a weights file as backends run it: without batch norms, in their precision."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..network import SOSDNet
from ..network.layers import DepthConv
from ..weights import Weights, build_network
from .rounding import keep_sums


def inference_network(
    weights: Weights, dtype: torch.dtype = torch.float32, depthwise: torch.dtype | None = None
) -> SOSDNet:
    """The network on the CPU, in evaluation mode, with batch norms folded where that is right.

    Args:
        weights: a verified weights file.
        dtype: of the convolutions that are ``rounded``.
        depthwise: whose numbers the depthwise filters among them hold; those of ``dtype`` if
            ``None``. For a runtime that brings float32 filters to lower precision by itself.
    """
    network = build_network(weights)
    if not fold_batch_norms(network):
        network = build_network(weights)
    for convolution in rounded(network):
        if convolution.groups > 1 and (depthwise or dtype) == torch.bfloat16:
            convolution.weight.data = keep_sums(convolution.weight.data)
        convolution.to(dtype)  # once, and not by autocast in every call
    return network


def rounded(network: nn.Module) -> list[nn.Conv2d]:
    """The convolutions that a lower precision is for: all but those that end in metres."""
    convolutions = (module for module in network.modules() if isinstance(module, nn.Conv2d))
    return [module for module in convolutions if not isinstance(module, DepthConv)]


@torch.no_grad()
def fold_batch_norms(network: nn.Module) -> bool:
    """Make batch norms part of the convolutions before them, in float64, rounded once.

    Behind a convolution they fold exactly, however it pads. A batch norm behind anything else stays
    as it is.

    Returns:
        Whether the network answers as before. It does not if what a convolution answers goes
        elsewhere as well, as in some backbones: do not use it then.
    """
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    before = _answers(network, images)
    names = {module: name for name, module in network.named_modules()}
    for convolution, norm in _followed_by_norms(network, images):
        folded = fuse_conv_bn_eval(convolution.double(), norm.double()).float()
        convolution.weight, convolution.bias = folded.weight, folded.bias
        parent, _, child = names[norm].rpartition(".")
        # timm's batch norms have the activation that follows them within.
        setattr(network.get_submodule(parent), child, getattr(norm, "act", nn.Identity()))
    return all(map(_same, _answers(network, images), before))


def _answers(network: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    output = network(images)
    parts = output if isinstance(output, tuple) else (output,)
    return [part for part in parts if isinstance(part, torch.Tensor)]


def _same(answer: torch.Tensor, before: torch.Tensor) -> bool:
    """But for rounding, in any of its layers."""
    return bool((answer - before).abs().max() <= 1e-3 * before.abs().max())


def _followed_by_norms(
    network: nn.Module, images: torch.Tensor
) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Convolutions whose answers batch norms take, as images show."""
    made: dict[int, tuple[nn.Conv2d, torch.Tensor]] = {}  # by the answer, which is held meanwhile
    pairs = []

    def note(module: Any, _: Any, answer: torch.Tensor) -> None:
        made[id(answer)] = module, answer

    def look(module: Any, inputs: tuple[torch.Tensor]) -> None:
        if id(inputs[0]) in made:
            pairs.append((made[id(inputs[0])][0], module))

    hooks = [m.register_forward_hook(note) for m in network.modules() if isinstance(m, nn.Conv2d)]
    hooks += [
        m.register_forward_pre_hook(look)
        for m in network.modules()
        if isinstance(m, nn.BatchNorm2d)
    ]
    network(images)
    for hook in hooks:
        hook.remove()
    return pairs
