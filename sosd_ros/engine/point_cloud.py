"""A cloud in torch, for answers that stay on the device: what the kernel ``cloud`` writes."""

from __future__ import annotations

import math

import torch

from ..labels import UNLABELLED


def cloud(
    depth: torch.Tensor,
    rays: tuple[torch.Tensor, torch.Tensor],
    rgb: torch.Tensor,
    labels: torch.Tensor | None,
    uncertainty: torch.Tensor | None,
    step: int = 1,
    beyond: float = math.nan,
) -> torch.Tensor:
    """Points: x, y, z, colour, label and uncertainty.

    Args:
        depth: (H, W) float32 metres; what is not finite becomes a point of NaN.
        rays: float32, x/z (1 or H, W) and y/z (H, 1 or W), as they broadcast to the image.
        rgb: (H, W, 3) uint8.
        labels: (H, W) uint8; ``None``: no field of labels.
        uncertainty: (H, W) float32; ``None``: no field of uncertainty.
        step: every how many rows and columns of the image there is a point.
        beyond: metres along z that +inf stands for; NaN: none.

    Returns:
        (h, w, 4 to 6) float32, where colours and labels are bits of integers, as in a message.
    """
    z, (x_over_z, y_over_z) = _every(step, depth), (_every(step, ray) for ray in rays)
    is_beyond = torch.isposinf(z)
    z = torch.where(is_beyond, beyond, z)
    z = torch.where(torch.isfinite(z), z, math.nan)
    red, green, blue = _every(step, rgb).to(torch.int32).unbind(-1)
    colour = red << 16 | green << 8 | blue
    fields = [z * x_over_z, z * y_over_z, z, colour.view(torch.float32)]
    if labels is not None:
        ids = _every(step, labels).to(torch.int32)
        if not math.isnan(beyond):
            ids = torch.where(is_beyond, UNLABELLED, ids)
        fields.append(ids.view(torch.float32))
    if uncertainty is not None:
        fields.append(_every(step, uncertainty))
    return torch.stack(fields, dim=-1)


def _every(step: int, pixels: torch.Tensor) -> torch.Tensor:
    """Of every ``step``-th row and column; one row or column alone stays."""
    return pixels[::step, ::step]
