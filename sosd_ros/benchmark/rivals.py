"""What people run today instead of one network for both answers, built to be timed beside it.

The networks have the architecture, and so the cost, of their kind, and random weights: nothing is
downloaded, and what they answer means nothing. Each is run as a plain node would run it: eager
torch, one image at a time, class scores upsampled to the whole image. The libraries that they come
from are no requirement of the package and are imported when a rival is built.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from ..network import prepare, upsample
from .roofline import flops

CLASSES = 40
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
DTYPES = (torch.float32, torch.bfloat16)


class MissingLibraryError(ImportError):
    """A library that a rival is built from cannot be imported."""


class Rival:
    """A rival at work: image to answer.

    Args:
        network: from images (N, H, W, 3) to depth (N, H, W) and labels (N, H, W) uint8.
        device: where it runs.
        dtype: float32, or bfloat16 by autocast.

    Raises:
        ValueError: on another dtype.
    """

    def __init__(
        self,
        network: nn.Module,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if dtype not in DTYPES:
            raise ValueError(f"dtype {dtype} is not supported; use one of {DTYPES}")
        self.device = torch.device(device)
        self.dtype = dtype
        self.network = network.eval().to(self.device)

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Depth (H, W) float32 and labels (H, W) uint8 of an RGB image (H, W, 3) uint8."""
        lowered = self.dtype != torch.float32
        with torch.inference_mode(), torch.autocast(self.device.type, self.dtype, enabled=lowered):
            depth, labels = self.network(torch.from_numpy(image).to(self.device)[None])
        return depth[0].float().cpu().numpy(), labels[0].cpu().numpy()

    def parameters(self) -> int:
        """Number of learned parameters."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    def flops(self, size: tuple[int, int]) -> int:
        """FLOP for an image of ``size`` = (height, width), counted as in :mod:`.roofline`."""
        return flops(self.network, (1, *size, 3))


class Entry(NamedTuple):
    """A rival that can be built.

    Attributes:
        name: for a table.
        build: makes it for a device and a dtype, which default to the CPU and float32; raises
            :class:`MissingLibraryError` where its library is not installed.
    """

    name: str
    build: Callable[..., Rival]


def rivals() -> list[Entry]:
    """All rivals; none is built yet."""
    return [
        Entry(
            "SegFormer-B0 + Depth Anything small",
            separate_networks,
        ),
        *(
            Entry(
                f"DeepLabV3+ {encoder}, two heads",
                partial(two_headed_deeplab, encoder),
            )
            for encoder in ("mobilenet_v2", "resnet34")
        ),
    ]


def separate_networks(
    device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> Rival:
    """SegFormer-B0 for the labels and Depth Anything (V2) small for the depth, untrained."""
    return Rival(_SeparateNetworks(), device, dtype)


def two_headed_deeplab(
    encoder: str, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> Rival:
    """DeepLabV3+ on an encoder of segmentation_models_pytorch, untrained."""
    return Rival(_TwoHeadedDeepLab(encoder), device, dtype)


class _SeparateNetworks(nn.Module):
    """Each network sees the image at the size that its own preprocessing makes."""

    SEGMENTATION_SIZE = (512, 512)  # of B0 for ADE20K, whatever the image's aspect ratio

    def __init__(self) -> None:
        super().__init__()
        transformers = _library("transformers", "transformers")
        # The defaults of SegformerConfig are B0.
        self.segmentation = transformers.SegformerForSemanticSegmentation(
            transformers.SegformerConfig(num_labels=CLASSES)
        )
        encoder = transformers.Dinov2Config(
            hidden_size=384,
            num_attention_heads=6,
            image_size=518,
            out_indices=[3, 6, 9, 12],
            reshape_hidden_states=False,
        )
        # The rest of the defaults is the small one; metres up to 20 are its indoor form.
        self.depth = transformers.DepthAnythingForDepthEstimation(
            transformers.DepthAnythingConfig(
                backbone_config=encoder, depth_estimation_type="metric", max_depth=20
            )
        )

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        size = _size(images)
        inputs = _inputs(images, self.SEGMENTATION_SIZE)
        labels = _labels(self.segmentation(pixel_values=inputs).logits, size)
        inputs = _inputs(images, depth_input_size(size))
        depth = self.depth(pixel_values=inputs).predicted_depth
        return upsample(depth[:, None], size)[:, 0], labels


class _TwoHeadedDeepLab(nn.Module):
    """The image's own size, to the nearest multiples of the encoder's stride."""

    CHANNELS = 256  # that the decoder gives to the heads

    def __init__(self, encoder: str) -> None:
        super().__init__()
        smp = _library("segmentation_models_pytorch", "segmentation-models-pytorch")
        self.semantic = smp.DeepLabV3Plus(
            encoder, encoder_weights=None, decoder_channels=self.CHANNELS, classes=CLASSES
        )
        self.stride = self.semantic.encoder.output_stride
        self.depth_head = smp.base.SegmentationHead(self.CHANNELS, 1, kernel_size=1, upsampling=4)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        size = _size(images)
        inputs = _inputs(images, (_nearest(size[0], self.stride), _nearest(size[1], self.stride)))
        features = self.semantic.decoder(self.semantic.encoder(inputs))
        labels = _labels(self.semantic.segmentation_head(features), size)
        return upsample(self.depth_head(features), size)[:, 0], labels


def depth_input_size(size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) at which Depth Anything sees an image of ``size``.

    518 on the short side, the other in proportion, to the nearest multiple of a patch's 14.
    """
    scale = 518 / min(size)
    return _nearest(scale * size[0], 14), _nearest(scale * size[1], 14)


def _nearest(length: float, multiple: int) -> int:
    return max(1, round(length / multiple)) * multiple


def _size(images: torch.Tensor) -> tuple[int, int]:
    return images.shape[1], images.shape[2]


def _inputs(images: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """(N, 3, *size), normalised as for ImageNet, which is what all of these were trained with."""
    return prepare(images, size, IMAGENET_MEAN, IMAGENET_STD)


def _labels(scores: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """(N, *size) uint8 from class scores (N, C, h, w), by the usual detour of all of them."""
    if scores.shape[-2:] != size:
        scores = upsample(scores, size)
    return scores.argmax(dim=1).to(torch.uint8)


def _library(module: str, package: str) -> Any:
    """An optional library; ``Any``, because not all of them have types."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingLibraryError(
            f"a rival is built from {module}, which cannot be imported ({error}); "
            f"install it with: pip install {package}"
        ) from error
