"""Every backend at every precision: is it built, and does it agree on the sample frames?"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ... import weights
from ...device import checked_device
from ...engine.agreement import agreement_of, answers
from ...engine.stock import Candidate, Stock
from ...network import input_size
from ...share import sample_frames
from .place import Kept, Outcome, Place, one_by_one, table

NAME = "engines"


def run(place: Place) -> Outcome:
    names = map(str, stock_of(place.weights, place.device, place.cache).candidates())
    arguments = (place.weights, place.device, place.cache)
    outcome = one_by_one(
        place, NAME, names, lambda name: place.in_own_process(examine, *arguments, name)
    )
    rows, problems = [], [*outcome.problems]
    for name, found in outcome.figures.items():
        if reason := found.get("left out"):
            rows.append((name, "left out", reason))
            continue
        rows.append((name, f"{found['build_s']:.0f} s", found["agreement"]))
        if not found["agrees"]:
            problems.append(f"{name} does not agree: {found['agreement']}")
    markdown = table(("engine", "built in", "against eager float32, twelve frames"), rows)
    return outcome._replace(markdown=markdown, problems=problems)


def agreeing(place: Place) -> list[str]:
    """The names of the engines that this part has found usable."""
    return [
        name for name, found in Kept(place.work / f"{NAME}.json").items() if found.get("agrees")
    ]


def stock_of(path: Path, device: str, folder: Path) -> Stock:
    return Stock(weights.read(path), checked_device(device), folder)


def candidate_of(stock: Stock, name: str) -> Candidate:
    return next(candidate for candidate in stock.candidates() if str(candidate) == name)


def examine(path: Path, device: str, folder: Path, name: str) -> dict[str, Any]:
    """Build an engine and compare it; in a process of its own, which a broken context ends."""
    stock = stock_of(path, device, folder)
    candidate, frames = candidate_of(stock, name), sample_frames()
    kind = candidate.backend
    if missing := kind.missing():
        return {"left out": missing}
    started = time.monotonic()
    if kind.suffix:
        stock.build(candidate, [input_size(frames.shape[1:3], stock.file.manifest.input_size)])
    built = time.monotonic() - started
    engine, reference = (stock.open(c, print) for c in (candidate, stock.eager))
    agreed = agreement_of(answers(engine, frames), answers(reference, frames))
    return {
        "build_s": built,
        "agreement": str(agreed),
        "agrees": agreed.suffices,
        "mean": agreed.mean._asdict(),
        "worst": agreed.worst._asdict(),
    }
