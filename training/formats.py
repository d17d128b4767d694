"""A weights file in forms that other runtimes read, each checked against the network itself.

All take ``images`` (batch, 3, height, width), float32, normalised as the manifest says, and answer
``depth`` (batch, height / 8, width / 8), ``logits`` (batch, classes, height / 8, width / 8) and, of
a network that says how unsure it is, ``spread``, which is as large as depth. Of a network that taps
stride 4, all are twice as high and wide.
"""

from __future__ import annotations

import importlib.util
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sosd_ros import atomic, commands
from sosd_ros.engine.choice import REQUIRED, Agreement
from sosd_ros.engine.compile_backend import exported_program
from sosd_ros.engine.exchange import INPUT, Exported, answer_names, write_onnx
from sosd_ros.weights import Weights

SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "tensorrt": ".plan", "torch-export": ".pt2"}
MANIFEST = "sosd_ros"  # the name under which a file holds its manifest
_NEEDS = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "openvino": ("onnxscript", "openvino"),
    "tensorrt": ("onnxscript", "tensorrt"),
    "torch-export": (),
}

Run = Callable[[np.ndarray], Sequence[np.ndarray]]  # images to the answers, in order


def export(
    file: Weights, kind: str, size: tuple[int, int], out: Path, dynamic_size: bool = False
) -> Agreement:
    """Write ``out`` and what belongs beside it, when it answers as the network does.

    Args:
        file: a verified weights file.
        kind: of ``SUFFIXES``.
        size: (height, width) of the inputs, multiples of 32.
        out: the file to write.
        dynamic_size: whether inputs may be of other multiples of 32 as well.

    Returns:
        The least agreement of all batches that were tried.

    Raises:
        ValueError: if a library is missing, the name does not fit, or the answers differ.
    """
    check_request(kind, size, out, dynamic_size)
    sizes = [size, (size[0] + 32, size[1] + 64)] if dynamic_size else [size]
    with atomic.together(out) as partial:
        _WRITERS[kind](file, size, dynamic_size, partial)
        return _checked(file, _RUNNERS[kind](partial), sizes, out)


def check_request(
    kind: str, size: tuple[int, int] | None, out: Path, dynamic_size: bool = False
) -> None:
    """Refuse what cannot work before anything is loaded; ``None`` is the size of the training."""
    commands.check_out("--out", out)
    if out.suffix != SUFFIXES[kind]:
        raise ValueError(f"--out is {out}, expected a name that ends in {SUFFIXES[kind]}")
    if kind == "tensorrt" and dynamic_size:
        raise ValueError("--dynamic-size is not there for tensorrt; make a plan for each size")
    if size and any(length < 32 or length % 32 for length in size):
        raise ValueError(f"--size is {size[0]}x{size[1]}, expected multiples of 32")
    absent = [name for name in _NEEDS[kind] if importlib.util.find_spec(name) is None]
    if absent:
        raise ValueError(f"{absent[0]} is not installed; pip install {' '.join(_NEEDS[kind])}")


def manifest_of(file: Weights) -> str:
    """The manifest as all formats carry it, with the weights file's SHA-256."""
    return json.dumps({"sha256": file.sha256, "manifest": json.loads(file.manifest.to_json())})


def _checked(file: Weights, run: Run, sizes: Sequence[tuple[int, int]], out: Path) -> Agreement:
    network, names = Exported(file).eval(), answer_names(file.manifest)
    worst = Agreement(1.0, 0.0)
    for size in sizes:
        for batch in (1, 2):
            images = torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(0))
            with torch.inference_mode():
                expected = [answer.numpy() for answer in network(images)]
            agreed = _agreement(names, run(images.numpy()), expected)
            worst = Agreement(
                min(worst.labels, agreed.labels),
                max(worst.depth, agreed.depth),
                max(worst.uncertainty, agreed.uncertainty),
            )
            if not agreed.suffices:
                raise ValueError(
                    f"{out} was not written, as it does not answer as the network does for "
                    f"{batch} images of {size[0]}x{size[1]}: {agreed}; "
                    f"expected {REQUIRED}"
                )
    return worst


def _agreement(
    names: Sequence[str], answers: Sequence[np.ndarray], expected: Sequence[np.ndarray]
) -> Agreement:
    labels = 1.0
    differences = {"depth": 0.0, "spread": 0.0}
    for name, ours, theirs in zip(names, answers, expected, strict=True):
        if ours.shape != theirs.shape:
            return Agreement(0.0, np.inf)
        if name == "logits":
            labels = float((ours.argmax(1) == theirs.argmax(1)).mean())
        else:
            differences[name] = float(np.median(np.abs(ours / theirs - 1)))
    return Agreement(labels, *differences.values())


# Writers: (file, size, dynamic_size, path)


def _write_onnx(file: Weights, size: tuple[int, int], dynamic_size: bool, path: Path) -> None:
    import onnx

    write_onnx(file, size, path, dynamic_size)
    model = onnx.load(path)
    model.metadata_props.add(key=MANIFEST, value=manifest_of(file))
    onnx.save(model, path)


def _write_openvino(file: Weights, size: tuple[int, int], dynamic_size: bool, path: Path) -> None:
    save_openvino(file, openvino_model(file, size, dynamic_size), path)


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


def _write_torch(file: Weights, size: tuple[int, int], dynamic_size: bool, path: Path) -> None:
    program = exported_program(file, size, dynamic_size=dynamic_size)
    torch.export.save(program, path, extra_files={f"{MANIFEST}.json": manifest_of(file)})


def _write_tensorrt(file: Weights, size: tuple[int, int], dynamic_size: bool, path: Path) -> None:
    from sosd_ros.engine.tensorrt_backend import plan

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "network.onnx")
        write_onnx(file, size, source)
        path.write_bytes(plan(source, size, "fp16"))
    path.with_suffix(".json").write_text(manifest_of(file))


_WRITERS = {
    "onnx": _write_onnx,
    "openvino": _write_openvino,
    "tensorrt": _write_tensorrt,
    "torch-export": _write_torch,
}

# Runners: path to what runs it


def _run_onnx(path: Path) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {INPUT: images})


def _run_openvino(path: Path) -> Run:
    import openvino

    return run_openvino(openvino.Core().read_model(path))


def run_openvino(model: Any) -> Run:
    """What runs a model of OpenVINO in float32."""
    import openvino

    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda images: [np.array(answer) for answer in compiled([images]).values()]


def _run_torch(path: Path) -> Run:
    module = torch.export.load(path).module()

    def run(images: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            return [answer.numpy() for answer in module(torch.from_numpy(images))]

    return run


def _run_tensorrt(path: Path) -> Run:
    from sosd_ros.engine.tensorrt_backend import Plan

    plan = Plan(path.read_bytes())

    def run(images: np.ndarray) -> list[np.ndarray]:
        return [answer.cpu().numpy() for answer in plan(torch.from_numpy(images).cuda())]

    return run


_RUNNERS = {
    "onnx": _run_onnx,
    "openvino": _run_openvino,
    "tensorrt": _run_tensorrt,
    "torch-export": _run_torch,
}
