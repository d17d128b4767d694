"""From class scores at the network's stride to labels at the image's size."""

from __future__ import annotations

import torch
from torch.nn import functional

# Numbers that are held at full size at a time: a CPU's cache has room for few, a GPU likes many.
_PIECE = {"cpu": 2**19, "cuda": 2**25}


def classify(
    scores: torch.Tensor, size: tuple[int, int], with_probability: bool
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The best class of each pixel, as of bilinearly upsampled scores.

    All of these would take 49 MB for 40 classes and 640x480, and are never there together: rows are
    upsampled and reduced in pieces.

    Args:
        scores: (N, C, h, w) float32 logits.
        size: (height, width) of the answers.
        with_probability: whether the second answer is wanted.

    Returns:
        (N, height, width) uint8 classes, and the float32 softmax probability of these, or ``None``.
    """
    height, width = size
    count, classes = scores.shape[:2]
    # Bilinear interpolation is separable: along the rows first.
    wide = functional.interpolate(scores, size=(scores.shape[2], width), mode="bilinear")
    above, below, weight = _neighbours(scores.shape[2], height, scores.device)
    labels = scores.new_empty((count, height, width), dtype=torch.uint8)
    probability = scores.new_empty((count, height, width)) if with_probability else None
    rows = max(1, _PIECE[scores.device.type] // (count * classes * width))
    for start in range(0, height, rows):
        piece = slice(start, start + rows)
        full = torch.lerp(wide[:, :, above[piece]], wide[:, :, below[piece]], weight[piece])
        best, labels[:, piece] = full.max(1)
        if probability is not None:
            probability[:, piece] = 1 / full.sub_(best[:, None]).exp_().sum(1)
    return labels, probability


def _neighbours(
    source: int, target: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The two source rows of each target row, and the (target, 1) weight of the second."""
    centres = torch.arange(target, device=device) + 0.5
    position = (centres * (source / target) - 0.5).clamp(min=0)
    above = position.floor().long()
    below = (above + 1).clamp(max=source - 1)
    return above, below, (position - above)[:, None]
