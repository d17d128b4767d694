"""Camera images to network input, the same way on the robot and in the evaluation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch.nn import functional

from .backbone import OUTPUT_STRIDE


def input_size(image_size: tuple[int, int], trained_size: tuple[int, int]) -> tuple[int, int]:
    """The (height, width) at which the network sees an image of ``image_size``.

    It has the area that the network was trained at and the image's aspect ratio, as nearly as
    multiples of 32 allow. The small anisotropic rest is what sqrt(fx fy) averages out.
    """
    height, width = image_size
    area = trained_size[0] * trained_size[1]
    aspect = math.sqrt(width / height)
    ideal = (math.sqrt(area) / aspect, math.sqrt(area) * aspect)
    rows, columns = (max(1, round(side / OUTPUT_STRIDE)) * OUTPUT_STRIDE for side in ideal)
    return rows, columns


def prepare(
    images: torch.Tensor,
    size: tuple[int, int],
    mean: Sequence[float] | torch.Tensor,
    std: Sequence[float] | torch.Tensor,
) -> torch.Tensor:
    """Resize and normalise on the images' own device.

    Args:
        images: (N, H, W, 3) uint8 RGB.
        size: (height, width) of the network's input.
        mean: of red, green and blue, for pixel values in 0..1.
        std: likewise.

    Returns:
        (N, 3, *size) float32, channels last in memory.
    """
    pixels = images.permute(0, 3, 1, 2).float()
    if pixels.shape[-2:] != size:
        pixels = functional.interpolate(pixels, size=size, mode="bilinear", antialias=True)
    shift = torch.as_tensor(mean, device=images.device).view(3, 1, 1) * 255
    scale = torch.as_tensor(std, device=images.device).view(3, 1, 1) * 255
    return ((pixels - shift) / scale).contiguous(memory_format=torch.channels_last)
