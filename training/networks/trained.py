"""A trained network from a file: a weights file, or a checkpoint of a run."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError

from sosd_ros import weights
from sosd_ros.network import FORM, SOSDNet
from sosd_ros.reasons import in_short
from sosd_ros.weights import Manifest

from ..config import Config, Data
from ..data.sample import DataSet
from ..data.sets import data_set
from . import checkpoint, units
from .imagenet import Normalisation, normalisation
from .predictor import Predictor

CLASSIFIER = "semantic_head.semantic."  # what has a row for each class


@dataclass(frozen=True)
class Model:
    """A network in evaluation mode on the CPU, and where it comes from.

    Attributes:
        network: of a checkpoint with a moving average, that average.
        manifest: what is known of the network; of a checkpoint, without metrics.
        data: the data set that it was trained on.
        origin: which state of it this is: ``sha256 ...`` or ``epoch 3 of 60``.
    """

    network: SOSDNet
    manifest: Manifest
    data: Data
    origin: str

    def __str__(self) -> str:
        height, width = self.manifest.input_size
        kind = f"{self.manifest.variant} on {self.manifest.backbone}"
        return f"{kind}, input near {height}x{width}"

    def predictor(self, device: str = "cpu", images: DataSet | None = None) -> Predictor:
        """The network brought to a device, to be asked there.

        Args:
            images: of whose camera they are; of that of the training if empty.
        """
        manifest = self.manifest
        return Predictor(
            self.network.to(device),
            data_set(self.data),
            manifest.input_size,
            Normalisation(manifest.mean, manifest.std),
            device,
            camera_factor(self, images, manifest.input_size) if images else 1.0,
        )


def load(path: Path) -> Model:
    """Read a ``.safetensors`` weights file or a ``.pt`` checkpoint.

    Raises:
        ValueError: if it cannot be used; the message names the file and what to do.
    """
    if path.suffix == ".safetensors":
        return _of_weights(path)
    if path.suffix == ".pt":
        return _of_checkpoint(path)
    raise ValueError(f"{path} is neither a .safetensors weights file nor a .pt checkpoint")


def as_read(manifest: Manifest, state: Mapping[str, torch.Tensor]) -> Model:
    """What a robot reads of a weights file with these parameters, half precision and all."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "written.safetensors"
        weights.write(path, manifest, state)
        return load(path)


def copy_into(
    network: SOSDNet, model: Model, path: Path, names: Sequence[str] | None = None
) -> None:
    """Give a network the parameters of a model, which was loaded from ``path``.

    Args:
        names: of the network's classes. Those that the model knows keep what it knows of them, the
            others stay as they are; if empty, both must have as many.

    Raises:
        ValueError: if the model's network is of another kind.
    """
    # No tensor tells these; what learned metres would answer their exponential.
    for name in ("depth_form", "padding", "output_stride"):
        if getattr(network, name) != getattr(model.network, name):
            raise ValueError(
                f"network.start is {path}, with {name} {getattr(model.network, name)!r}, but "
                f"network.{name} is {getattr(network, name)!r}; set it as there, or start from a "
                "network of the same kind"
            )
    try:
        network.load_state_dict(_with_classes(network, model, names))
    except RuntimeError as error:
        manifest = model.manifest
        raise ValueError(
            f"network.start is {path}, with {manifest.variant} on {manifest.backbone} for "
            f"{len(manifest.labels.names)} classes, taps {[*manifest.taps]}, spread "
            f"{manifest.spread}, which does not fit this network "
            f"({_reason(error)}); train one of the same kind"
        ) from error


def camera_factor(model: Model, data: DataSet, size: tuple[int, int]) -> float:
    """What a model's metres are multiplied by, to be those of another camera's images.

    Args:
        data: of that camera.
        size: (height, width) at which a network sees its images.
    """
    theirs = data_set(model.data)
    if theirs.camera == data.camera or theirs.depth.kind != "metres":
        return 1.0
    return data.focal(size) / theirs.focal(model.manifest.input_size)


def _with_classes(
    network: SOSDNet, model: Model, names: Sequence[str] | None
) -> dict[str, torch.Tensor]:
    """The model's parameters, with a row of the classifier for each class of the network."""
    parameters = dict(model.network.state_dict())
    known = model.manifest.labels.names
    if names is None or tuple(names) == known:
        return parameters
    kept = [(names.index(name), known.index(name)) for name in names if name in known]
    for key, fresh in network.state_dict().items():
        if key.startswith(CLASSIFIER):
            rows = fresh.clone()
            for mine, theirs in kept:
                rows[mine] = parameters[key][theirs]
            parameters[key] = rows
    return parameters


def training_manifest(config: Config) -> Manifest:
    """The manifest of a network trained as ``config`` says, without metrics."""
    data = data_set(config.data)
    mean, std = normalisation(config.network.backbone)
    training = config.model_dump(mode="json")
    # Where files lie on this machine is nobody else's business.
    if config.data.photographs is not None:
        training["data"]["photographs"] = config.data.photographs.name
    for source, stated in zip(config.data.sources, training["data"]["sources"], strict=True):
        stated["root"] = source.root and source.root.name
    for key in ("pretrained", "start"):
        if isinstance(path := getattr(config.network, key), Path):
            training["network"][key] = path.name
    return Manifest(
        **config.network.model_dump(include={*FORM}),
        labels=data.labels,
        depth=data.depth,
        focal_length=data.focal(config.data.size),
        input_size=config.data.size,
        mean=mean,
        std=std,
        training=training,
        licence=data.licence,
    )


def _of_weights(path: Path) -> Model:
    file = weights.read(path)
    network = weights.build_network(file)
    return Model(network, file.manifest, _data(path, file.manifest), f"sha256 {file.sha256}")


def _of_checkpoint(path: Path) -> Model:
    state = checkpoint.load(path)
    try:
        config = Config.model_validate(state["config"])
        manifest = training_manifest(config)
        network = weights.create_network(manifest)
        units.change(network, config.network.units)
        network.load_state_dict(state.get("ema") or state["network"])
    except (ValueError, RuntimeError) as error:
        raise checkpoint.CheckpointError(
            f"checkpoint {path} does not fit this version ({_reason(error)}); use the version "
            "that wrote it"
        ) from error
    origin = f"epoch {state['epoch']} of {config.epochs}"
    return Model(network.eval(), manifest, config.data, origin)


def _data(path: Path, manifest: Manifest) -> Data:
    """What the manifest's training configuration says, or else the set with these classes."""
    if "data" in manifest.training:
        try:
            return Data.model_validate(manifest.training["data"])
        except ValidationError as error:
            raise weights.WeightsError(
                f"weights file {path} was trained on data that this version does not know "
                f"({_reason(error)}); use the version that wrote it"
            ) from error
    for candidate in (
        Data(name="nyuv2", size=manifest.input_size),
        Data(name="nyuv2", size=manifest.input_size, classes=13),
        Data(name="cityscapes", size=manifest.input_size),
    ):
        if data_set(candidate).labels.names == manifest.labels.names:
            return candidate
    raise weights.WeightsError(
        f"weights file {path} does not say what it was trained on, and its "
        f"{len(manifest.labels.names)} classes, {manifest.labels.names[0]} first, are those of "
        "neither NYU Depth v2 nor Cityscapes; it cannot be measured here"
    )


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return in_short(error)
