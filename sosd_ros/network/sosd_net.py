"""SOSD-Net as a whole (Fig. 3), and the variants of Tables 1 to 3."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import nn

from .backbone import Backbone
from .context import Context
from .decoder import (
    DEPTH_CHANNELS,
    SEMANTIC_CHANNELS,
    CommonRepresentation,
    DepthFeature,
    SemanticFeature,
)
from .layers import output_conv, upsample
from .objectness import DepthToSemantic, SemanticToDepth

VARIANTS = ("semantic", "depth", "mtl", "sosd", "esosd")
TASKS = ("depth", "semantic")


def tasks_of(variant: str) -> tuple[str, ...]:
    """The tasks that a variant answers, of ``TASKS``."""
    return (variant,) if variant in TASKS else TASKS


def has_units(variant: str) -> bool:
    """Whether a variant has the two units of Fig. 6 and 7."""
    return variant in ("sosd", "esosd")


class Output(NamedTuple):
    """What the network answers; ``None`` for a task that it lacks or was not asked for.

    Attributes:
        depth: (N, H, W) float32, in the unit that the network was trained in.
        logits: (N, classes, H, W) float32 class scores.
        shared: the Common Representation and the refined features, at stride 8: all that the two
            tasks' own paths get to see.
    """

    depth: torch.Tensor | None
    logits: torch.Tensor | None
    shared: tuple[torch.Tensor, torch.Tensor]


class _PlainHead(nn.Module):
    """The last convolution of a path that has no unit behind it, upsampled by 8."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = output_conv(in_channels, out_channels, 3)

    def forward(self, feature: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        return upsample(self.conv(feature).float(), size)


class SOSDNet(nn.Module):
    """Depth and semantics of a batch of images.

    Args:
        variant: ``semantic`` and ``depth`` are single paths, ``mtl`` is both without a unit
            between them, ``sosd`` and ``esosd`` (the same network, trained the EM way) have both
            units.
        backbone: name of a timm model with features at strides 8 and 32.
        classes: number of semantic classes.
        pretrained: let timm download ImageNet weights for the backbone.
        rates: dilations of the context module.
        drop_path: of the backbone, for its training.

    Raises:
        ValueError: on an unknown variant or an unusable backbone.
    """

    def __init__(
        self,
        variant: str = "esosd",
        backbone: str = "xception65",
        classes: int = 40,
        pretrained: bool = False,
        rates: Sequence[int] = (3, 6, 9),
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(f"variant {variant!r} is unknown; choose one of {', '.join(VARIANTS)}")
        self.variant = variant
        self.backbone = Backbone(backbone, pretrained, drop_path)
        self.context = Context(self.backbone.out_channels, rates)
        self.common = CommonRepresentation(self.context.out_channels)

        refined_channels = self.backbone.refined_channels
        units = has_units(variant)
        if variant != "depth":
            self.semantic_feature = SemanticFeature(refined_channels)
            self.semantic_head: nn.Module = (
                DepthToSemantic(classes) if units else _PlainHead(SEMANTIC_CHANNELS, classes)
            )
        if variant != "semantic":
            self.depth_feature = DepthFeature(refined_channels)
            self.depth_head: nn.Module = (
                SemanticToDepth() if units else _PlainHead(DEPTH_CHANNELS, 1)
            )
        for module in self.children():
            if module is not self.backbone:
                module.apply(_init_gaussian)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that this variant answers, of ``TASKS``."""
        return tasks_of(self.variant)

    def forward(
        self,
        images: torch.Tensor,
        tasks: Sequence[str] = TASKS,
        size: tuple[int, int] | None = None,
    ) -> Output:
        """Answer ``tasks`` for normalised images.

        Args:
            images: (N, 3, H, W) floating point. Sizes that are multiples of 32 keep all maps
                aligned with the image.
            tasks: which answers are wanted; what only the others need is not computed.
            size: (height, width) of the answers; the images' own if ``None``.
        """
        size = size or (images.shape[-2], images.shape[-1])
        refined, deepest = self.backbone(images)
        common = self.common(self.context(deepest), (refined.shape[-2], refined.shape[-1]))
        wanted = [task for task in self.tasks if task in tasks]

        if has_units(self.variant):
            maps = (
                self.semantic_feature(common, refined),
                common,
                self.depth_feature(common, refined),
            )
            depth = self.depth_head(*maps, size) if "depth" in wanted else None
            logits = self.semantic_head(*maps, size) if "semantic" in wanted else None
        else:
            depth = logits = None
            if "depth" in wanted:
                depth = self.depth_head(self.depth_feature(common, refined), size)
            if "semantic" in wanted:
                logits = self.semantic_head(self.semantic_feature(common, refined), size)
        return Output(
            depth=None if depth is None else depth[:, 0],
            logits=logits,
            shared=(common, refined),
        )

    def task_parameters(self, task: str) -> Iterator[nn.Parameter]:
        """The parameters of one task alone: its path and the unit that ends in its answer.

        Everything else, the backbone, the context module and the Common Representation, is
        shared (theta_com in Algorithm 1).
        """
        yield from getattr(self, f"{task}_feature").parameters()
        yield from getattr(self, f"{task}_head").parameters()


def _init_gaussian(module: nn.Module) -> None:
    """Zero mean, sigma 0.01, as the paper initialises everything behind the backbone."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, std=0.01)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
