"""``python -m sosd_ros.benchmark``: one run, so that its figures may be compared."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import platform
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from .. import atomic, commands, weights
from ..camera import USUAL_SIZE
from ..device import checked_device
from ..engine import EngineError, cache
from ..engine.answers import TASK_OF
from ..engine.stock import Candidate
from ..engine.torch_backend import DTYPES
from ..network import input_size
from ..ros.malloc import keep_freed_memory
from ..testbed.own_process import in_own_process
from ..testbed.times import Times
from . import engines, rivals, surroundings, tables
from .engines import Bench, EngineResult, Memory, untrained
from .results import Results
from .roofline import flops, matmul_rate
from .targets import targets
from .timing import LOW_RATE, at_rate, in_turn

if TYPE_CHECKING:
    from .nodes import NodeReport

SIZES = ((256, 512), USUAL_SIZE, (512, 1024))  # of the network's input, to see how it scales
BATCHES = (1, 2, 4)
LONG_RUN = (200, 2000)  # frames, between which memory should not grow
LARGE = (256, 512)  # of xception65's input


def run(arguments: argparse.Namespace) -> None:
    keep_freed_memory()  # as the node does
    if arguments.json is not None:
        commands.check_out("--json", arguments.json)
    device = checked_device(arguments.device)
    bench = Bench(weights.read(arguments.weights), device, arguments.cache / "shipped", tell=_say)
    results = Results()
    try:
        _run(bench, arguments, results)
    finally:  # what has been measured before a failure as well
        if arguments.json is not None and (figures := results.to_json()):
            atomic.write(arguments.json, json.dumps(figures, indent=2))
            _say(f"\nsaved {arguments.json}")


def command_line() -> argparse.ArgumentParser:
    parser = commands.parser("sosd_ros.benchmark", __doc__, "--device cpu --quick")
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


def _run(bench: Bench, arguments: argparse.Namespace, results: Results) -> None:
    """All sections in order; what each one gives is put into ``results`` and printed at once."""
    rounds, path = arguments.rounds, arguments.weights
    results.machine = _machine(bench.device)
    _say("\n".join(f"{name}: {value}" for name, value in results.machine.items()))

    usable = _engines(bench, () if arguments.quick else SIZES, rounds, results)
    chosen = next(c for c in usable if str(c) == results.best_engine().name)
    _around(bench, chosen, rounds, results)
    if not arguments.quick:
        _memories(bench, path, usable, chosen, results)
        _title("image to answer by the network's input and by batch [ms]")
        pair = [candidate for candidate in usable if str(candidate) in (str(chosen), "torch fp32")]
        results.scaling = _scaling(bench, pair, rounds)
        _say(tables.scaling(results.scaling))
        _xception65(bench, arguments.cache / "xception65", max(rounds // 10, 3), results)

    if arguments.rivals:
        _title("image to answer, other networks with random weights")
        results.rivals = _rivals(bench, chosen, rounds)
        _say(tables.rivals(results.rivals))

    if arguments.ros:
        _title("camera stamp to last answer received, over DDS: depth, labels, confidence, points")
        results.ros = _ros(bench, path, chosen)
        _say(tables.nodes(results.ros))

    results.targets = targets(results)
    _title("targets")
    _say("\n".join(map(str, results.targets)))


def _engines(
    bench: Bench, sizes: Sequence[tuple[int, int]], rounds: int, results: Results
) -> list[Candidate]:
    """All that are installed, in turn; those that are usable at ``sizes`` as well."""
    own = input_size(USUAL_SIZE, bench.file.manifest.input_size)
    usable = engines.installed(bench, (own, *sizes))
    results.rates = {
        name: matmul_rate(DTYPES[name], bench.device) for name in {c.precision for c in usable}
    }
    for name, rate in sorted(results.rates.items()):
        _say(f"matrix products in {name}: {rate / 1e9:.0f} GFLOP/s")
    results.engines = engines.compare(bench, usable, (1, *USUAL_SIZE), rounds)
    work = flops(weights.build_network(bench.file), (1, 3, *own))
    _title(
        f"image to answer, {USUAL_SIZE[1]}x{USUAL_SIZE[0]} image, network sees {own[1]}x{own[0]}"
    )
    _say(tables.engines(results.engines, work, results.rates))
    _say(f"\nfastest that agrees with eager float32: {results.best_engine().name}")
    return usable


def _around(bench: Bench, chosen: Candidate, rounds: int, results: Results) -> None:
    """What is done around the network, and the chosen engine with all of it."""
    results.surroundings = surroundings.measure(bench.file, USUAL_SIZE, rounds)
    _title("around the network")
    _say(tables.surroundings(results.surroundings))
    engine = engines.opened(bench, chosen)
    # With all answers, as when every topic has a subscriber.
    images = engines.frames(USUAL_SIZE)[:1]
    answer = partial(engine, images, [engines.FOCAL], engine.answers)
    results.in_full = in_turn({"": answer}, rounds)[""]
    results.in_full_at_rate = at_rate(answer, LOW_RATE, rounds)
    _say(f"image to answer with confidence     {results.in_full}   {chosen}")
    _say(f"the same, at {LOW_RATE:g} Hz                  {results.in_full_at_rate}")


def _memories(
    bench: Bench, path: Path, usable: list[Candidate], chosen: Candidate, results: Results
) -> None:
    """Of each engine, and whether the chosen one's grows."""
    _title("memory of a process with one engine [MiB]")
    names = map(str, usable)
    results.memory = {n: _memory(bench, path, n, engines.ANSWERS, (20,))[0] for n in names}
    _say(tables.memory(results.memory))
    used = _memory(bench, path, str(chosen), tuple(TASK_OF), LONG_RUN)
    early, late = (memory.resident for memory in used)
    results.growth = late / early
    _say(f"{chosen} after {LONG_RUN[0]} frames {early:.1f}, after {LONG_RUN[1]} {late:.1f}")


def _xception65(bench: Bench, folder: Path, rounds: int, results: Results) -> None:
    """The engines with the paper's backbone, untrained."""
    file = untrained(bench.file.manifest, "xception65", LARGE)
    work = flops(weights.build_network(file), (1, 3, *LARGE))
    large = dataclasses.replace(bench, file=file, folder=folder)
    usable = engines.installed(large, [LARGE])
    results.xception65 = engines.compare(large, usable, (1, *LARGE), rounds)
    _title(f"xception65, {LARGE[0]}x{LARGE[1]}, untrained")
    _say(tables.engines(results.xception65, work, results.rates))
    results.xception65_share = max(
        engine.share_of_peak(work, results.rates) for engine in results.xception65
    )


def _machine(device: torch.device) -> dict[str, str]:
    name = filter(None, cache.device_name(device))
    return {
        "machine": f"{' '.join(name)}, {len(os.sched_getaffinity(0))} cores",
        "load before": f"{os.getloadavg()[0]:.2f}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _memory(
    bench: Bench, path: Path, name: str, answers: Collection[str], at: Sequence[int]
) -> list[Memory]:
    """Of a process with one engine, when it has answered so many frames, for each of ``at``."""
    place = (path, str(bench.device), bench.folder)
    return in_own_process(engines.memory_of, *place, name, answers, at)


def _scaling(bench: Bench, pair: list[Candidate], rounds: int) -> list[EngineResult]:
    found = []
    for size, batch in itertools.product(SIZES, BATCHES):
        found += engines.compare(bench.at(size), pair, (batch, *size), max(rounds // 5, 3))
    return found


def _rivals(bench: Bench, chosen: Candidate, rounds: int) -> dict[str, Times]:
    """Other networks and the chosen engine, by name; those by eager torch, and by its runtime.

    So that what is compared are networks, and not the runtimes that they happen to have.
    """
    images, engine = engines.frames(USUAL_SIZE)[:1], engines.opened(bench, chosen)
    ours = partial(engine, images, [engines.FOCAL], engines.ANSWERS)
    subjects: dict[str, Callable[[], object]] = {str(chosen): ours}
    for name, make in rivals.RIVALS.items():
        try:
            network = make().eval().to(bench.device)
        except ImportError as error:
            _say(f"{name}: left out, {error}")
            continue
        for runtime, answer in _runtimes(network, chosen, torch.from_numpy(images)).items():
            subjects[f"{name}, {runtime}"] = partial(_answer, answer, images, bench.device)
    return in_turn(subjects, max(rounds // 6, 3))


def _runtimes(
    network: nn.Module, chosen: Candidate, images: torch.Tensor
) -> dict[str, rivals.Answer]:
    """What runs a rival: eager torch in float32, and what is as fast as the chosen engine's."""
    found: dict[str, rivals.Answer] = {"torch fp32": partial(rivals.eager, network)}
    if chosen.backend.name == "openvino":
        found[str(chosen)] = rivals.by_openvino(network, images, chosen.precision)
    elif next(network.parameters()).is_cuda:
        found["compile bf16"] = rivals.by_compile(network, torch.bfloat16)
    return found


def _answer(answer: rivals.Answer, images: np.ndarray, device: torch.device) -> list[np.ndarray]:
    return answer(torch.from_numpy(images).to(device))


def _ros(bench: Bench, path: Path, chosen: Candidate) -> dict[str, NodeReport]:
    """The node with the chosen engine and the textbook's, by name."""
    from .nodes import NODES, answers_of, examine  # the only part that needs ROS

    parameters = {
        "weights": str(path),
        "device": str(bench.device),
        "backend": chosen.backend.name,
        "precision": chosen.precision,
        "engine_cache": str(bench.folder),
    }
    answers = answers_of(bench.file.manifest)
    return {name: examine(name, parameters, answers) for name in NODES}


def _title(text: str) -> None:
    _say(f"\n{text}\n{'-' * len(text)}")


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    commands.main(command_line(), run, EngineError)
