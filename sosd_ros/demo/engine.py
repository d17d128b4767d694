"""The engine that answers the demo's frames: on a CPU, torch is half as fast as what is built."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import torch

from .. import weights
from ..engine import EngineError, Request, is_built
from ..engine.cache import default_cache

_BACKEND = "openvino"


def build_once(path: Path, device: str, sizes: Collection[tuple[int, int]]) -> str:
    """Have the engine of a CPU built by ``sosd_ros.build``, unless that has been done.

    Args:
        path: of the weights file.
        device: of the node; on a GPU nothing needs to be built.
        sizes: (height, width) of the images that will come.

    Returns:
        Why there is no such engine, in words; empty if there is one, or none is needed.
    """
    if device != "cpu":
        return ""
    # Rounding to bfloat16 where the processor does not calculate in it would gain nothing.
    precisions = ["bf16", "fp32"] if has_bfloat16() else ["fp32"]
    file, cache = weights.read(path), default_cache()
    try:
        request = Request(_BACKEND, precisions[0], cache)
        if is_built(file, torch.device(device), request, sizes):
            return ""
    except EngineError as error:  # it is not installed
        return str(error)
    print(
        f"building an engine for this machine, once, which takes about half a minute\n"
        f"(it is kept in {cache})",
        flush=True,
    )
    command = [
        *(sys.executable, "-m", "sosd_ros.build", "--weights", str(path), "--device", device),
        *("--backend", _BACKEND),
        *(f"--size={height}x{width}" for height, width in sorted(sizes)),
    ]
    for precision in precisions:  # some weights lose too much in bfloat16
        built = subprocess.run([*command, "--precision", precision], check=False)
        if built.returncode == 0:
            return ""
    print("going on without it: torch runs the network", file=sys.stderr)
    return "no engine could be built, see above"


def has_bfloat16() -> bool:
    """Whether the processor multiplies in bfloat16, which is twice as fast as in float32."""
    flags = Path("/proc/cpuinfo").read_text().partition("\nflags")[2].partition("\n")[0].split()
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(flags)
