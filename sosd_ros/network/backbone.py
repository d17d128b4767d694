"""The feature extractor of Fig. 4: a timm backbone, tapped at strides 8 and 32, or at more.

Two kinds fit. A pyramid has features at each stride that is tapped. A vision transformer has tokens
of one stride, which are laid out as maps: the first quarter of its blocks gives what is tapped at
stride 4, and so on to the last block at stride 32 (Ranftl et al., ICCV 2021).

timm is imported where it is used, see ``layers.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import nn

from .layers import upsample

REFINED_STRIDE = 8
OUTPUT_STRIDE = 32
PAPER_TAPS = (REFINED_STRIDE, OUTPUT_STRIDE)
_QUARTERS = {4: 1, 8: 2, 16: 3, 32: 4}  # of a transformer's blocks, by tap
_PATCH = 16  # in place of one that does not divide OUTPUT_STRIDE
# How models that are built for one size of image are told to take others.
_ANY_SIZE: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False})
_TRIED = (64, 96)
_FITTING = (
    "ResNet, RegNet, EfficientNetV2, MobileNetV4, ConvNeXt, RepViT, PVT, Swin and DINOv2 are "
    "families that do"
)


def check_name(name: str) -> None:
    """Refuse what is not the name of a model, with or without a tag that names its weights.

    Raises:
        ValueError: if timm knows no such model, or no such weights of it.
    """
    import timm

    if not timm.is_model(name):
        raise ValueError(
            f"backbone {name!r} is not a model that timm {timm.__version__} knows; "
            "timm.list_models() names those that it does"
        )
    model, _, tag = name.partition(".")
    if tag and not timm.is_model_pretrained(name):
        raise ValueError(
            f"backbone {name!r} names weights of {model} that timm {timm.__version__} does not "
            f"know; timm.list_pretrained('{model}.*') names those that it does"
        )


class Backbone(nn.Module):
    """Images to low-level features ("Refined fp"), the deepest ones, and what else is tapped.

    Args:
        name: a timm model, such as ``xception65``, ``convnext_tiny`` or
            ``vit_small_patch14_dinov2``; with the tag of its weights, if it has several.
        pretrained: start from timm's weights, which timm downloads, or from the file of them
            at this path.
        taps: strides of the features that are handed on, in ascending order.
        drop_path: how often, in training, the last residual block is left out; earlier ones less
            (stochastic depth, Huang et al., ECCV 2016).
        output_stride: of the deepest features. Below 32, convolutions are dilated instead.

    Attributes:
        channels: of the features, by tap.
        multiple: what both sides of an image have to be multiples of.

    Raises:
        ValueError: if the model does not fit, or cannot be built like this.
        OSError: if its weights cannot be downloaded.
    """

    def __init__(
        self,
        name: str,
        pretrained: bool | str = False,
        taps: Sequence[int] = PAPER_TAPS,
        drop_path: float = 0.0,
        output_stride: int = OUTPUT_STRIDE,
    ) -> None:
        super().__init__()
        check_name(name)
        self.name, self.taps = name, tuple(taps)
        strides = _strides(name)
        has_tokens = len(set(strides)) == 1
        options = _any_size(name, strides[0] if has_tokens else None)
        options["out_indices"] = (_blocks if has_tokens else _stages)(name, strides, taps)
        wishes = {"drop_path": drop_path} if drop_path else {}
        if output_stride != OUTPUT_STRIDE:
            wishes["output_stride"] = output_stride
        self.features: Any = _built(name, pretrained, options, wishes)
        self.channels: dict[int, int] = dict(
            zip(taps, self.features.feature_info.channels(), strict=True)
        )
        found = self._seen_strides(output_stride)
        self.multiple = found[OUTPUT_STRIDE] if has_tokens else 1
        self._coarse = [tap for tap in taps if found[tap] > tap]
        self._frozen: list[str] = []  # names, as synchronised batch norms take others' places

    @torch.no_grad()
    def _seen_strides(self, output_stride: int) -> dict[int, int]:
        """The strides of its features, by tap, as an image shows them.

        Raises:
            ValueError: if they do not fit.
        """
        height, width = _TRIED
        image = torch.zeros(1, 3, height, width)
        if image.is_meta:  # which takes longer than numbers do
            return dict(zip(self.taps, self.features.feature_info.reduction(), strict=True))
        self.features.eval()
        try:
            maps = self._maps(image)
        except Exception as error:  # each of timm's models fails in its own way
            raise ValueError(
                f"backbone {self.name!r} does not take images of any size ({error!r:.200}); "
                f"{_FITTING}"
            ) from error
        self.features.train()
        strides = {tap: height // features.shape[-2] for tap, features in maps.items()}
        sizes = [(self.channels[tap], height // s, width // s) for tap, s in strides.items()]
        fits = sizes == [tuple(features.shape[1:]) for features in maps.values()]
        is_finer = any(s < tap for tap, s in strides.items() if tap <= REFINED_STRIDE)
        if not fits or is_finer or strides[OUTPUT_STRIDE] > output_stride:
            raise ValueError(
                f"backbone {self.name!r} answers an image of {height}x{width} with features of "
                f"{[tuple(features.shape[1:]) for features in maps.values()]}, which do not lie at "
                f"strides {[*self.taps]} with output_stride {output_stride}; {_FITTING}"
            )
        return strides

    def _maps(self, images: torch.Tensor) -> dict[int, torch.Tensor]:
        maps = self.features(images)
        if getattr(self.features, "output_fmt", None) == "NHWC":
            maps = [features.permute(0, 3, 1, 2) for features in maps]
        return dict(zip(self.taps, maps, strict=True))

    def freeze(self, stride: int) -> None:
        """Hold all layers that timm lists up to those of the features at ``stride``.

        Parameters and batch norm statistics stay, and no block is left out.

        Raises:
            ValueError: if the backbone has no features at that stride, or hides where they end.
        """
        taps = {tap["reduction"]: tap["module"] for tap in self.features.feature_info.info}
        if stride not in taps:
            raise ValueError(
                f"backbone {self.name!r} gives features at strides {[*taps]}, but what is to be "
                f"frozen ends at stride {stride}; choose one of these"
            )
        for name in self._names_up_to(taps[stride]):
            module = self.features.get_submodule(name)
            own = [*module.parameters(recurse=False)]
            for parameter in own:
                parameter.requires_grad_(False)
            if own or not [*module.children()]:  # what holds others holds later ones, too
                self._frozen.append(name)

    def _names_up_to(self, tap: str) -> list[str]:
        """The names of all modules from the first to the last within ``tap``."""
        names = [name for name, _ in self.features.named_modules()]
        # As in the whole model, but for what timm wraps around it, and how it joins names.
        plain = [f"{name.removeprefix('body.').removeprefix('model.')}." for name in names]
        plain = [name.replace(".", "_") for name in plain]
        within = [n for n, name in enumerate(plain) if name.startswith(f"{tap.replace('.', '_')}_")]
        if not within:
            raise ValueError(
                f"backbone {self.name!r} does not say which of its modules is {tap!r}, where what "
                "is to be frozen ends; freeze nothing, or choose another backbone"
            )
        return names[: within[-1] + 1]

    def train(self, mode: bool = True) -> Backbone:
        super().train(mode)
        for name in self._frozen:
            self.features.get_submodule(name).training = False
        return self

    def forward(self, images: torch.Tensor) -> dict[int, torch.Tensor]:
        """(N, 3, H, W) normalised images to (N, C8, H/8, W/8) and so on, by tap.

        Those tapped at 16 and 32 may be finer than that.
        """
        maps = self._maps(images)
        for tap in self._coarse:
            maps[tap] = upsample(maps[tap], (images.shape[-2] // tap, images.shape[-1] // tap))
        return maps


def _strides(name: str) -> list[int]:
    """Those of all features that timm can give of a model."""
    import timm

    try:
        with torch.device("meta"):  # costs neither memory nor time
            features = timm.create_model(name, features_only=True)
    except Exception as error:  # each of timm's models fails in its own way
        raise ValueError(
            f"timm cannot give features of backbone {name!r} ({error!r:.200}); {_FITTING}"
        ) from error
    return [level["reduction"] for level in features.feature_info.info]


def _stages(name: str, strides: Sequence[int], taps: Sequence[int]) -> list[int]:
    """Which of a pyramid's features are tapped."""
    if not set(taps) <= set(strides):
        raise ValueError(
            f"backbone {name!r} gives features at strides {[*strides]}, but the network taps "
            f"strides {' and '.join(map(str, taps))}; {_FITTING}"
        )
    return [strides.index(tap) for tap in taps]


def _blocks(_name: str, strides: Sequence[int], taps: Sequence[int]) -> list[int]:
    """After which of a transformer's blocks its tokens are tapped."""
    return [len(strides) * _QUARTERS[tap] // 4 - 1 for tap in taps]


def _any_size(name: str, patch: int | None) -> dict[str, Any]:
    """Options by which a model takes images of any multiples of 32.

    Args:
        patch: the side of a transformer's patches.
    """
    import timm

    about = timm.get_pretrained_cfg(name)
    options: dict[str, Any] = {}
    if about and patch and OUTPUT_STRIDE % patch:
        # timm scales pretrained patches, so that larger ones answer what smaller ones would of a
        # smaller image (Beyer et al., FlexiViT, CVPR 2023). There are as many as before.
        options = {"patch_size": _PATCH, "img_size": about.input_size[-1] // patch * _PATCH}
    if not about or not about.fixed_input_size:
        return options
    for option in _ANY_SIZE:
        with torch.device("meta"), suppress(TypeError):  # where a model lacks the option
            timm.create_model(name, features_only=True, **options, **option)
            return options | option
    return options


def _built(
    name: str, pretrained: bool | str, options: dict[str, Any], wishes: dict[str, Any]
) -> Any:
    import timm

    if isinstance(pretrained, str):
        options = options | {"pretrained_cfg_overlay": {"file": pretrained, "custom_load": False}}
    asked = {{"drop_path": "drop_path_rate"}.get(wish, wish): wishes[wish] for wish in wishes}
    try:
        return timm.create_model(
            name, pretrained=bool(pretrained), features_only=True, **options, **asked
        )
    except (TypeError, AssertionError, NotImplementedError) as error:
        if not wishes:
            raise
        wished = ", ".join(f"{wish} {value:g}" for wish, value in wishes.items())
        raise ValueError(
            f"backbone {name!r} cannot be built with {wished} ({error!r:.200}); leave it out"
        ) from error
