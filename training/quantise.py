"""Post-training quantisation to 8 bits for CPUs, by NNCF, with what it costs measured."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from sosd_ros import atomic
from sosd_ros.engine.exchange import answer_names, answers_of
from sosd_ros.network import Output, prepare, tasks_of, upsample
from sosd_ros.weights import Manifest, Weights

from .data.sample import Samples
from .formats import Run, openvino_model, run_openvino, save_openvino

MOST_LOSS = 0.01  # relative, of mIoU and of rel, above which 8 bits are only an option
CALIBRATION_IMAGES = 200


class Loss(NamedTuple):
    """What one number is in float32 and in 8 bits, and by how much it is worse, relatively."""

    before: float
    after: float
    worse: float


class OpenVinoNetwork(nn.Module):
    """A model of OpenVINO that is called as the network is, for the evaluation."""

    def __init__(self, model: Any, manifest: Manifest) -> None:
        super().__init__()
        self.tasks = tasks_of(manifest.variant)
        self._names = answer_names(manifest)
        self._run: Run = run_openvino(model)

    def forward(self, images: torch.Tensor, size: tuple[int, int]) -> Output:
        """Normalised images (N, 3, h, w) to answers of ``size``."""
        answers = [torch.from_numpy(a) for a in self._run(images.contiguous().numpy())]
        depth, logits, spread = answers_of(self._names, answers)
        if depth is not None:
            depth = upsample(depth[:, None], size)[:, 0]
        if spread is not None:
            spread = upsample(spread[:, None], size)[:, 0]
        logits = None if logits is None else upsample(logits, size)
        return Output(depth, logits, (images, images), spread)


def require_nncf() -> None:
    """Refuse where NNCF is missing."""
    if importlib.util.find_spec("nncf") is None:
        raise ValueError("nncf is not installed; pip install nncf openvino onnxscript")


def quantised(file: Weights, size: tuple[int, int], samples: Samples) -> Any:
    """The network in 8 bits, calibrated on samples that lie evenly over all there are."""
    import nncf

    model = openvino_model(file, size)
    chosen = np.linspace(0, len(samples) - 1, min(CALIBRATION_IMAGES, len(samples))).astype(int)
    inputs = [_input(samples[int(i)].image, file.manifest, size) for i in chosen]
    return nncf.quantize(
        model,
        nncf.Dataset(inputs),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(inputs),
        fast_bias_correction=False,
    )


def _input(image: np.ndarray, manifest: Manifest, size: tuple[int, int]) -> np.ndarray:
    images = torch.from_numpy(np.ascontiguousarray(image))[None]
    return prepare(images, size, manifest.mean, manifest.std).contiguous().numpy()


def losses(before: dict[str, float], after: dict[str, float]) -> dict[str, Loss]:
    """By how much mIoU and rel, or px, are worse; metrics by name."""
    found = {}
    for name, sign in (("mIoU", -1), ("rel", 1), ("px", 1)):
        if name in before:
            worse = sign * (after[name] - before[name])
            share = worse / before[name] if before[name] else math.copysign(math.inf, worse)
            found[name] = Loss(before[name], after[name], share if worse else 0.0)
    return found


def write(file: Weights, model: Any, out: Path, measured: dict[str, Loss]) -> None:
    """Write a quantised model, whole or not at all, with what it lost."""
    numbers = {name: loss._asdict() for name, loss in measured.items()}
    with atomic.together(out) as partial:
        save_openvino(file, model, partial, int8=numbers)
