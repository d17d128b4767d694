"""Tables 2 and 3 of the paper at their size of image: runs of ``training.train``, as time allows.

A run that was stopped goes on from its checkpoint; one that is complete has its log below ``runs``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from .carry import unpack
from .place import ROOT, STOPPED, CannotRunError, Outcome, Place

CONFIG = "config/training/nyuv2_ablation_gpu.yaml"
SEEDS = (0, 1, 2)
ENOUGH = 20.0  # seconds, below which no run is begun
LOGS = ("config.yaml", "log.csv")


class Run(NamedTuple):
    """A training: its name, and what it changes in the configuration."""

    name: str
    settings: Sequence[str]


def runs() -> Iterator[Run]:
    """Those that decide first; each method once before any has a second seed."""
    # Algorithm 1 teaches one task a mini-batch, so it has twice the epochs for as many lessons.
    esosd = ("network.variant=esosd", "strategy=em", "epochs=120")
    methods = {"mtl": (), "sosd": ("network.variant=sosd",), "esosd": esosd}
    single = {name: (f"network.variant={name}",) for name in ("semantic", "depth")}
    for seed in SEEDS:
        for name, settings in (methods | single).items():
            yield Run(f"{name}_{seed}", (*settings, f"seed={seed}"))
    if _has_imagenet_weights("xception65"):
        larger = ("network.backbone=xception65", "network.frozen_stride=null")
        for name, settings in methods.items():
            yield Run(f"xception65_{name}_0", (*settings, *larger))


def run(place: Place, wanted: Sequence[Run] | None = None, config: str = CONFIG) -> Outcome:
    if not place.data:
        raise CannotRunError(
            "no data set; give the folder of NYU Depth v2, or its parts, with --data"
        )
    data, done, problems = _folder(place), [], []
    finished = True
    for training in runs() if wanted is None else wanted:
        kept = place.out / "runs" / training.name
        if not kept.is_dir():
            if place.left < ENOUGH:
                finished = False
                break
            status = _train(place, training, config, data)
            if status == STOPPED:
                finished = False
                break
            if status:
                problems.append(f"{training.name} ended with status {status}; see the log")
                continue
            _keep(place.work / "runs" / training.name, kept)
        done.append(kept)
    rows = _rows(done) if done else ""
    return Outcome({"runs": [kept.name for kept in done]}, rows, problems, finished)


def _train(place: Place, training: Run, config: str, data: Path) -> int:
    out = place.work / "runs" / training.name
    print(f"\n{training.name}, {place.left:.0f} s left", flush=True)
    options = ["--out", str(out), "--data", str(data), "--device", place.device]
    if (out / "last.pt").is_file():
        options.append("--resume")
    settings = [part for setting in training.settings for part in ("--set", setting)]
    return place.command("training.train", config, *options, *settings)


def _keep(source: Path, target: Path) -> None:
    """What a table is made of; the checkpoint stays where it is."""
    partial = target.with_name(f"{target.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    for name in LOGS:
        shutil.copyfile(source / name, partial / name)
    partial.rename(target)


def _rows(folders: Sequence[Path]) -> str:
    command = [sys.executable, "-m", "training.results", *map(str, folders)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else done.stderr


def _folder(place: Place) -> Path:
    """The data set: as it lies, or unpacked."""
    if len(place.data) == 1 and place.data[0].is_dir():
        return place.data[0]
    return unpack(place.data, place.work / "data")


def _has_imagenet_weights(backbone: str) -> bool:
    """Whether timm's are here, so that nothing is downloaded."""
    import timm
    from huggingface_hub import try_to_load_from_cache

    os.environ["HF_HUB_OFFLINE"] = "1"
    name = timm.get_pretrained_cfg(backbone).hf_hub_id
    files = ("model.safetensors", "pytorch_model.bin")
    return any(isinstance(try_to_load_from_cache(name, file), str) for file in files)
