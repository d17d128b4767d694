"""The benchmark as it is for every machine: all engines in turn, the rivals, and the targets."""

from __future__ import annotations

import importlib.util
import json

from .place import Outcome, Place


def run(place: Place) -> Outcome:
    record, log = place.work / "benchmark.json", place.out / "benchmark.log"
    options = ["--device", place.device, "--weights", str(place.weights), "--quick", "--rivals"]
    if importlib.util.find_spec("rclpy") is not None:
        options.append("--ros")  # the textbook node as well
    folder = str(place.cache.parent)
    status = place.command("sosd_ros.benchmark", *options, "--cache", folder, "--json", str(record))
    figures = json.loads(record.read_text()) if record.is_file() else {}
    problems, is_stopped = [], place.left <= 0
    if status and not is_stopped:
        problems.append(f"the benchmark ended with status {status}")
    text = log.read_text() if log.is_file() else ""
    return Outcome(figures, f"```\n{text.strip()}\n```", problems, not is_stopped)
