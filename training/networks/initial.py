"""What the layers behind the backbone start from, drawn by the name of each.

So two networks of one seed share the initial values of all layers that they have in common,
whatever else either has, and what differs between their results is not the luck of the draw.
"""

from __future__ import annotations

import hashlib

import torch
from torch import nn

from sosd_ros.network import SOSDNet

_SIGMAS = {"variance01": 0.1, "sigma01": 0.01}
# Convex upsampling is beyond the paper, and is built as the bilinear one that it replaces.
_AS_BUILT = ("backbone.", "depth_upsampling.weigh", "semantic_upsampling.weigh")


def draw(network: SOSDNet, initial: str, seed: int) -> None:
    """Draw the weights of the convolutions behind the backbone, but for those that upsample.

    Args:
        network: newly built; what is not drawn, batch norms too, stays as it is.
        initial: ``variance01`` is the paper's (4.1): a Gaussian of mean 0 and variance 0.01, and
            biases of 0. ``sigma01`` has the deviation 0.01 instead. ``default`` is what torch does.
        seed: of the training.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and not name.startswith(_AS_BUILT):
            _draw(module, initial, _generator(seed, name))


def _draw(conv: nn.Conv2d, initial: str, generator: torch.Generator) -> None:
    if initial == "default":
        # As nn.Conv2d draws them, which takes no generator.
        bound = conv.weight[0].numel() ** -0.5
        for parameter in conv.parameters():
            nn.init.uniform_(parameter, -bound, bound, generator=generator)
        return
    nn.init.normal_(conv.weight, std=_SIGMAS[initial], generator=generator)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


def _generator(seed: int, name: str) -> torch.Generator:
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little"))
