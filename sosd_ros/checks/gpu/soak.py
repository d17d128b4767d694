"""Thousands of frames at full speed, by every engine that agrees: memory stays as it is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from ...benchmark.memory import status
from ...ros.malloc import keep_freed_memory
from ...share import sample_frames
from . import engines
from .place import LAST_WORDS, CannotRunError, Kept, Outcome, OutOfTimeError, Place, table

EARLY = 200  # frames, after which memory should not grow
MOST_GROWTH = 1.01  # of a process's memory
MOST_ON_DEVICE = 2.0  # MiB more; what is allocated there is allocated at the first frames


def run(place: Place) -> Outcome:
    names = engines.agreeing(place)
    if not names:
        raise CannotRunError("no engine has been found to agree; the part 'engines' comes first")
    kept, problems, finished = Kept(place.work / "soak.json"), [], True
    for name in names:
        stretches = kept.get(name, [])
        missing = place.frames - sum(stretch["frames"] for stretch in stretches)
        if missing <= 0:
            continue
        if place.left <= LAST_WORDS:
            finished = False
            break
        print(f"{name}: {missing} frames ...", flush=True)
        engine = (place.weights, place.device, place.cache, name)
        until = place.deadline - LAST_WORDS
        try:
            found = place.in_own_process(stretch_of, *engine, missing, until)
        except OutOfTimeError:
            finished = False
            break
        except Exception as error:
            problems.append(f"{name}: {type(error).__name__}: {error}")
            continue
        kept[name] = [*stretches, found]
        finished &= found["frames"] >= missing
    rows = []
    for name, stretches in kept.items():
        count = sum(stretch["frames"] for stretch in stretches)
        rows.append((name, count, f"{stretches[-1]['fps']:.0f}", _grown(stretches)))
        problems += [f"{name}: {fault}" for stretch in stretches for fault in faults(stretch)]
    markdown = table(("engine", "frames", "frames/s", "memory grew, resident and device"), rows)
    return Outcome(dict(kept), markdown, problems, finished)


def stretch_of(
    path: Path, device: str, folder: Path, name: str, most: int, deadline: float
) -> dict[str, Any]:
    """Frames of one engine in this process: so many, or as many as there is time for."""
    keep_freed_memory()  # as the node does
    stock = engines.stock_of(path, device, folder)
    engine = stock.open(engines.candidate_of(stock, name), print)
    frames, focal = sample_frames(), engine.manifest.focal_length

    def answer(number: int) -> list[np.ndarray]:
        given = engine(frames[number % len(frames), None], [focal], engine.answers)
        return [values for values in given if values is not None]

    def memory() -> dict[str, float]:
        on_device = engine.memory()
        used = 0.0 if on_device is None else on_device[0] / 2**20
        return {"resident_mib": status("VmRSS"), "device_mib": used}

    first, count = answer(0), 1
    while count < min(EARLY, most) and time.monotonic() < deadline:
        answer(count)
        count += 1
    early, started = memory(), time.monotonic()
    begun = count
    while count < most and time.monotonic() < deadline:
        answer(count)
        count += 1
    rate = (count - begun) / max(time.monotonic() - started, 1e-9)
    late = memory()
    same = all(np.array_equal(*pair, equal_nan=True) for pair in zip(first, answer(0), strict=True))
    return {"frames": count, "fps": rate, "early": early, "late": late, "same_at_last": same}


def faults(stretch: dict[str, Any]) -> list[str]:
    """What is wrong with a stretch of frames, a sentence each; short ones say nothing of memory."""
    early, late, found = stretch["early"], stretch["late"], []
    if stretch["frames"] > 2 * EARLY:
        if late["resident_mib"] > MOST_GROWTH * early["resident_mib"]:
            found.append(
                f"memory grew from {early['resident_mib']:.0f} to {late['resident_mib']:.0f} MiB"
            )
        if late["device_mib"] > early["device_mib"] + MOST_ON_DEVICE:
            found.append(
                f"the device's grew from {early['device_mib']:.0f} to {late['device_mib']:.0f} MiB"
            )
    if not stretch["same_at_last"]:
        found.append("the first frame got a different answer when asked again at the end")
    return found


def _grown(stretches: list[dict[str, Any]]) -> str:
    grown = [
        max(stretch["late"][which] - stretch["early"][which] for stretch in stretches)
        for which in ("resident_mib", "device_mib")
    ]
    return " and ".join(f"{mib:.1f} MiB" for mib in grown)
