"""One network beside another, image by image: what differs by more than chance."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..metrics import ErrorsByDistance, Measure
from . import bootstrap, tables
from .protocol import Protocol
from .result import Result
from .setting import Setting, depth_in_words
from .tables import Line


def conditions(setting: Setting, protocol: Protocol) -> dict[str, Any]:
    """What numbers must have in common to be compared, beside the images; as JSON has it.

    How the focal length is answered for may differ: that is what one compares.
    """
    measured = dataclasses.asdict(protocol)
    for name in ("corrects", "fit"):
        del measured[name]
    described = {
        "data set": setting.truth.title,
        "classes": len(setting.truth.labels.names),
        "size": setting.samples[0].labels.shape,
        "depth": depth_in_words(setting.data),
        **measured,
    }
    return json.loads(json.dumps(described))


def check(other: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Refuse what was not measured alike.

    Args:
        other: the name of the other.
        ours, theirs: by name, what must be the same; see ``json_record.conditions``.

    Raises:
        ValueError: with each difference.
    """
    differences = [
        f"{name} is {theirs.get(name)} there and {ours.get(name)} here"
        for name in dict.fromkeys([*ours, *theirs])
        if theirs.get(name) != ours.get(name)
    ]
    if differences:
        raise ValueError(
            f"{other} cannot be compared image by image: {'; '.join(differences)}; measure both "
            "alike"
        )


def check_images(other: str, ours: Sequence[str], theirs: Sequence[str]) -> None:
    """Refuse other images.

    Raises:
        ValueError: with their numbers, and one that only one of both has.
    """
    if list(ours) == list(theirs):
        return
    alone = sorted({*ours} ^ {*theirs})
    first = f", and {alone[0]} is in one of both alone" if alone else ", in another order"
    raise ValueError(
        f"{other} cannot be compared image by image: it has {len(theirs)} images where here are "
        f"{len(ours)}{first}; measure both on the same split"
    )


def text(other: str, ours: Result, theirs: Result) -> str:
    """The difference of each number, ours less theirs, with its paired interval.

    Raises:
        ValueError: if they have no number in common.
    """
    found = rows(ours, theirs)
    if not found:
        raise ValueError(f"{other} answers nothing that is answered here; compare others")
    head = ["", "here", "there", "difference", "95 % interval", ""]
    return tables.aligned([head, *found], left=(0, 5))


def rows(ours: Result, theirs: Result) -> list[list[str]]:
    """What each number is called, ours, theirs, the difference, its interval, and a verdict."""
    found = bootstrap.paired([(ours.measures, theirs.measures)])
    common = {name: ours.measures[name] for name in found}
    compared = []
    for line in [*tables.lines(common), *_biases(common)]:
        here, there = line.of(ours.measures), line.of(theirs.measures)
        low, high = line.ends(found)
        if not (math.isnan(here) and math.isnan(there)):
            compared.append(
                [
                    line.title,
                    f"{here:.3f}",
                    f"{there:.3f}",
                    f"{here - there:+.3f}",
                    f"{low:+.3f} to {high:+.3f}",
                    _verdict(line, low, high),
                ]
            )
    return compared


def _biases(measures: Mapping[str, Measure]) -> list[Line]:
    """Of each distance, as answered."""
    if "by_answer" not in measures:
        return []
    return [
        Line(f"bias of answers {tables.distance(place)} m", "by_answer", "bias", place, "")
        for place in range(len(ErrorsByDistance.EDGES) - 1)
    ]


def _verdict(line: Line, low: float, high: float) -> str:
    """What a difference means whose interval is without zero; nothing if it has it."""
    if not (low > 0 or high < 0):
        return ""
    if not line.better:
        return "* differs"
    return "* better" if (low > 0) == (line.better == "more") else "* worse"
