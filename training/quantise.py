"""Post-training quantisation to 8 bits for CPUs, by NNCF, with what it costs measured.

``python -m training.quantise``
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from sosd_ros import atomic, commands
from sosd_ros.engine.backend import Backend, Deployment
from sosd_ros.engine.formats import Order, openvino_model, save_openvino
from sosd_ros.engine.openvino_backend import OpenVinoBackend
from sosd_ros.network import Output, input_size, prepare, tasks_of, upsample
from sosd_ros.weights import Manifest, Weights

from . import options
from .data.sample import DataSet, Part, Samples, evenly_spaced
from .measuring.result import measure
from .measuring.setting import open_setting
from .networks.imagenet import Normalisation
from .networks.predictor import Predictor
from .networks.trained import load as load_model

MOST_LOSS = 0.01  # relative, of mIoU and of rel, above which 8 bits are only an option
CALIBRATION_IMAGES = 200
_CPU = torch.device("cpu")


class Cost(NamedTuple):
    """What one number is in float32 and in 8 bits, and by how much it is worse, relatively."""

    before: float
    after: float
    worse: float


class BackendNetwork(nn.Module):
    """A backend of the engine that is called as the network is, for the evaluation."""

    def __init__(self, backend: Backend, manifest: Manifest) -> None:
        super().__init__()
        self.tasks = tasks_of(manifest.variant)
        self._backend = backend

    def forward(self, images: torch.Tensor, size: tuple[int, int]) -> Output:
        """Normalised images (N, 3, h, w) to answers of ``size``."""
        depth, logits, spread = self._backend(images, self.tasks)
        if depth is not None:
            depth = upsample(depth[:, None], size)[:, 0]
        if spread is not None:
            spread = upsample(spread[:, None], size)[:, 0]
        logits = None if logits is None else upsample(logits, size)
        return Output(depth, logits, (images, images), spread)


def quantised(file: Weights, size: tuple[int, int], samples: Samples) -> Any:
    """The network in 8 bits, calibrated on evenly spaced samples."""
    import nncf

    model = openvino_model(file, size)
    chosen = evenly_spaced(samples, CALIBRATION_IMAGES)
    inputs = [_input(sample.image, file.manifest, size) for sample in chosen]
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


def measured(
    file: Weights, size: tuple[int, int], in_8_bits: Any, samples: Samples, truth: DataSet
) -> dict[str, Cost]:
    """What a set's metrics lose from float32 to 8 bits, both run as the engine's backend does."""
    deployment, metrics = Deployment(file, _CPU, "fp32"), []
    with tempfile.TemporaryDirectory() as folder:
        files = {"float32": Path(folder, "float32.onnx"), "int8": Path(folder, "int8.xml")}
        OpenVinoBackend.build(deployment, size, files["float32"])
        save_openvino(file, in_8_bits, files["int8"])
        for what, path in files.items():
            print(f"measuring {what} on {len(samples)} images ...", flush=True)
            predictor = Predictor(
                BackendNetwork(OpenVinoBackend(deployment, {size: path}), file.manifest),
                truth,
                size,
                Normalisation(file.manifest.mean, file.manifest.std),
            )
            metrics.append(measure(predictor, samples, truth).pooled())
    return costs(*metrics)


def costs(before: dict[str, float], after: dict[str, float]) -> dict[str, Cost]:
    """By how much mIoU and rel, or px, are worse; metrics by name."""
    found = {}
    for name, sign in (("mIoU", -1), ("rel", 1), ("px", 1)):
        if name in before:
            worse = sign * (after[name] - before[name])
            share = worse / before[name] if before[name] else math.copysign(math.inf, worse)
            found[name] = Cost(before[name], after[name], share if worse else 0.0)
    return found


def command_line() -> argparse.ArgumentParser:
    parser = commands.parser(
        "training.quantise",
        "Quantise a network to 8 bits on images of its training, measure what that "
        "costs on those that it was measured on, and write it for OpenVINO.",
        "a.safetensors --out a.xml",
    )
    options.add_source_options(parser, ".xml")
    commands.add_size_option(
        parser, "of the network's input, multiples of 32 (that of the training)"
    )
    parser.add_argument(
        "--limit", type=commands.count, metavar="N", help="measure on N images only"
    )
    return parser


def run(arguments: argparse.Namespace) -> None:
    out: Path = arguments.out
    commands.check_out("--out", out)
    if out.suffix != ".xml":
        raise ValueError(f"--out is {out}, expected a name that ends in .xml")
    Order(out, arguments.size).check()
    if importlib.util.find_spec("nncf") is None:
        raise ValueError("nncf is not installed; pip install nncf openvino onnxscript")
    trained = load_model(arguments.checkpoint)
    sha256 = trained.origin.removeprefix("sha256 ")  # of a checkpoint, which state it is
    file = Weights(trained.manifest, trained.network.state_dict(), sha256)
    size = arguments.size or file.manifest.input_size
    setting = open_setting(trained, trained.data, arguments.data)
    samples = setting.samples
    seen = input_size(samples[0].labels.shape, size)
    if seen != size:
        raise ValueError(
            f"--size is {size[0]}x{size[1]}, but what it costs is measured on images that the "
            f"network sees at {seen[0]}x{seen[1]}; use that"
        )
    learned_from = open_setting(trained, trained.data, arguments.data, trained.data.split)
    in_8_bits = quantised(file, size, learned_from.samples)
    if arguments.limit is not None:
        samples = Part(samples, range(min(arguments.limit, len(samples))))
    lost = measured(file, size, in_8_bits, samples, setting.truth)
    for name, cost in lost.items():
        print(f"{name:5} {cost.before:.4f} in float32, {cost.after:.4f} in int8: {cost.worse:+.2%}")
    if any(cost.worse > MOST_LOSS for cost in lost.values()):
        print(f"it loses more than {MOST_LOSS:.0%}: an option, and not the better file")
    with atomic.together(out) as partial:
        numbers = {name: cost._asdict() for name, cost in lost.items()}
        save_openvino(file, in_8_bits, partial, int8=numbers)
    print(f"wrote {out}, inputs of {size[0]}x{size[1]}, {trained.origin}")


if __name__ == "__main__":
    commands.main(command_line(), run)
