"""SOSD-Net as a whole (Fig. 3), and the variants of Tables 1 to 3."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, get_args

import torch
from torch import nn

from .backbone import OUTPUT_STRIDE, PAPER_TAPS, REFINED_STRIDE, Backbone
from .context import Context
from .decoder import (
    DEPTH_CHANNELS,
    SEMANTIC_CHANNELS,
    CommonRepresentation,
    DepthFeature,
    SemanticFeature,
)
from .layers import PADDINGS, DepthConv, Padding, output_conv, upsample
from .objectness import DepthToSemantic, SemanticToDepth
from .sharp import DETAIL_STRIDE, ConvexUpsampling, Detail

Variant = Literal["semantic", "depth", "mtl", "sosd", "esosd"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)
TASKS = ("depth", "semantic")
DepthForm = Literal["linear", "log"]
DEPTH_FORMS: tuple[DepthForm, ...] = get_args(DepthForm)
# The arguments of ``SOSDNet`` that say which network it is, apart from its classes.
FORM = ("variant", "backbone", "output_stride", "rates", "taps", "padding", "depth_form", "spread")
LAPLACE_DEVIATION = math.sqrt(2)  # the standard deviation for a spread of 1
_TAPS = (4, 8, 16, 32)
OUTPUT_STRIDES = (8, 16, 32)
_FIRST_SPREAD = 0.2
_MOST_LOG = math.log(1000.0)  # metres
_FEATURE_CHANNELS = {"depth": DEPTH_CHANNELS, "semantic": SEMANTIC_CHANNELS}


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
        shared: the Common Representation and the features that are tapped but for the deepest: all
            that the two tasks' own paths get to see.
        spread: (N, H, W) float32, how unsure the depth is: the scale b of a Laplace distribution
            over log depth. ``None`` if the network does not say.
    """

    depth: torch.Tensor | None
    logits: torch.Tensor | None
    shared: tuple[torch.Tensor, ...]
    spread: torch.Tensor | None = None


class _PlainHead(nn.Module):
    """The last convolution of a path that has no unit behind it, upsampled by 8."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, feature: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        return upsample(self.conv(feature).float(), size)


class SOSDNet(nn.Module):
    """Depth and semantics of a batch of images. The defaults are the paper's.

    Args:
        variant: ``semantic`` and ``depth`` are single paths, ``mtl`` is both without a unit
            between them, ``sosd`` and ``esosd`` (the same network, trained the EM way) have both
            units.
        backbone: name of a timm model that fits, see :class:`~.backbone.Backbone`.
        classes: number of semantic classes.
        pretrained: let timm download weights for the backbone, or take them from this file.
        rates: dilations of the context module.
        drop_path: of the backbone, for its training.
        taps: strides of the backbone's features that are used: 8 and 32, and also 16, which the
            Common Representation then fuses, or 4, which sharpens the answers to that stride.
        padding: what the last convolutions see beyond the borders, of ``PADDINGS``.
        depth_form: of ``DEPTH_FORMS``: whether the last convolution answers depth or its logarithm.
        spread: whether it also answers how unsure the depth is.
        dropout: chance of zeroing a number of the features that the heads see, in training.
        output_stride: of the backbone's deepest features, of ``OUTPUT_STRIDES``.

    Raises:
        ValueError: on an unknown variant or an unusable backbone.
    """

    def __init__(
        self,
        variant: Variant = "esosd",
        backbone: str = "xception65",
        classes: int = 40,
        pretrained: bool | str = False,
        rates: Sequence[int] = (3, 6, 9),
        drop_path: float = 0.0,
        taps: Sequence[int] = PAPER_TAPS,
        padding: Padding = "zeros",
        depth_form: DepthForm = "linear",
        spread: bool = False,
        dropout: float = 0.0,
        output_stride: int = OUTPUT_STRIDE,
    ) -> None:
        super().__init__()
        check_form(variant, taps, padding, depth_form, spread, output_stride)
        self.variant, self.taps = variant, tuple(taps)
        self.padding, self.depth_form, self.spread = padding, depth_form, spread
        self.output_stride = output_stride
        self.backbone = Backbone(backbone, pretrained, taps, drop_path, output_stride)
        channels = self.backbone.channels
        self.context = Context(channels[OUTPUT_STRIDE], rates)
        self.common = CommonRepresentation(self.context.out_channels, channels.get(16, 0))
        self.dropout = nn.Dropout(dropout)

        units, refined_channels = has_units(variant), channels[REFINED_STRIDE]
        if variant != "depth":
            self.semantic_feature = SemanticFeature(refined_channels)
            self.semantic_head: nn.Module = (
                DepthToSemantic(classes, padding)
                if units
                else _PlainHead(output_conv(SEMANTIC_CHANNELS, classes, 3, padding))
            )
        if variant != "semantic":
            self.depth_feature = DepthFeature(refined_channels)
            self.depth_head: nn.Module = (
                SemanticToDepth(1 + spread, padding)
                if units
                else _PlainHead(DepthConv(DEPTH_CHANNELS, 1 + spread, 3, padding))
            )
        if DETAIL_STRIDE in taps:
            self.detail = Detail(channels[DETAIL_STRIDE])
            for task in self.tasks:
                upsampling = ConvexUpsampling(_FEATURE_CHANNELS[task])
                self.add_module(f"{task}_upsampling", upsampling)

    def answer_size(self, images: torch.Tensor) -> tuple[int, int]:
        """The (height, width) at which it answers images, before it upsamples bilinearly.

        Args:
            images: (N, 3, H, W); multiples of 32.
        """
        stride = min(REFINED_STRIDE, *self.taps)
        return images.shape[-2] // stride, images.shape[-1] // stride

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
        features = self.backbone(images)
        refined = features[REFINED_STRIDE]
        at_8 = (refined.shape[-2], refined.shape[-1])
        common = self.common(self.context(features[OUTPUT_STRIDE]), at_8, features.get(16))
        fine = features.get(DETAIL_STRIDE)
        detail = None if fine is None else self.detail(fine, at_8)
        wanted = [task for task in self.tasks if task in tasks]

        paths = {
            task: getattr(self, f"{task}_feature")(common, refined)
            for task in (TASKS if has_units(self.variant) else wanted)
        }
        answers = {}
        for task in wanted:
            answer = self._head(task, paths, common, at_8)
            if detail is not None:
                answer = getattr(self, f"{task}_upsampling")(answer, paths[task], detail)
            answers[task] = answer
        depth, logits = answers.get("depth"), answers.get("semantic")
        return Output(
            depth=None if depth is None else upsample(self.metric(depth[:, :1]), size)[:, 0],
            logits=None if logits is None else upsample(logits, size),
            shared=(common, refined) if detail is None else (common, refined, detail),
            spread=(
                upsample(self._exp(depth[:, 1:]), size)[:, 0]
                if depth is not None and self.spread
                else None
            ),
        )

    def _head(
        self,
        task: str,
        paths: dict[str, torch.Tensor],
        common: torch.Tensor,
        size: tuple[int, int],
    ) -> torch.Tensor:
        """What the convolution that ends a task's path answers, (N, C, *size)."""
        head = getattr(self, f"{task}_head")
        paths = {task: self.dropout(path) for task, path in paths.items()}
        if has_units(self.variant):
            return head(paths["semantic"], common, paths["depth"], size)
        return head(paths[task], size)

    def metric(self, answer: torch.Tensor) -> torch.Tensor:
        """Depth, from what the last convolution answers."""
        return self._exp(answer) if self.depth_form == "log" else answer

    def _exp(self, logarithm: torch.Tensor) -> torch.Tensor:
        """Of log depth or log spread; in training, of ``_MOST_LOG`` where they are greater.

        Where the truth is unknown nothing holds them, and of infinity even a weight of 0 makes NaN.
        """
        if self.training:
            beyond = logarithm - logarithm.clamp(max=_MOST_LOG)
            logarithm = logarithm - beyond.detach()  # and still learns
        return logarithm.exp()

    @torch.no_grad()
    def begin_at(self, depth: float) -> None:
        """Have a network that answers log depth begin with this depth at every position."""
        bias = self._last_conv("depth").get_parameter("bias")
        bias.fill_(math.log(_FIRST_SPREAD))
        bias[0] = math.log(depth)

    @torch.no_grad()
    def scale_depth(self, factor: float) -> None:
        """Multiply depth by a factor, within the last convolution; all else stays."""
        last = self._last_conv("depth")
        if self.depth_form == "log":
            last.get_parameter("bias")[0] += math.log(factor)
            return
        for parameter in last.parameters():
            parameter[0] *= factor

    @torch.no_grad()
    def calibrate(self, temperature: float = 1.0, spread_factor: float = 1.0) -> None:
        """Divide class scores by a temperature, and multiply the spread; labels and depth stay.

        It happens within the last convolutions, behind which all is linear.
        """
        if "semantic" in self.tasks:
            for parameter in self._last_conv("semantic").parameters():
                parameter.div_(temperature)
        if self.spread:
            self._last_conv("depth").get_parameter("bias")[1] += math.log(spread_factor)

    def _last_conv(self, task: str) -> nn.Module:
        """The convolution that answers a task."""
        return getattr(self, f"{task}_head").get_submodule(
            task if has_units(self.variant) else "conv"
        )

    def task_modules(self, task: str) -> list[nn.Module]:
        """What is of one task alone: its path, and the unit that ends in its answer.

        Everything else, the backbone, the context module and the Common Representation, is
        shared (theta_com in Algorithm 1).
        """
        own = dict(self.named_children())
        parts = ("feature", "head", "upsampling")
        return [own[f"{task}_{part}"] for part in parts if f"{task}_{part}" in own]

    def task_parameters(self, task: str) -> Iterator[nn.Parameter]:
        """The parameters of :meth:`task_modules`."""
        for module in self.task_modules(task):
            yield from module.parameters()


def check_form(
    variant: str,
    taps: Sequence[int],
    padding: str,
    depth_form: str,
    spread: bool,
    output_stride: int,
) -> None:
    """Refuse what no network can be built of.

    Raises:
        ValueError: naming the setting, its value and what was expected.
    """
    for name, value, known in (
        ("variant", variant, VARIANTS),
        ("padding", padding, PADDINGS),
        ("depth_form", depth_form, DEPTH_FORMS),
        ("output_stride", output_stride, OUTPUT_STRIDES),
    ):
        if value not in known:
            choices = ", ".join(map(str, known))
            raise ValueError(f"{name} {value!r} is unknown; choose one of {choices}")
    if not (set(PAPER_TAPS) <= set(taps) <= set(_TAPS) and list(taps) == sorted(set(taps))):
        raise ValueError(
            f"taps are {[*taps]}, expected strides of {[*_TAPS]} in that order, with 8 and 32"
        )
    if spread and variant == "semantic":
        raise ValueError("a network of variant 'semantic' has no depth that could have a spread")
