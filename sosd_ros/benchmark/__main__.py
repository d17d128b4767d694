"""``python -m sosd_ros.benchmark``: one run, so that its figures may be compared."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import atomic, commands, weights
from ..device import checked_device
from ..engine import EngineError, cache
from ..engine.choice import Candidate
from ..engine.perception import TASK_OF
from ..network import SOSDNet, input_size
from ..ros.malloc import keep_freed_memory
from ..weights import Manifest, Weights
from . import engines, memory, surroundings
from .engines import Bench, EngineResult
from .roofline import flops, matmul_rate
from .targets import best_engine, targets
from .timing import LOW_RATE, at_rate, in_turn

SIZE = (480, 640)  # of the images, where nothing else is said
SIZES = ((256, 512), (480, 640), (512, 1024))  # of the network's input, to see how it scales
BATCHES = (1, 2, 4)
LONG_RUN = (200, 2000)  # frames, between which memory should not grow
LARGE = (256, 512)  # of xception65's input
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def run(arguments: argparse.Namespace) -> None:
    keep_freed_memory()  # as the node does
    if arguments.json is not None:
        commands.check_out("--json", arguments.json)
    device = checked_device(arguments.device)
    bench = Bench(weights.read(arguments.weights), device, arguments.cache / "shipped", tell=_say)
    results: dict[str, Any] = {}
    try:
        _run(bench, arguments.weights, arguments, results)
    finally:  # what has been measured before a failure as well
        if arguments.json is not None and results:
            atomic.write(arguments.json, json.dumps(_plain(results), indent=2))
            _say(f"\nsaved {arguments.json}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sosd_ros.benchmark", description=__doc__)
    commands.add_weights_option(parser)
    commands.add_device_option(parser)
    parser.add_argument("--json", type=Path, help="where to save all figures")
    parser.add_argument(
        "--rounds", type=commands.count, default=30, help="of each comparison (default: 30)"
    )
    parser.add_argument("--ros", action="store_true", help="also the node over real DDS")
    parser.add_argument("--rivals", action="store_true", help="also other networks")
    parser.add_argument("--quick", action="store_true", help="only the engines and their targets")
    parser.add_argument(
        "--cache",
        type=Path,
        default=cache.default_cache() / "benchmark",
        help="where engines that are built for this are kept",
    )
    return parser


def _run(bench: Bench, path: Path, arguments: argparse.Namespace, results: dict[str, Any]) -> None:
    """All sections in order; what each one gives is printed at once and put into ``results``."""
    rounds = arguments.rounds
    results["machine"] = _machine(bench.device)
    _say("\n".join(f"{name}: {value}" for name, value in results["machine"].items()))

    own = input_size(SIZE, bench.file.manifest.input_size)
    usable = engines.installed(bench, (own,) if arguments.quick else (own, *SIZES))
    results["rates"] = {
        name: matmul_rate(DTYPES[name], bench.device) for name in {c.precision for c in usable}
    }
    for name, rate in sorted(results["rates"].items()):
        _say(f"matrix products in {name}: {rate / 1e9:.0f} GFLOP/s")
    results["engines"] = engines.compare(bench, usable, (1, *SIZE), rounds)
    work = flops(weights.build_network(bench.file), (1, 3, *own))
    _title(f"image to answer, {SIZE[1]}x{SIZE[0]} image, network sees {own[1]}x{own[0]}")
    _print_engines(results["engines"], work, results["rates"])
    best = best_engine(results["engines"])
    _say(f"\nfastest that agrees with eager float32: {best.name}")

    results["surroundings"] = surroundings.measure(bench.file, SIZE, rounds)
    _title("around the network")
    _print_surroundings(results["surroundings"])
    chosen = next(c for c in usable if str(c) == best.name)
    answer = _in_full(bench, chosen)
    results["in_full"] = in_turn({"": answer}, rounds)[""]
    results["in_full_at_rate"] = at_rate(answer, LOW_RATE, rounds)
    _say(f"image to answer with confidence     {results['in_full']}   {best.name}")
    _say(f"the same, at {LOW_RATE:g} Hz                  {results['in_full_at_rate']}")

    if not arguments.quick:
        _print_memory(bench, path, results, [str(c) for c in usable], best.name)
        _print_scaling(bench, results, usable, best.name, rounds)
        _print_large(bench, results, arguments.cache / "xception65", rounds)
    if arguments.rivals:
        _print_rivals(bench, results, chosen, rounds)
    if arguments.ros:
        _print_ros(bench, path, results, best.name)

    results["targets"] = targets(results)
    _title("targets")
    for row in results["targets"]:
        _say(str(row))


def _machine(device: torch.device) -> dict[str, str]:
    name = cache.key(device, ("torch",), "")["device"]
    return {
        "machine": f"{' '.join(filter(None, name))}, {len(os.sched_getaffinity(0))} cores",
        "load before": f"{os.getloadavg()[0]:.2f}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _print_engines(results: list[EngineResult], work: int, rates: dict[str, float]) -> None:
    _say(
        f"{'engine':18}{'median':>9}{'p95':>9}{'p99':>9}  {'forward':>8}{'over':>6}"
        f"{'prepare':>9}{'finish':>8}{'fps':>7}{'of peak':>9}  agreement"
    )
    for result in results:
        stages = (result.prepare, result.forward, result.finish)
        prepare, forward, finish = ("-" if s is None else f"{s.median:.2f}" for s in stages)
        over = "-" if result.overhead is None else f"{result.overhead:.2f}"
        alone = result.forward or result.total
        reached = result.shape[0] * work / (alone.median / 1000)
        share_ = reached / rates[result.name.split()[1]]
        _say(
            f"{result.name:18}{result.total} {forward:>9}{over:>6}{prepare:>9}{finish:>8}"
            f"{result.frames_per_second:7.1f}{share_:9.0%}  {result.agreement}"
        )


def _print_surroundings(result: surroundings.Surroundings) -> None:
    _say(f"{'[ms]':36}{'median':>8} {'p95':>8} {'p99':>8}")
    _say(f"labels and confidence, plainly      {result.plain}   {result.plain_memory:.0f} MiB")
    _say(f"labels and confidence, fused        {result.fused}   {result.fused_memory:.1f} MiB")
    _say(f"labels alone, fused                 {result.labels}")
    _say(f"cloud into its message              {result.cloud}")


def _in_full(bench: Bench, chosen: Candidate) -> Callable[[], object]:
    """Image to answer with all answers, as when every topic has a subscriber."""
    engine, images = engines.opened(bench, chosen), engines.frame(SIZE)[None]
    return partial(engine, images, [engines.FOCAL], engine.answers)


def _print_memory(
    bench: Bench, path: Path, results: dict[str, Any], names: list[str], best: str
) -> None:
    """Each engine in a process of its own, and the best one for 2,000 frames."""
    _title("memory of a process with one engine [MiB]")
    place = (path, str(bench.device), bench.folder)
    results["memory"] = {}
    for name in names:
        [used] = memory.elsewhere(engines.memory_of, *place, name, engines.ANSWERS, (20,))
        _say(f"{name:18}{used.resident:8.0f} resident{used.device:8.0f} on the device")
        results["memory"][name] = used
    early, late = memory.elsewhere(engines.memory_of, *place, best, tuple(TASK_OF), LONG_RUN)
    results["growth"] = late.resident / early.resident
    grown = f"{early.resident:.1f}, after {LONG_RUN[1]} {late.resident:.1f}"
    _say(f"{best} after {LONG_RUN[0]} frames {grown}")


def _print_scaling(
    bench: Bench, results: dict[str, Any], usable: list[Candidate], best: str, rounds: int
) -> None:
    _title("image to answer by the network's input and by batch [ms]")
    pair = [c for c in usable if str(c) in (best, "torch fp32")]
    results["scaling"] = []
    for size in SIZES:
        for batch in BATCHES:
            found = engines.compare(bench.at(size), pair, (batch, *size), max(rounds // 5, 3))
            results["scaling"] += found
            for result in found:
                each = f"{result.total.median / batch:8.2f} an image"
                _say(f"{size[0]}x{size[1]} batch {batch}  {result.name:18}{result.total}{each}")


def _print_large(bench: Bench, results: dict[str, Any], folder: Path, rounds: int) -> None:
    """The paper's own size of network; its weights are random, as only their number counts."""
    manifest = dataclasses.replace(
        bench.file.manifest, backbone="xception65", input_size=LARGE, variant="esosd"
    )
    torch.manual_seed(0)
    network = SOSDNet("esosd", "xception65", len(manifest.labels.names))
    large = dataclasses.replace(bench, file=_untrained(manifest, network), folder=folder)
    usable = engines.installed(large, [LARGE])
    found = engines.compare(large, usable, (1, *LARGE), max(rounds // 10, 3))
    _title(f"xception65, {LARGE[0]}x{LARGE[1]}, untrained")
    work = flops(network, (1, 3, *LARGE))
    _print_engines(found, work, results["rates"])
    results["xception65"] = found
    results["xception65_share"] = max(
        work / ((r.forward or r.total).median / 1000) / results["rates"][r.name.split()[1]]
        for r in found
    )


def _untrained(manifest: Manifest, network: SOSDNet) -> Weights:
    what = f"untrained {manifest.backbone}, {len(manifest.labels.names)} classes, seed 0"
    return Weights(manifest, network.state_dict(), what)


def _print_rivals(bench: Bench, results: dict[str, Any], chosen: Candidate, rounds: int) -> None:
    from .rivals import MissingLibraryError, rivals

    _title("image to answer, other networks with random weights, eager float32")
    image, engine = engines.frame(SIZE), engines.opened(bench, chosen)
    answer = partial(engine, image[None], [engines.FOCAL], engines.ANSWERS)
    subjects: dict[str, Callable[[], object]] = {str(chosen): answer}
    for entry in rivals():
        try:
            subjects[entry.name] = partial(entry.build(device=bench.device), image)
        except MissingLibraryError as error:
            _say(f"{entry.name}: left out, {error}")
    results["rivals"] = in_turn(subjects, max(rounds // 6, 3))
    for name, times in results["rivals"].items():
        _say(f"{name:44}{times}")


def _print_ros(bench: Bench, path: Path, results: dict[str, Any], best: str) -> None:
    from .ros import examine

    _title("camera stamp to last answer received, over DDS: depth, labels, confidence, points")
    backend, precision = best.split()
    parameters = {
        "weights": str(path),
        "device": str(bench.device),
        "backend": backend,
        "precision": precision,
        "engine_cache": str(bench.folder),
    }
    results["ros"] = {name: examine(name, parameters) for name in ("sosd", "textbook")}
    _say(f"{'node':10}{'offered':>9}{'p50':>8}{'p95':>8}{'p99':>8}{'answered':>12}{'Hz':>7}")
    for name, report in results["ros"].items():
        for run in (report.unhurried, *report.rates):
            _say(
                f"{name:10}{run.rate_hz:9.0f}{run.p50_ms:8.1f}{run.p95_ms:8.1f}{run.p99_ms:8.1f}"
                f"{run.answered:6d} /{run.offered:4d}{run.achieved_hz:7.1f}"
            )
        _say(f"{name:10}highest rate held: {report.highest.rate_hz:.1f} Hz")
    ours = results["ros"]["sosd"]
    stages = dict(ours.stages)
    if "total" in stages:  # the node's own report may have come too late
        stages["on the way"] = ours.unhurried.p50_ms - stages.pop("total")
    _say(f"sosd at {LOW_RATE:g} Hz [ms]: {', '.join(f'{k} {v:.1f}' for k, v in stages.items())}")


def _title(text: str) -> None:
    _say(f"\n{text}\n{'-' * len(text)}")


def _say(text: str) -> None:
    print(text, flush=True)


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        members = {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        for name in ("overhead", "frames_per_second", "verdict"):
            if hasattr(value, name):
                members[name] = getattr(value, name)
        return members
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


if __name__ == "__main__":
    commands.main(_parser(), run, EngineError)
