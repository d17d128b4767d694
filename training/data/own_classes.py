"""Classes of one's own: a YAML file with their names, colours and groups.

    classes:
      floor: {group: traversable}
      pallet: {colour: [200, 140, 60], group: obstacle}
      ceiling: {}

A class without a colour gets one that others do not have.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from sosd_ros.labels import Colour, LabelSet, distinct_colours
from sosd_ros.reasons import first_line

from . import files
from .errors import DataError

FILE = "classes.yaml"  # in the folder of a data set
GROUPS = ("traversable", "obstacle")


class _Class(BaseModel):
    model_config = ConfigDict(extra="forbid")

    colour: Colour | None = None
    group: Literal["traversable", "obstacle"] | None = None


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    classes: dict[str, _Class]


def read_classes(path: Path) -> LabelSet:
    """Raises DataError naming the file and what is wrong with it."""
    try:
        classes = _File.model_validate(yaml.safe_load(path.read_text())).classes
        spare = distinct_colours(len(classes))
        palette = [o.colour or colour for o, colour in zip(classes.values(), spare, strict=True)]
        traversable, obstacle = (
            tuple(name for name, one in classes.items() if one.group == group) for group in GROUPS
        )
        return LabelSet(tuple(classes), tuple(palette), traversable, obstacle)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise DataError(
            f"{path}: {where}: {first['msg']}; docs/your-robot.md has an example"
        ) from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise DataError(f"{path} holds no classes: {first_line(error)}") from error


def write(folder: Path, classes: LabelSet) -> None:
    """``classes.yaml`` of a data set."""
    content: dict[str, dict[str, object]] = {
        name: {"colour": list(colour)}
        for name, colour in zip(classes.names, classes.palette, strict=True)
    }
    for group in GROUPS:
        for name in getattr(classes, group):
            content[name]["group"] = group
    text = yaml.safe_dump({"classes": content}, sort_keys=False, default_flow_style=None)
    files.write(folder / FILE, text.encode())


def check_same(folder: Path, classes: LabelSet) -> None:
    """Refuse to mix labels of other classes; ids of the first ones may not change their meaning."""
    if (folder / FILE).is_file():
        there = read_classes(folder / FILE).names
        if classes.names[: len(there)] != there:
            raise DataError(
                f"{folder / FILE} has the classes {', '.join(there)}, which new ones may follow, "
                f"but these begin with {', '.join(classes.names[: len(there)])}; keep their order"
            )
