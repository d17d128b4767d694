"""Depthwise convolutions in training on a CPU: oneDNN's bfloat16 gradients are the slow ones."""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class DepthwiseInFloat32(TorchFunctionMode):
    """Within it, large or strided depthwise convolutions run in float32, whatever autocast says.

    Their gradients take two to five times as long in bfloat16, and the whole training of a network
    on ``tf_efficientnet_lite2`` a quarter longer (torch 2.14, AMD EPYC with AVX-512 bf16).
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is not torch.conv2d or kwargs or not _is_slow(*args):
            return func(*args, **(kwargs or {}))
        features, *others = args
        with torch.autocast("cpu", enabled=False):
            return func(features.float(), *others).to(features.dtype)


def _is_slow(
    _features: Any,
    weight: torch.Tensor,
    _bias: Any = None,
    stride: Any = (1, 1),
    _padding: Any = 0,
    _dilation: Any = 1,
    groups: int = 1,
) -> bool:
    """Whether it is depthwise, and larger than 3x3 or strided; the rest is faster in bfloat16."""
    return groups == weight.shape[0] > 1 and (weight.shape[2] > 3 or max(stride) > 1)
