"""Tables 1 to 4 of the paper as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sosd_ros.network import VARIANTS, has_units
from sosd_ros.weights import Manifest


class Row(NamedTuple):
    """What the paper measured of one method, on one data set."""

    method: str
    metrics: Mapping[str, float]


def _table(metrics: str, **rows: tuple[float | None, ...]) -> dict[str, dict[str, float]]:
    names = metrics.split()
    return {
        method: {name: value for name, value in zip(names, row, strict=True) if value is not None}
        for method, row in rows.items()
    }


# Cityscapes; the methods of Table 4 are known here by the strategies that follow them.
_TABLES_1_AND_4 = _table(
    "mIoU px",
    semantic=(0.620, None),
    depth=(None, 2.47),
    mtl=(0.656, 2.64),
    sosd=(0.672, 2.58),
    esosd=(0.682, 2.41),
    uncertainty=(0.642, 2.65),
    gradnorm=(0.648, 2.57),
    mgda=(0.666, 2.54),
)
# NYU Depth v2.
_TABLE_2 = _table(
    "mIoU mAcc pAcc",
    semantic=(0.385, 0.591, 0.687),
    mtl=(0.417, 0.610, 0.710),
    sosd=(0.433, 0.625, 0.722),
    esosd=(0.450, 0.647, 0.733),
)
_TABLE_3 = _table(
    "rel rms log10 d1 d2 d3",
    depth=(0.167, 0.637, 0.078, 0.713, 0.935, 0.984),
    mtl=(0.159, 0.567, 0.067, 0.775, 0.949, 0.986),
    sosd=(0.149, 0.527, 0.064, 0.797, 0.957, 0.991),
    esosd=(0.145, 0.514, 0.062, 0.805, 0.962, 0.992),
)
# The paper's metrics by data set and method.
PAPER: Mapping[str, Mapping[str, Mapping[str, float]]] = {
    "nyuv2": {v: {**_TABLE_2.get(v, {}), **_TABLE_3.get(v, {})} for v in VARIANTS},
    "cityscapes": _TABLES_1_AND_4,
    **{name: {variant: {} for variant in VARIANTS} for name in ("camvid", "own")},
}
SOURCE = {
    "nyuv2": "Tables 2 and 3: NYU Depth v2, 654 test images at 480x640, 40 classes",
    "cityscapes": "Tables 1 and 4: Cityscapes, 500 validation images at 256x512, 19 classes",
    "camvid": "nothing: the paper has no CamVid",
    "own": "nothing: the paper has no recordings of your own",
}
NOTES = {
    "nyuv2": "\nDo not compare mAcc: the paper's semantic row has .591, where weights of ours with "
    "its\nmIoU and pAcc had .526",
}


def method(data: str, manifest: Manifest) -> str:
    """Which of ``PAPER[data]`` a network stands beside, by its variant and how it was trained."""
    strategy = manifest.training.get("strategy", "")
    name = strategy if isinstance(strategy, str) else strategy["name"]
    if name in PAPER[data]:
        return name
    if has_units(manifest.variant):
        # The same network: what makes it one or the other is Algorithm 1.
        return {"em": "esosd", "joint": "sosd"}.get(name, manifest.variant)
    return manifest.variant


def row(data: str, manifest: Manifest) -> Row:
    """The row that a network stands beside, of the data set of that name."""
    name = method(data, manifest)
    return Row(name, PAPER[data][name])
