"""The feature extractor of Fig. 4: any timm backbone, tapped at strides 8 and 32, or at more."""

from __future__ import annotations

from collections.abc import Sequence

import timm
import torch
from torch import nn

REFINED_STRIDE = 8
OUTPUT_STRIDE = 32
PAPER_TAPS = (REFINED_STRIDE, OUTPUT_STRIDE)


def check_name(name: str) -> None:
    """Refuse what is not the name of a model.

    Raises:
        ValueError: if timm knows no such model.
    """
    if not timm.is_model(name):
        raise ValueError(
            f"backbone {name!r} is not a model that timm {timm.__version__} knows; "
            "timm.list_models() names those that it does"
        )


class Backbone(nn.Module):
    """Images to low-level features ("Refined fp"), the deepest ones, and what else is tapped.

    Args:
        name: a timm model that gives features at strides 8 and 32, such as ``xception65``,
            ``legacy_xception``, ``tf_efficientnet_lite0`` or ``mobilenetv4_conv_small``.
        pretrained: start from timm's ImageNet weights, which timm downloads.
        taps: strides of the features that are handed on, in ascending order.
        drop_path: how often, in training, the last residual block is left out; earlier ones less
            (stochastic depth, Huang et al., ECCV 2016).

    Raises:
        ValueError: if timm knows no such model, it lacks one of the strides, or its blocks cannot
            be left out.
    """

    def __init__(
        self,
        name: str,
        pretrained: bool = False,
        taps: Sequence[int] = PAPER_TAPS,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.name = name
        check_name(name)
        with torch.device("meta"):  # costs neither memory nor time
            strides = timm.create_model(name, features_only=True).feature_info.reduction()
        if not set(taps) <= set(strides):
            raise ValueError(
                f"backbone {name!r} gives features at strides {strides}, but the network taps "
                f"strides {' and '.join(map(str, taps))}; choose another backbone"
            )
        try:
            self.features = timm.create_model(
                name,
                pretrained=pretrained,
                features_only=True,
                out_indices=[strides.index(stride) for stride in taps],
                **({"drop_path_rate": drop_path} if drop_path else {}),
            )
        except TypeError as error:  # how timm answers an option that a model lacks
            raise ValueError(
                f"backbone {name!r} cannot be built with drop_path {drop_path:g} ({error}); use 0"
            ) from error
        self.taps = tuple(taps)
        self.channels: dict[int, int] = dict(
            zip(taps, self.features.feature_info.channels(), strict=True)
        )
        self._frozen: list[str] = []  # names, as synchronised batch norms take others' places

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
        plain = [f"{name.replace('.', '_')}_".removeprefix("body_") for name in names]
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
        """(N, 3, H, W) normalised images to (N, C8, H/8, W/8) and so on, by stride."""
        return dict(zip(self.taps, self.features(images), strict=True))
