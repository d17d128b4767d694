"""What people run today instead of one network for both answers, to be timed beside it.

Each is a module from images (N, H, W, 3) uint8 to depth (N, H, W) in float32 and labels (N, H, W)
uint8, as a plain node would run it: class scores upsampled to the whole image. It has the
architecture, and so the cost, of its kind, and random weights: nothing is downloaded, and what it
answers means nothing. The libraries are no requirement of the package and are imported when one is
made.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from ..engine.openvino_backend import compiler_options
from ..network import prepare, upsample

Answer = Callable[[torch.Tensor], list[np.ndarray]]

CLASSES = 40
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class SeparateNetworks(nn.Module):
    """SegFormer-B0 for the labels and Depth Anything (V2) small for the depth.

    Each sees the image at the size that its own preprocessing makes.

    Raises:
        ImportError: where its library is not installed, with what installs it; as all rivals.
    """

    SEGMENTATION_SIZE = (512, 512)  # of B0 for ADE20K, whatever the image's aspect ratio

    def __init__(self) -> None:
        super().__init__()
        transformers = _library("transformers")
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


class TwoHeadedDeepLab(nn.Module):
    """DeepLabV3+ with a head for depth.

    It sees the image's own size, to the nearest multiples of the encoder's stride.

    Args:
        encoder: of segmentation_models_pytorch.
    """

    CHANNELS = 256  # that the decoder gives to the heads

    def __init__(self, encoder: str) -> None:
        super().__init__()
        smp = _library("segmentation_models_pytorch")
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


RIVALS: dict[str, Callable[[], nn.Module]] = {
    "SegFormer-B0 + Depth Anything small": SeparateNetworks,
    "DeepLabV3+ mobilenet_v2, two heads": partial(TwoHeadedDeepLab, "mobilenet_v2"),
    "DeepLabV3+ resnet34, two heads": partial(TwoHeadedDeepLab, "resnet34"),
}


@torch.inference_mode()
def eager(network: Callable[[torch.Tensor], Any], images: torch.Tensor) -> list[np.ndarray]:
    """Depth and labels, by torch in float32 and back from its device."""
    return [answer.cpu().numpy() for answer in network(images)]


def by_openvino(network: nn.Module, images: torch.Tensor, precision: str) -> Answer:
    """What answers images of this shape on the CPU, all steps of the module compiled as one.

    Raises:
        ImportError: where OpenVINO is not installed.
    """
    openvino = _library("openvino")
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sizes that become constants, as they should
        model = openvino.convert_model(network, example_input=images)
    model.reshape(list(images.shape))
    compiled = openvino.compile_model(model, "CPU", compiler_options(precision))
    request = compiled.create_infer_request()

    def answer(images: torch.Tensor) -> list[np.ndarray]:
        results = request.infer([images.numpy()])
        return [results[i] for i in range(len(results))]

    return answer


def by_compile(network: nn.Module, dtype: torch.dtype) -> Answer:
    """What answers images on a GPU, compiled by inductor and launched as CUDA graphs."""
    compiled = torch.compile(network, mode="reduce-overhead")

    def answer(images: torch.Tensor) -> list[np.ndarray]:
        with torch.autocast("cuda", dtype):
            return eager(compiled, images)

    return answer


def depth_input_size(size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) at which Depth Anything sees an image of ``size``.

    518 on the short side, the other in proportion, to the nearest multiple of a patch's 14.
    """
    scale = 518 / min(size)
    return _nearest(scale * size[0], 14), _nearest(scale * size[1], 14)


def _nearest(length: float, multiple: int) -> int:
    return max(1, round(length / multiple)) * multiple


def _size(images: torch.Tensor) -> tuple[int, int]:
    return int(images.shape[1]), int(images.shape[2])  # constants, also while this is traced


def _inputs(images: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """(N, 3, *size), normalised as for ImageNet, which is what all of these were trained with."""
    return prepare(images, size, IMAGENET_MEAN, IMAGENET_STD)


def _labels(scores: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """(N, *size) uint8 from class scores (N, C, h, w), by the usual detour of all of them."""
    if scores.shape[-2:] != size:
        scores = upsample(scores, size)
    return scores.argmax(dim=1).to(torch.uint8)


def _library(module: str) -> Any:
    """An optional library; ``Any``, because not all of them have types."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.replace("_", "-")
        raise ImportError(f"{error}; install it with: pip install {package}") from error
