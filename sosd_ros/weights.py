"""The one-file weights format: write, verify, read.

A weights file is a ``.safetensors`` file. Its metadata holds the manifest (everything that a
robot must know about the network) as JSON, and a SHA-256 over the manifest and the tensors.
Nothing in it is executed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from . import atomic
from .labels import LabelSet
from .network import FORM, DepthForm, Padding, SOSDNet, Variant, check_form
from .reasons import in_short

FORMAT_VERSION = 2
# Fields added since have defaults, which hold for older files.
_READ_VERSIONS = (1, 2)
_EXPORT_HINT = "export one with `python -m training.export CHECKPOINT --out FILE.safetensors`"


class WeightsError(ValueError):
    """A weights file that cannot be used; the message says what is wrong and what to do."""


@dataclass(frozen=True)
class DepthKind:
    """What the network's depth answer means.

    Attributes:
        kind: ``metres`` along z, or ``disparity`` in pixels, where z = focal_length * baseline /
            disparity.
        focal_length: of the stereo camera that measured the disparity, in its pixels.
        baseline: of that camera, in metres.
    """

    kind: str = "metres"
    focal_length: float | None = None
    baseline: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("metres", "disparity"):
            raise ValueError(f"depth kind is {self.kind!r}, expected 'metres' or 'disparity'")
        if self.kind == "disparity":
            _require_positive("depth focal_length", self.focal_length)
            _require_positive("depth baseline", self.baseline)


@dataclass(frozen=True)
class Manifest:
    """What a robot must know about the network, beside the tensors.

    Attributes:
        variant: of the network, one of ``sosd_ros.network.VARIANTS``.
        backbone: name of the timm model.
        rates: dilations of the context module.
        taps, padding, depth_form, spread, output_stride: of the network, see
            ``sosd_ros.network.SOSDNet``; since version 2.
        labels: the classes of the semantic answer.
        depth: what the depth answer means.
        focal_length: sqrt(fx fy) of the training camera, in pixels at ``input_size``.
        input_size: (height, width) that the network was trained at.
        mean, std: of red, green and blue in 0..1, to normalise inputs with.
        temperature: divisor of the class scores, which calibrates the confidence; the tensors
            already include it. Since version 2.
        spread_factor: factor of the spread, likewise.
        metrics: results, with the data that they were measured on; ``first``: results on its first
            images only.
        training: the resolved training configuration.
        licence: the terms of use of the file.
    """

    variant: Variant
    backbone: str
    labels: LabelSet
    focal_length: float
    input_size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    depth: DepthKind = DepthKind()
    rates: tuple[int, ...] = (3, 6, 9)
    taps: tuple[int, ...] = (8, 32)
    padding: Padding = "zeros"
    depth_form: DepthForm = "linear"
    spread: bool = False
    output_stride: int = 32
    temperature: float = 1.0
    spread_factor: float = 1.0
    metrics: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    licence: str = ""

    def __post_init__(self) -> None:
        check_form(
            *(self.variant, self.taps, self.padding, self.depth_form, self.spread),
            self.output_stride,
        )
        for name in ("temperature", "spread_factor"):
            _require_positive(name, getattr(self, name))
        _require_positive("focal_length", self.focal_length)
        for name, length in (("input_size", 2), ("mean", 3), ("std", 3)):
            if len(getattr(self, name)) != length:
                raise ValueError(f"{name} has {len(getattr(self, name))} numbers, not {length}")
        for number in (*self.input_size, *self.std):
            _require_positive("each number of input_size and std", number)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Raises ValueError, TypeError or KeyError on anything that is not a manifest."""
        values = json.loads(text)
        values["labels"] = LabelSet.from_dict(values["labels"])
        values["depth"] = DepthKind(**values["depth"])
        for name in ("input_size", "mean", "std", "rates", "taps"):
            if name in values:
                values[name] = tuple(values[name])
        if unknown := values.keys() - {known.name for known in dataclasses.fields(cls)}:
            names = ", ".join(sorted(unknown))
            raise ValueError(f"it has {names}, which this sosd_ros does not know; update sosd_ros")
        return cls(**values)


@dataclass(frozen=True, eq=False)
class Weights:
    """A verified weights file: its manifest, its tensors by name, and the SHA-256 over both.

    Compares by identity.
    """

    manifest: Manifest
    tensors: dict[str, torch.Tensor]
    sha256: str


def write(path: Path, manifest: Manifest, state: Mapping[str, torch.Tensor]) -> str:
    """Write a weights file atomically.

    Convolution weights become half precision, without a visible change in the answers. The
    vectors (biases, batch norm) stay as they are: variances may be too small for half precision.

    Returns:
        The SHA-256 over manifest and tensors, in hexadecimal.
    """
    tensors = {
        name: (tensor.half() if tensor.ndim > 1 else tensor).detach().cpu().contiguous()
        for name, tensor in state.items()
    }
    text = manifest.to_json()
    digest = _sha256(text, tensors)
    metadata = {"sosd_ros": str(FORMAT_VERSION), "manifest": text, "sha256": digest}
    atomic.write(path, save(tensors, metadata))
    return digest


def read(path: Path) -> Weights:
    """Read and verify a weights file.

    Raises:
        WeightsError: if the file does not exist, is not a weights file of a supported version, or
            a single bit of its manifest or tensors has changed.
    """
    _refuse_what_is_no_safetensors_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            _require_known_version(path, metadata)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, UnicodeDecodeError) as error:
        raise WeightsError(
            f"weights file {path} is damaged or cut short ({error}); copy it again"
        ) from error

    digest = _sha256(metadata.get("manifest", ""), tensors)
    if digest != metadata.get("sha256"):
        raise WeightsError(
            f"weights file {path} is damaged: its SHA-256 is {digest}, but it was written with "
            f"{metadata.get('sha256')}; copy it again"
        )
    try:
        manifest = Manifest.from_json(metadata["manifest"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise WeightsError(
            f"weights file {path} has an unusable manifest ({error}); {_EXPORT_HINT}"
        ) from error
    return Weights(manifest, tensors, digest)


def create_network(manifest: Manifest) -> SOSDNet:
    """The network that a manifest describes, with untrained parameters.

    Raises:
        ValueError: if the manifest describes no valid network.
    """
    form: dict[str, Any] = {name: getattr(manifest, name) for name in FORM}
    return SOSDNet(classes=len(manifest.labels.names), **form)


def build_network(weights: Weights) -> SOSDNet:
    """The network of a weights file, in float32 on the CPU and in evaluation mode.

    Raises:
        WeightsError: if the tensors do not fit the network that the manifest names.
    """
    manifest = weights.manifest
    try:
        network = create_network(manifest)
        network.load_state_dict(weights.tensors)
    except (ValueError, RuntimeError) as error:
        raise WeightsError(
            f"the weights do not fit the network that their manifest names, "
            f"{manifest.variant} on {manifest.backbone}: {in_short(error)}; {_EXPORT_HINT}"
        ) from error
    return network.eval()


def _refuse_what_is_no_safetensors_file(path: Path) -> None:
    if not path.exists():
        raise WeightsError(f"weights file {path} does not exist; {_EXPORT_HINT}")
    if not path.is_file():  # reading a pipe or a device might never end
        raise WeightsError(f"weights {path} is a folder, a pipe or a device, expected a file")
    with path.open("rb") as file:
        start = file.read(9)
    # A safetensors file has 8 bytes of length, which may be any, and then the "{" of its header.
    if start.startswith((b"PK\x03\x04", b"\x80")) and start[8:] != b"{":
        raise WeightsError(
            f"weights file {path} is a pickle (a PyTorch checkpoint?), which could run any code "
            f"when read; {_EXPORT_HINT}"
        )


def _require_known_version(path: Path, metadata: Mapping[str, str]) -> None:
    version = metadata.get("sosd_ros")
    if version is None:
        raise WeightsError(f"{path} is a safetensors file without a manifest; {_EXPORT_HINT}")
    if version not in map(str, _READ_VERSIONS):
        raise WeightsError(
            f"weights file {path} has format version {version}, but this sosd_ros reads versions "
            f"{' and '.join(map(str, _READ_VERSIONS))}; update sosd_ros, or {_EXPORT_HINT}"
        )


def _require_positive(name: str, number: float | None) -> None:
    if not isinstance(number, int | float) or not 0 < number < float("inf"):
        raise ValueError(f"{name} is {number!r}, expected a positive number")


def _sha256(manifest: str, tensors: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256(manifest.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
