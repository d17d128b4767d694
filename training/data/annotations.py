"""Labels that people have drawn, as annotation tools export them, as maps of class ids.

* COCO's JSON, which CVAT and Label Studio export as well: polygons and run lengths, by pycocotools;
* CVAT's XML (``CVAT for images 1.1``): polygons, boxes and masks;
* Label Studio's JSON: polygons and boxes;
* PNG: class ids, or the classes' colours, or those of CVAT's ``labelmap.txt`` beside them.

Where annotations overlap, what was drawn on top counts, or else the smaller one.
"""

from __future__ import annotations

import contextlib
import io
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import cv2
import numpy as np
from matplotlib.path import Path as PolygonPath

from sosd_ros.labels import UNLABELLED, Colour, LabelSet
from sosd_ros.reasons import first_line

from .errors import DataError
from .files import read_colour


class Labelled(NamedTuple):
    """The labels of an image.

    Attributes:
        file: the image's, as the tool calls it.
        labels: (H, W) uint8 class ids, 255 where nothing is drawn.
    """

    file: str
    labels: np.ndarray


def read(path: Path, classes: LabelSet) -> Iterator[Labelled]:
    """All that a file or a folder holds.

    Raises:
        DataError: if it is none of the forms above, is broken, or has a class that is unknown.
    """
    if path.is_dir():
        yield from _pictures(path, classes)
    elif path.suffix == ".xml":
        yield from _cvat(path, classes)
    elif path.suffix == ".json":
        content = _parsed(path, json.loads)
        yield from (_label_studio if isinstance(content, list) else _coco)(path, content, classes)
    else:
        raise DataError(
            f"{path} holds no labels that are known here; expected a folder of PNGs, the JSON of "
            "COCO or Label Studio, or the XML of CVAT"
        )


def frame_of(file: str, frames: Collection[str]) -> str | None:
    """The frame that a tool means by an image's name, whatever it has put before it."""
    name = PurePosixPath(file.replace("\\", "/")).stem
    if name in frames:
        return name
    _, _, rest = name.partition("-")  # Label Studio's uploads: eight digits and a hyphen
    return rest if rest in frames else None


def check_size(labelled: Labelled, image: Path) -> None:
    """Refuse labels of another size than their image's."""
    height, width = read_colour(image).shape[:2]
    if labelled.labels.shape != (height, width):
        found = "x".join(map(str, labelled.labels.shape))
        raise DataError(
            f"the labels of {labelled.file} are {found}, but {image} is {height}x{width}; label "
            "the image as it is, without resizing"
        )


def _parsed(path: Path, parse: Any) -> Any:
    try:
        return parse(path.read_text())
    except (OSError, ValueError, ElementTree.ParseError) as error:
        raise DataError(f"{path} cannot be read: {first_line(error)}; export it again") from error


def _id(name: str, path: Path, classes: LabelSet) -> int:
    if name not in classes.names:
        raise DataError(
            f"{path} has the class {name!r}, which is none of {', '.join(classes.names)}; add it "
            "to the file of classes, or rename it there"
        )
    return classes.names.index(name)


# COCO


def _coco(path: Path, content: Any, classes: LabelSet) -> Iterator[Labelled]:
    try:
        from pycocotools.coco import COCO
    except ImportError as error:
        raise DataError(
            "COCO's labels are read by pycocotools, which is not installed; install the extra "
            "'labels'"
        ) from error
    with contextlib.redirect_stdout(io.StringIO()):  # it tells how long it took
        coco = COCO(path)
    try:
        ids = {c["id"]: _id(c["name"], path, classes) for c in content["categories"]}
        for image in content["images"]:
            labels = np.full((image["height"], image["width"]), UNLABELLED, np.uint8)
            drawn = coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]]))
            for annotation in sorted(drawn, key=lambda one: -one["area"]):
                mask = coco.annToMask(annotation).astype(bool)
                labels[mask] = ids[annotation["category_id"]]
            yield Labelled(image["file_name"], labels)
    except (KeyError, TypeError, IndexError) as error:
        raise DataError(f"{path} is no COCO file: it lacks {error}; export it again") from error


# CVAT


def _cvat(path: Path, classes: LabelSet) -> Iterator[Labelled]:
    root = _parsed(path, ElementTree.fromstring)
    try:
        for image in root.iter("image"):
            labels = np.full((int(image.attrib["height"]), int(image.attrib["width"])), UNLABELLED)
            shapes = [shape for shape in image if shape.tag in ("polygon", "box", "mask")]
            shapes.sort(key=lambda shape: int(shape.get("z_order", 0)))
            for shape in shapes:
                number = _id(shape.attrib["label"], path, classes)
                labels[_cvat_mask(shape, labels.shape)] = number
            yield Labelled(image.attrib["name"], labels.astype(np.uint8))
    except (KeyError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{path} is no export of 'CVAT for images 1.1' ({first_line(error)}); export it again"
        ) from error


def _cvat_mask(shape: ElementTree.Element, size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool."""
    if shape.tag == "polygon":
        points = [tuple(map(float, one.split(","))) for one in shape.attrib["points"].split(";")]
        return _polygon(np.array(points), size)
    if shape.tag == "box":
        left, top, right, bottom = (float(shape.attrib[n]) for n in ("xtl", "ytl", "xbr", "ybr"))
        return _polygon(
            np.array([(left, top), (right, top), (right, bottom), (left, bottom)]), size
        )
    lengths = [int(length) for length in shape.attrib["rle"].split(",")]
    left, top, width, height = (
        int(float(shape.attrib[name])) for name in ("left", "top", "width", "height")
    )
    values = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    mask = np.zeros(size, bool)
    mask[top : top + height, left : left + width] = values.reshape(height, width)
    return mask


# Label Studio


def _label_studio(path: Path, content: Sequence[Any], classes: LabelSet) -> Iterator[Labelled]:
    try:
        for task in content:
            file = task.get("file_upload") or task["data"]["image"]
            results = [
                result
                for annotation in task["annotations"]
                if not annotation.get("was_cancelled")
                for result in annotation["result"]
            ]
            if results:
                yield Labelled(file, _drawn(results, path, classes))
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise DataError(
            f"{path} is no export of Label Studio: it lacks {error}; export it again as JSON"
        ) from error


def _drawn(results: Sequence[Mapping[str, Any]], path: Path, classes: LabelSet) -> np.ndarray:
    """(H, W) uint8 of what was drawn on one image, in that order; coordinates are percents."""
    size = results[0]["original_height"], results[0]["original_width"]
    labels = np.full(size, UNLABELLED, np.uint8)
    unit = np.array(size[::-1]) / 100
    for result in results:
        value, kind = result["value"], result["type"]
        if kind == "polygonlabels":
            points = np.array(value["points"], float)
        elif kind == "rectanglelabels":
            corner, side = (value["x"], value["y"]), (value["width"], value["height"])
            points = np.array(corner) + np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * np.array(side)
        else:
            raise DataError(
                f"{path} has {kind}, which are not read from JSON; export brushes as COCO or PNG"
            )
        labels[_polygon(points * unit, size)] = _id(value[kind][0], path, classes)
    return labels


def _polygon(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: pixels whose centre is within corners (N, 2), measured from the image's edge."""
    columns, rows = (0.5 + np.arange(length) for length in size[::-1])
    centres = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    return np.asarray(PolygonPath(points).contains_points(centres)).reshape(size)


# PNG


def _pictures(folder: Path, classes: LabelSet) -> Iterator[Labelled]:
    palette = _labelmap(folder, classes) or dict(enumerate(classes.palette))
    paths = sorted(path for path in folder.rglob("*.png"))
    if not paths:
        raise DataError(f"{folder} has no PNG; name a folder of label images")
    for path in paths:
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if pixels is None:
            raise DataError(f"{path} cannot be read; copy it again")
        if pixels.ndim == 2:
            yield Labelled(path.name, _checked(path, pixels, classes))
        else:
            yield Labelled(path.name, _of_colours(path, pixels[..., 2::-1], palette))


def _checked(path: Path, pixels: np.ndarray, classes: LabelSet) -> np.ndarray:
    wrong = pixels[(pixels >= len(classes.names)) & (pixels != UNLABELLED)]
    if wrong.size:
        raise DataError(
            f"{path} has the value {wrong[0]}, expected class ids from 0 to "
            f"{len(classes.names) - 1}, or {UNLABELLED} where there is no label"
        )
    return pixels.astype(np.uint8)


def _of_colours(path: Path, pixels: np.ndarray, palette: Mapping[int, Colour]) -> np.ndarray:
    """Black is no label, unless a class is black."""
    packed = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    table = {int.from_bytes(bytes(colour), "big"): number for number, colour in palette.items()}
    labels = np.full(packed.shape, UNLABELLED, np.uint8)
    for colour in np.unique(packed).tolist():
        if colour in table:
            labels[packed == colour] = table[colour]
        elif colour:
            raise DataError(
                f"{path} has the colour {tuple(colour.to_bytes(3, 'big'))}, which is none of the "
                "classes'; give each class its colour in the file of classes"
            )
    return labels


def _labelmap(folder: Path, classes: LabelSet) -> dict[int, Colour] | None:
    """The colours that CVAT's ``Segmentation mask 1.1`` has used, by class id."""
    path = next(iter(sorted(folder.rglob("labelmap.txt"))), None)
    if path is None:
        return None
    colours: dict[int, Colour] = {}
    for line in path.read_text().splitlines():
        name, _, rest = line.partition(":")
        if line.startswith("#") or not rest or name == "background":
            continue
        red, green, blue = map(int, rest.split(":")[0].split(","))
        colours[_id(name, path, classes)] = (red, green, blue)
    return colours
