"""Label sets: class names, their colours, their groups, and the value of an unlabelled pixel."""

from __future__ import annotations

import colorsys
import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

UNLABELLED = 255

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class LabelSet:
    """Classes 0..N-1.

    Attributes:
        names: of the classes.
        palette: RGB of the classes, 0..255.
        traversable: names of the classes that a robot on wheels drives on.
        obstacle: names of those that it must not touch. A class may be in neither group, as what
            hangs above.

    Raises:
        ValueError: if names and palette differ in length, there are none or too many, or a group
            has a class that does not exist or is in the other group.
    """

    names: tuple[str, ...]
    palette: tuple[Colour, ...]
    traversable: tuple[str, ...] = ()
    obstacle: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < len(self.names) <= UNLABELLED:
            raise ValueError(f"{len(self.names)} classes, expected 1 to {UNLABELLED}")
        if len(self.names) != len(self.palette):
            raise ValueError(f"{len(self.names)} class names but {len(self.palette)} colours")
        if not all(len(c) == 3 and all(0 <= v <= 255 for v in c) for c in self.palette):
            raise ValueError("the palette must hold red, green and blue in 0..255 for each class")
        grouped = [*self.traversable, *self.obstacle]
        for name in grouped:
            if name not in self.names:
                raise ValueError(f"the groups name {name!r}, which is no class")
            if grouped.count(name) > 1:
                raise ValueError(f"class {name!r} is in the groups twice")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LabelSet:
        """The inverse of ``dataclasses.asdict``, from parsed JSON.

        Before there were groups, label sets were written without: they have those of the label
        set below with the same names, or none.
        """
        names = tuple(values["names"])
        palette = tuple((r, g, b) for r, g, b in values["palette"])
        if "traversable" in values or "obstacle" in values:
            groups = {group: tuple(values[group]) for group in ("traversable", "obstacle")}
            return cls(names, palette, **groups)
        for known in (NYU40, NYU13, CITYSCAPES19, CAMVID11):
            if known.names == names:
                return dataclasses.replace(known, palette=palette)
        return cls(names, palette)

    def colours(self, labels: np.ndarray) -> np.ndarray:
        """Paint (H, W) uint8 labels: (H, W, 3) uint8 RGB, black where unlabelled."""
        table = np.zeros((256, 3), np.uint8)
        table[: len(self.palette)] = self.palette
        return table[labels]

    def info(self, threshold: float = 0.0) -> str:
        """What ``/sosd/label_info/json`` says: classes, groups, and which pixels have no label.

        Args:
            threshold: of the confidence, below which a pixel is unlabelled.
        """
        content = {"unlabelled": UNLABELLED, "threshold": threshold}
        return json.dumps(dataclasses.asdict(self) | content)


def distinct_colours(count: int) -> tuple[Colour, ...]:
    """``count`` colours that neighbours in the list do not share.

    The hue advances by the golden angle, which spreads any number of them evenly, while
    saturation and brightness alternate.
    """
    golden = (5**0.5 - 1) / 2
    return tuple(
        _rgb((0.1 + i * golden) % 1, (0.3, 0.5, 0.75)[i % 3], (0.9, 0.75, 0.6)[i % 3])
        for i in range(count)
    )


def _rgb(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = (round(255 * c) for c in colorsys.hsv_to_rgb(hue, saturation, value))
    return red, green, blue


def _label_set(
    palette: Mapping[str, Colour], traversable: Sequence[str], neither: Sequence[str]
) -> LabelSet:
    """All other classes are obstacles."""
    free = {*traversable, *neither}
    obstacle = tuple(name for name in palette if name not in free)
    return LabelSet(tuple(palette), tuple(palette.values()), tuple(traversable), obstacle)


def _painted(names: str) -> dict[str, Colour]:
    split = [" ".join(name.split()) for name in names.split(",")]
    return dict(zip(split, distinct_colours(len(split)), strict=True))


# The 40 classes of Gupta et al., CVPR 2013, in their order; "refrigerator" is spelt out right.
_NYU40_NAMES = """
wall, floor, cabinet, bed, chair, sofa, table, door, window, bookshelf, picture, counter, blinds,
desk, shelves, curtain, dresser, pillow, mirror, floor mat, clothes, ceiling, books, refrigerator,
television, paper, towel, shower curtain, box, whiteboard, person, night stand, toilet, sink, lamp,
bathtub, bag, other structure, other furniture, other prop
"""
# A lamp stands on the floor or hangs from the ceiling. Windows, mirrors and pictures are as far as
# the wall that they are in, or seem to be farther, where no robot gets.
NYU40 = _label_set(_painted(_NYU40_NAMES), ["floor", "floor mat"], ["ceiling", "lamp"])

# The 13 groups of Couprie et al., ICLR 2013.
_NYU13_NAMES = (
    "bed, books, ceiling, chair, floor, furniture, objects, picture, sofa, table, tv, wall, window"
)
NYU13 = _label_set(_painted(_NYU13_NAMES), ["floor"], ["ceiling"])

# The 19 evaluated classes in the order of their train ids, in the official colours.
_CITYSCAPES19: dict[str, Colour] = {
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "building": (70, 70, 70),
    "wall": (102, 102, 156),
    "fence": (190, 153, 153),
    "pole": (153, 153, 153),
    "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "car": (0, 0, 142),
    "truck": (0, 0, 70),
    "bus": (0, 60, 100),
    "train": (0, 80, 100),
    "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
}
# Signs and lights hang above the road; what they hang from is a pole. Terrain is grass, soil and
# sand, on which some robots drive.
CITYSCAPES19 = _label_set(
    _CITYSCAPES19, ["road", "sidewalk"], ["traffic light", "traffic sign", "terrain", "sky"]
)

# SegNet's 11 classes of CamVid in the order of its label files, in SegNet's colours.
_CAMVID11: dict[str, Colour] = {
    "sky": (128, 128, 128),
    "building": (128, 0, 0),
    "pole": (192, 192, 128),
    "road": (128, 64, 128),
    "pavement": (60, 40, 222),
    "tree": (128, 128, 0),
    "sign": (192, 128, 128),
    "fence": (64, 64, 128),
    "car": (64, 0, 128),
    "pedestrian": (64, 64, 0),
    "cyclist": (0, 128, 192),
}
CAMVID11 = _label_set(_CAMVID11, ["road", "pavement"], ["sign", "sky"])
