"""Where a frame's time goes, by network, size of the image and engine.

Frames a second and percentiles, the bare network by CUDA events, the share of the time in which a
kernel runs, copies and kernels a frame, and the least that the card would need.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

from ... import weights
from ...benchmark.engines import ANSWERS, FOCAL, frames, untrained
from ...benchmark.roofline import flops, least, matmul_rate
from ...benchmark.timing import in_turn
from ...camera import USUAL_SIZE
from ...device import checked_device
from ...engine import Engine
from ...engine.on_gpu import GpuProgram, Lane
from ...engine.stock import Stock
from ...engine.torch_backend import DTYPES
from ...network import input_size
from ...weights import Weights
from .place import Outcome, Place, one_by_one, table

SIZES = (USUAL_SIZE, (512, 1024))
UNTRAINED = "xception65"  # the paper's, of which only the cost counts
SECONDS, ROUNDS = 3.0, 60  # of an engine's timing, at most
PROFILED = 20  # frames


def run(place: Place) -> Outcome:
    items = [f"{network} {h}x{w}" for network in ("shipped", UNTRAINED) for h, w in SIZES]

    def work(item: str) -> dict[str, Any]:
        network, size = item.split()
        height, width = map(int, size.split("x"))
        arguments = (place.weights, network == UNTRAINED, (height, width))
        return place.in_own_process(measure, *arguments, place.device, place.cache)

    outcome = one_by_one(place, "rows", items, work)
    head = ("network and image", *Row._fields)
    rows = [
        (item, *(f"{value:.3g}" if isinstance(value, float) else value for value in row.values()))
        for item, found in outcome.figures.items()
        for row in found["rows"]
    ]
    return outcome._replace(markdown=table(head, rows))


class Row(NamedTuple):
    """An engine's row of the table.

    Attributes:
        forward_ms: the bare network on the device, by CUDA events; ``None`` without CUDA.
        kernel_share: of the wall time, in which the device computes or copies.
        copies, kernels: a frame.
        least_ms: what the device needs at least: the larger of the network's FLOP by the rate of
            matrix products, and of the bytes that all operations move, those after the network
            counted, by the rate of a copy.
    """

    engine: str
    fps: float
    median_ms: float
    p95_ms: float
    p99_ms: float
    forward_ms: float | None
    kernel_share: float | None
    copies: float | None
    kernels: float | None
    least_ms: float


def measure(
    path: Path, is_untrained: bool, size: tuple[int, int], device: str, folder: Path
) -> dict[str, Any]:
    """All engines that need not be built, or are, at a size of the image."""
    file, place = weights.read(path), checked_device(device)
    if is_untrained:
        file = untrained(file.manifest, UNTRAINED, size)
    elif size != SIZES[0]:  # where it is no view of its own size
        manifest = dataclasses.replace(file.manifest, input_size=size)
        file = dataclasses.replace(file, manifest=manifest)
    stock, seen = Stock(file, place, folder), input_size(size, file.manifest.input_size)
    usable = [c for c in stock.candidates() if not c.backend.suffix or seen in stock.files(c)]
    opened = {str(c): stock.open(c, print) for c in usable}
    images = frames(size)[:1]
    subjects: dict[str, Callable[[], object]] = {
        name: partial(e, images, [FOCAL], ANSWERS) for name, e in opened.items()
    }
    times = in_turn(subjects, _rounds(subjects))

    work, copy_rate = flops(weights.build_network(file), (1, 3, *seen)), bandwidth(place)
    rates = {dtype: matmul_rate(DTYPES[dtype], place) for dtype in {c.precision for c in usable}}
    rows = []
    for name, engine in opened.items():
        median = times[name]
        share = _in_kernels(subjects[name]) if place.type == "cuda" else _Kernels()
        forward = _forward_ms(engine, seen) if place.type == "cuda" else None
        moved = _bytes_a_frame(file, stock, engine.precision, images)
        least = max(work / rates[engine.precision], moved / copy_rate)
        rows.append(
            Row(
                name,
                1000 / median.median,
                *(median.median, median.p95, median.p99),
                forward,
                *share,
                1000 * least,
            )._asdict()
        )
    return {
        "input": seen,
        "gflop": work / 1e9,
        "copy_gb_s": copy_rate / 1e9,
        "matmul_gflop_s": {dtype: rate / 1e9 for dtype, rate in rates.items()},
        "rows": rows,
    }


def _rounds(subjects: dict[str, Callable[[], object]]) -> int:
    """How many rounds there is time for, by the slowest."""
    slowest = 0.0
    for subject in subjects.values():
        subject()
        started = time.perf_counter()
        subject()
        slowest = max(slowest, time.perf_counter() - started)
    return int(min(max(SECONDS / slowest / 3, 3), ROUNDS))


class _Kernels(NamedTuple):
    """What runs on the device; in the order of ``Row``."""

    share: float | None = None
    copies: float | None = None
    kernels: float | None = None


def _in_kernels(subject: Callable[[], object]) -> _Kernels:
    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as profiler:
        started = time.perf_counter()
        for _ in range(PROFILED):
            subject()
        seconds = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder, "trace.json")
        profiler.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text())["traceEvents"]
    return kernels_in(events, seconds, PROFILED)


def kernels_in(events: list[dict[str, Any]], seconds: float, count: int) -> _Kernels:
    """From the events of a trace of ``count`` frames that took ``seconds``."""
    kinds, busy = Counter[str](), 0.0
    for event in events:
        if event.get("cat") in ("kernel", "gpu_memcpy", "gpu_memset"):
            kinds[event["cat"]] += 1
            busy += event["dur"] / 1e6
    return _Kernels(busy / seconds, kinds["gpu_memcpy"] / count, kinds["kernel"] / count)


@torch.inference_mode()
def _forward_ms(engine: Engine, seen: tuple[int, int]) -> float:
    """Median of the bare network, on a stream of its own, as a graph where the backend has one."""
    inputs = torch.zeros(1, 3, *seen, device=engine.device)
    stream = torch.cuda.Stream(engine.device)
    forward: Callable[[], object] = partial(engine.backend, inputs, engine.tasks)
    milliseconds = []
    stream.wait_stream(torch.cuda.current_stream(engine.device))
    with torch.cuda.device(engine.device), torch.cuda.stream(stream):
        for _ in range(3):
            forward()
        if engine.backend.uses_graph:
            graph = torch.cuda.CUDAGraph()
            stream.synchronize()
            with torch.cuda.graph(graph, stream=stream):
                forward()
            forward = graph.replay
        for _ in range(PROFILED):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record(stream)
            forward()
            end.record(stream)
            end.synchronize()
            milliseconds.append(start.elapsed_time(end))
    return statistics.median(milliseconds)


@torch.inference_mode()
def bandwidth(device: torch.device) -> float:
    """Bytes a second that a copy within the device reads and writes, at best."""
    source = torch.ones(2**28 if device.type == "cuda" else 2**26, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.numel() / least(lambda: target.copy_(source), device, runs=5)


@torch.inference_mode()
def _bytes_a_frame(file: Weights, stock: Stock, precision: str, images: np.ndarray) -> int:
    """Bytes that torch's operations move for a frame, from its pixels to its answers."""
    eager = next(
        c for c in stock.candidates() if c.backend.name == "torch" and c.precision == precision
    )
    engine, shape = stock.open(eager, print), (1, *images.shape[1:3])
    lane = Lane(engine.device)
    program = GpuProgram(engine.backend, file.manifest, shape, ANSWERS, lane)
    given = torch.from_numpy(images).to(engine.device)
    numbers = torch.ones(1, device=engine.device), torch.tensor([0.1, 10.0, 1.0]).to(engine.device)
    with BytesMoved() as counter:
        program.finish(*program.forward(program.prepare(given)), *numbers)
    return counter.total


class BytesMoved(TorchDispatchMode):
    """Counts the bytes that each operation reads and writes; views of a tensor move none."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        answer = operation(*args, **(kwargs or {}))
        given, made = _tensors((args, kwargs)), _tensors(answer)
        places = {tensor.untyped_storage().data_ptr() for tensor in given}
        is_view = all(tensor.untyped_storage().data_ptr() in places for tensor in made)
        if not is_view or operation._schema.is_mutable:
            self.total += sum(tensor.numel() * tensor.element_size() for tensor in [*given, *made])
        return answer


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in torch.utils._pytree.tree_leaves(tree) if torch.is_tensor(leaf)]
