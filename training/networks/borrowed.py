"""Models of transformers as teachers: any that estimates depth, or segments a picture.

They are named as ``from_pretrained`` takes them: a folder, or a name on its hub, which is a
download that the user has asked for. Only safetensors are read, and no code comes with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import yaml
from torch.nn.functional import interpolate

from sosd_ros.labels import LabelSet
from sosd_ros.reasons import first_line

DepthMeaning = Literal["metric", "inverse"]

# What the depth of a model means, where its configuration does not say.
_MEANINGS: Mapping[str, DepthMeaning] = {
    **dict.fromkeys(("depth_pro", "glpn", "prompt_depth_anything", "zoedepth"), "metric"),
    "dpt": "inverse",
}
_QUERIES = ("mask2former", "maskformer")  # answer masks and their classes, no class a pixel

LEAST_POINTS = 100  # of known depth, by which relative depth is tied to metres
NEAREST, FARTHEST = 0.1, 80.0  # metres of what is answered
_ROUNDS = 10


@dataclass(frozen=True)
class BorrowedDepth:
    """A model that estimates depth.

    Attributes:
        meaning: of its answers: ``metric``, metres; ``inverse``, the inverse of metres up to a
            factor and an offset.
    """

    name: str
    meaning: DepthMeaning
    model: Any
    processor: Any

    def answer(self, image: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
        """(h, w) float32 of (H, W, 3) uint8 RGB, at that (height, width)."""
        answer = self.model(**_inputs(self, image)).predicted_depth[:, None].float()
        return interpolate(answer, size, mode="bilinear", align_corners=False)[0, 0]


@dataclass(frozen=True)
class BorrowedLabels:
    """A model that segments.

    Attributes:
        shares: (ours, theirs), 1 where one of its classes is one of ours.
    """

    name: str
    model: Any
    processor: Any
    shares: torch.Tensor

    def answer(self, image: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
        """(classes, h, w) float32 probabilities; what is left of 1 is none of our classes."""
        answer = self.model(**_inputs(self, image))
        if self.model.config.model_type in _QUERIES:
            classes = answer.class_queries_logits[0].float().softmax(-1)[:, :-1]
            masks = answer.masks_queries_logits[0].float().sigmoid()
            scores = torch.einsum("qc,qhw->chw", classes, masks)[None]
            scores = scores / scores.sum(1, keepdim=True).clamp(min=1e-6)
        else:
            scores = answer.logits.float().softmax(1)
        scores = interpolate(scores, size, mode="bilinear", align_corners=False)[0]
        return torch.einsum("oc,chw->ohw", self.shares, scores)


def open_depth(name: str, device: str, meaning: DepthMeaning | None = None) -> BorrowedDepth:
    """Load a model.

    Args:
        meaning: of its answers; ``None``: as its configuration says.

    Raises:
        ValueError: if it cannot be loaded, or nobody says what its answers mean.
    """
    transformers = _transformers()
    model, processor = _load(transformers.AutoModelForDepthEstimation, name, device)
    said = getattr(model.config, "depth_estimation_type", None)
    known: DepthMeaning | None = _MEANINGS.get(model.config.model_type)
    if said in ("metric", "relative"):
        known = "metric" if said == "metric" else "inverse"
    if (meaning := meaning or known) is None:
        raise ValueError(
            f"{name} is a {model.config.model_type}, whose configuration does not say what its "
            "depth means; give --depth-is metric or --depth-is inverse, as its model card says"
        )
    return BorrowedDepth(name, meaning, model, processor)


def open_labels(name: str, classes: Path, labels: LabelSet, device: str) -> BorrowedLabels:
    """Load a model.

    Args:
        classes: a YAML file with a class of ours for classes of the model, both by their names.
            Those that are not in it are none of ours.

    Raises:
        ValueError: if it cannot be loaded, or the file names a class that is unknown.
    """
    transformers = _transformers()
    from transformers.models.auto import modeling_auto

    config = _asked(transformers.AutoConfig, name)
    plain = config.model_type in modeling_auto.MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES
    if not plain and config.model_type not in _QUERIES:
        raise ValueError(
            f"{name} is a {config.model_type}, which segments in a way that is not known here; use "
            f"a model for semantic segmentation, such as SegFormer, or one of {', '.join(_QUERIES)}"
        )
    kind = (
        transformers.AutoModelForSemanticSegmentation
        if plain
        else transformers.AutoModelForUniversalSegmentation
    )
    model, processor = _load(kind, name, device)
    theirs = [model.config.id2label[i] for i in range(len(model.config.id2label))]
    shares = _shares(classes, theirs, labels.names, name).to(device)
    return BorrowedLabels(name, model, processor, shares)


def tied(relative: np.ndarray, metres: np.ndarray) -> np.ndarray | None:
    """Metres of an inverse depth that is known up to a factor and an offset.

    The line 1 / z = a d + b is fitted to what is known of the metres. Points far from it count
    less (Huber's weights), as sensors err, and their points lie on the wrong side of edges.

    Args:
        relative: (H, W) float32.
        metres: (H, W) float32, NaN where unknown.

    Returns:
        (H, W) float32 metres, NaN beyond ``NEAREST`` and ``FARTHEST``; ``None`` if too little is
        known, or it does not fit a growing line.
    """
    known = np.isfinite(metres) & (metres > 0) & np.isfinite(relative)
    if known.sum() < LEAST_POINTS:
        return None
    d, target = relative[known].astype(np.float64), 1 / metres[known].astype(np.float64)
    columns, weights = np.stack([d, np.ones_like(d)], axis=1), np.ones_like(d)
    line = np.zeros(2)
    for _ in range(_ROUNDS):
        root = np.sqrt(weights)
        line, *_ = np.linalg.lstsq(columns * root[:, None], target * root, rcond=None)
        error = np.abs(columns @ line - target)
        usual = 1.345 * 1.4826 * float(np.median(error)) + 1e-9
        weights = np.minimum(1, usual / np.maximum(error, 1e-12))
    if line[0] <= 0:
        return None
    inverse = line[0] * relative + line[1]
    inside = (inverse >= 1 / FARTHEST) & (inverse <= 1 / NEAREST)
    return np.where(inside, 1 / np.where(inside, inverse, 1), np.nan).astype(np.float32)


def _shares(path: Path, theirs: Sequence[str], ours: Sequence[str], name: str) -> torch.Tensor:
    try:
        mapping = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"--classes {path} cannot be read: {first_line(error)}") from error
    if not isinstance(mapping, dict) or not mapping:
        raise ValueError(f"--classes {path} holds no lines of the form 'their class: our class'")
    shares = torch.zeros(len(ours), len(theirs))
    for their, our in mapping.items():
        for which, one, known in ((name, their, theirs), ("the teachers", our, ours)):
            if one not in known:
                raise ValueError(
                    f"--classes {path} has {one!r}, but {which} have no such class; they have "
                    f"{', '.join(known)}"
                )
        shares[ours.index(our), theirs.index(their)] = 1
    return shares


def _inputs(borrowed: BorrowedDepth | BorrowedLabels, image: np.ndarray) -> Any:
    inputs = borrowed.processor(images=image, return_tensors="pt")
    return {"pixel_values": inputs["pixel_values"].to(borrowed.model.device)}


def _load(kind: Any, name: str, device: str) -> tuple[Any, Any]:
    transformers = _transformers()
    model = _asked(kind, name, use_safetensors=True)
    return model.to(device).eval(), _asked(transformers.AutoImageProcessor, name)


def _asked(kind: Any, name: str, **options: Any) -> Any:
    try:
        return kind.from_pretrained(name, **options)
    except Exception as error:  # of files, of the network, of what does not fit together
        raise ValueError(
            f"{name} cannot be loaded as a teacher: {first_line(error)}; name a folder that "
            "save_pretrained wrote with its image processor, or a model on the hub"
        ) from error


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise ValueError(
            "models of others need the package transformers; install the extra 'teachers'"
        ) from error
    return transformers
