"""The data sets by the name that a configuration gives them."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from ..config import Data
from . import cityscapes, nyuv2
from .sample import DataSet

# Where the data lies if no command line says so: an environment variable, or beside the checkout.
_ROOTS = {"nyuv2": "SOSD_NYUV2", "cityscapes": "SOSD_CITYSCAPES"}
_PHOTOGRAPHS = (
    " Also trained on photographs without labels, of other origin: for research, unless their "
    "terms are known to allow more."
)
_AUGMENTATION = {
    *("chance", "rotation", "tint", "gamma", "blur", "noise", "cutmix", "truth_stride"),
}
_BESIDE = Path(__file__).parents[2] / "../shared/data"


def data_set(data: Data) -> DataSet:
    """The data set that a configuration names, with its options."""
    if data.name == "cityscapes":
        chosen = cityscapes.data_set(data.size, data.disparity_divisor)
    else:
        chosen = nyuv2.data_set(data.classes or 40, raw_depth=data.raw_depth)
    return dataclasses.replace(
        chosen,
        licence=data.licence or chosen.licence + (_PHOTOGRAPHS if data.photographs else ""),
        scales=data.scales or chosen.scales,
        **data.model_dump(include=_AUGMENTATION),
    )


def default_root(name: str) -> Path:
    """The folder that ``SOSD_NYUV2`` or ``SOSD_CITYSCAPES`` names, or else one beside ours."""
    return Path(os.environ.get(_ROOTS[name], _BESIDE / name))
