"""A weights file as files that other runtimes read, each judged before it appears.

All take ``images`` (batch, 3, height, width), float32, normalised as the manifest says, and answer
``depth`` (batch, height / 8, width / 8), ``logits`` (batch, classes, height / 8, width / 8) and, of
a network that says how unsure it is, ``spread``, which is as large as depth. Of a network that taps
stride 4, all are twice as high and wide.
"""

from __future__ import annotations

import importlib.util
import json
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from .. import atomic
from ..device import checked_device
from ..weights import Weights
from .agreement import REQUIRED, Agreements, agreement_of, answers, fitting
from .answers import Perception, Range
from .backend import Backend, Deployment, Files, Tell
from .compile_backend import ProgramBackend
from .engine import Engine
from .exchange import exported_program, write_onnx
from .onnx_backend import OnnxRuntimeBackend
from .openvino_backend import OpenVinoBackend
from .tensorrt_backend import TensorRtBackend
from .torch_backend import TorchBackend

MANIFEST = "sosd_ros"  # the name under which a file holds its manifest
_ALL_DEPTHS = Range(0.0, math.inf)


@dataclass(frozen=True)
class Order:
    """What file is to be written.

    Attributes:
        out: its path, whose suffix says what it is: one of ``FORMATS``.
        size: (height, width) of the inputs, multiples of 32; those of the training if ``None``.
        dynamic_size: whether inputs may be of other multiples of 32 as well.
    """

    out: Path
    size: tuple[int, int] | None = None
    dynamic_size: bool = False

    def check(self) -> None:
        """Refuse what cannot work, before anything is loaded.

        Raises:
            ValueError: naming the option, its value, and what to do.
        """
        if self.out.suffix not in FORMATS:
            *others, last = FORMATS
            raise ValueError(
                f"--out is {self.out}, expected a name that ends in {', '.join(others)} or {last}"
            )
        if self.dynamic_size and self.out.suffix == ".plan":
            raise ValueError(
                "--dynamic-size is not available for .plan files; make one for each size"
            )
        if self.size and any(length < 32 or length % 32 for length in self.size):
            raise ValueError(f"--size is {self.size[0]}x{self.size[1]}, expected multiples of 32")
        needs = FORMATS[self.out.suffix].needs
        absent = [name for name in needs if importlib.util.find_spec(name) is None]
        if absent:
            raise ValueError(f"{absent[0]} is not installed; README says how, under Fast")


def export(file: Weights, frames: np.ndarray, order: Order, tell: Tell = print) -> Agreements:
    """Write a file and what belongs beside it, if it answers as eager float32 does.

    Args:
        file: a verified weights file.
        frames: (..., H, W, 3) uint8 RGB, one or more ordinary images, to compare answers by.
        order: what is to be written.
        tell: is told, in sentences, what the user should know.

    Returns:
        How far the answers agree.

    Raises:
        ValueError: if the order cannot be met, or the answers differ.
    """
    order.check()
    kind = FORMATS[order.out.suffix]
    size = order.size or file.manifest.input_size
    sizes = [size, (size[0] + 32, size[1] + 64)] if order.dynamic_size else [size]
    deployment = Deployment(file, checked_device(kind.device), kind.precision)
    with atomic.together(order.out) as partial:
        kind.write(deployment, size, order.dynamic_size, partial)
        agreed = _judged(kind.backend, deployment, dict.fromkeys(sizes, partial), frames, tell)
        if not agreed.suffices:
            raise ValueError(
                f"{order.out} was not written, as it does not answer as the network does: "
                f"{agreed}; {REQUIRED}"
            )
    return agreed


def _judged(
    backend: type[Backend], deployment: Deployment, files: Files, frames: np.ndarray, tell: Tell
) -> Agreements:
    """How far a backend that runs from ``files`` agrees with eager float32, at each of their sizes.

    Images come one by one, and two as a batch.
    """
    frames = frames.reshape(-1, *frames.shape[-3:])
    ours: list[Perception] = []
    theirs: list[Perception] = []
    for size, path in files.items():
        manifest = replace(deployment.weights.manifest, input_size=size)
        here = replace(deployment, weights=replace(deployment.weights, manifest=manifest))
        eager = TorchBackend(replace(here, precision="fp32"), {})
        engine, reference = (
            Engine(runs, manifest, here.device, precision, tell)
            for runs, precision in ((backend(here, {size: path}), here.precision), (eager, "fp32"))
        )
        seen = fitting(frames, engine)
        for asked, found in ((engine, ours), (reference, theirs)):
            found += answers(asked, seen, limits=_ALL_DEPTHS)
            found += answers(asked, seen[[0, -1]], 2, _ALL_DEPTHS)
    return agreement_of(ours, theirs)


def manifest_of(file: Weights) -> str:
    """The manifest as all formats carry it, with the weights file's SHA-256."""
    return json.dumps({"sha256": file.sha256, "manifest": json.loads(file.manifest.to_json())})


def openvino_model(file: Weights, size: tuple[int, int], dynamic_size: bool = False) -> Any:
    """The network as a model of OpenVINO, in memory."""
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "network.onnx")
        write_onnx(file, size, source, dynamic_size)
        return openvino.Core().read_model(source.read_bytes())


def save_openvino(file: Weights, model: Any, path: Path, **measured: Any) -> None:
    """Write a model, ``path`` and the ``.bin`` beside it, with the manifest in its rt_info."""
    import openvino

    model.set_rt_info(manifest_of(file), [MANIFEST, "manifest"])
    for name, value in measured.items():
        model.set_rt_info(json.dumps(value), [MANIFEST, name])
    openvino.save_model(model, path, compress_to_fp16=False)


def _write_onnx(
    deployment: Deployment, size: tuple[int, int], dynamic_size: bool, path: Path
) -> None:
    import onnx

    write_onnx(deployment.weights, size, path, dynamic_size)
    model = onnx.load(path)
    model.metadata_props.add(key=MANIFEST, value=manifest_of(deployment.weights))
    onnx.save(model, path)


def _write_openvino(
    deployment: Deployment, size: tuple[int, int], dynamic_size: bool, path: Path
) -> None:
    file = deployment.weights
    save_openvino(file, openvino_model(file, size, dynamic_size), path)


def _write_plan(
    deployment: Deployment, size: tuple[int, int], dynamic_size: bool, path: Path
) -> None:
    TensorRtBackend.build(deployment, size, path)
    path.with_suffix(".json").write_text(manifest_of(deployment.weights))


def _write_program(
    deployment: Deployment, size: tuple[int, int], dynamic_size: bool, path: Path
) -> None:
    program = exported_program(deployment.weights, size, dynamic_size=dynamic_size)
    manifest = {f"{MANIFEST}.json": manifest_of(deployment.weights)}
    torch.export.save(program, path, extra_files=manifest)


class Format(NamedTuple):
    """A kind of file.

    Attributes:
        write: writes one, of a deployment, for inputs of a (height, width), or of any.
        backend: runs it,
        device: on this device,
        precision: at this precision.
        needs: modules that have to be installed.
    """

    write: Callable[[Deployment, tuple[int, int], bool, Path], None]
    backend: type[Backend]
    needs: Sequence[str] = ()
    device: str = "cpu"
    precision: str = "fp32"


FORMATS = {
    ".onnx": Format(_write_onnx, OnnxRuntimeBackend, ("onnx", "onnxscript", "onnxruntime")),
    ".xml": Format(_write_openvino, OpenVinoBackend, ("onnxscript", "openvino")),
    ".plan": Format(_write_plan, TensorRtBackend, ("onnxscript", "tensorrt"), "cuda", "fp16"),
    ".pt2": Format(_write_program, ProgramBackend),
}
