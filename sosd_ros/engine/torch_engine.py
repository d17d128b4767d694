"""The network in torch, on a CUDA GPU or the CPU."""

from __future__ import annotations

import gc
from collections.abc import Collection, Sequence

import numpy as np
import torch

from ..camera import focal_correction
from ..network import REFINED_STRIDE, input_size, prepare, upsample
from ..weights import Weights, build_network
from .perception import TASK_OF, EngineError, Perception
from .upsampling import classify


class TorchEngine:
    """Runs the network of a weights file.

    Args:
        weights: a verified weights file.
        device: ``cuda``, ``cuda:1``, ..., or ``cpu``.
        depth_range: (least, most) metres; nearer is answered as NaN, farther as +inf. May be set
            between two calls.

    Attributes:
        answers: that the network can be asked for.

    Raises:
        EngineError: if the device is not there. There is no silent fall-back: a robot that was
            built around a GPU should hear that it is missing.
        WeightsError: if tensors and manifest do not fit together.
    """

    backend = "torch"

    def __init__(self, weights: Weights, device: str, depth_range: tuple[float, float]) -> None:
        self.device = _device(device)
        self.manifest = weights.manifest
        self.depth_range = depth_range
        self.network = build_network(weights).to(self.device)
        self.network.to(memory_format=torch.channels_last)
        self.tasks = self.network.tasks
        self.answers = frozenset(answer for answer, task in TASK_OF.items() if task in self.tasks)

    def warm_up(self, image_size: tuple[int, int] = (480, 640)) -> None:
        """Answer a black image, so that the first real one is not the one that waits."""
        self(np.zeros((1, *image_size, 3), np.uint8), [1.0], self.tasks)

    @torch.inference_mode()
    def __call__(
        self, images: np.ndarray, focals: Sequence[float], answers: Collection[str]
    ) -> Perception:
        """Answer a batch of images.

        Args:
            images: (N, H, W, 3) uint8 RGB.
            focals: sqrt(fx fy) of each image's camera, in pixels of the image.
            answers: of ``depth``, ``semantic`` and ``confidence``; what only the others need is
                not computed.
        """
        wanted = {TASK_OF[answer] for answer in answers}
        tasks = [task for task in self.tasks if task in wanted]
        size = (images.shape[1], images.shape[2])
        network_size = input_size(size, self.manifest.input_size)
        pixels = torch.from_numpy(images).to(self.device)
        inputs = prepare(pixels, network_size, self.manifest.mean, self.manifest.std)
        stride_size = (network_size[0] // REFINED_STRIDE, network_size[1] // REFINED_STRIDE)
        with torch.autocast("cuda", enabled=self.device.type == "cuda"):
            output = self.network(inputs, tasks=tasks, size=stride_size)

        depth = labels = confidence = None
        if output.depth is not None:
            shrink = (network_size[0] * network_size[1] / (size[0] * size[1])) ** 0.5
            seen_focals = [focal * shrink for focal in focals]
            full = upsample(output.depth[:, None], size)[:, 0]
            depth = self._metres(full, seen_focals).cpu().numpy()
        if output.logits is not None:
            classes, probability = classify(output.logits, size, "confidence" in answers)
            if "semantic" in answers:
                labels = classes.cpu().numpy()
            if probability is not None:
                confidence = (255 * probability).round().to(torch.uint8).cpu().numpy()
        return Perception(depth, labels, confidence)

    def free(self) -> None:
        """Give back memory that is cached, after a failure for want of it."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def close(self) -> None:
        """Give back everything; the engine cannot be called any more."""
        del self.network
        self.free()

    def memory(self) -> tuple[int, int] | None:
        """Used and total bytes of the device, by all its processes; ``None`` if not known."""
        if self.device.type != "cuda":
            return None
        try:
            free, total = torch.cuda.mem_get_info(self.device)
        except RuntimeError:  # the context is broken, which is told by who needs it
            return None
        return total - free, total

    def _metres(self, answer: torch.Tensor, focals: Sequence[float]) -> torch.Tensor:
        """The network's (N, H, W) answer as metric depth for cameras of ``focals``."""
        kind = self.manifest.depth
        if kind.kind == "disparity":
            assert kind.focal_length is not None and kind.baseline is not None
            answer = kind.focal_length * kind.baseline / answer.clamp(min=0)
        corrections = [focal_correction(focal, self.manifest.focal_length) for focal in focals]
        metres = answer * answer.new_tensor(corrections)[:, None, None]
        least, most = self.depth_range
        metres = torch.where(metres > most, torch.inf, metres)
        return torch.where(metres >= least, metres, torch.nan)


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise EngineError(f"device {name!r} is unknown; use 'cuda' or 'cpu'") from error
    if device.type not in ("cuda", "cpu"):
        raise EngineError(f"device {name!r} is not supported; use 'cuda' or 'cpu'")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise EngineError(
            f"device {name!r} was asked for, but torch {torch.__version__} finds "
            f"{torch.cuda.device_count()} CUDA devices; mend the driver, or set device: cpu"
        )
    return device
