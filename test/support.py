"""What the tests share: a network that is quick to run, as a weights file."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import torch

from sosd_ros import weights
from sosd_ros.labels import NYU40
from sosd_ros.network import SOSDNet

SMALL = weights.Manifest(
    variant="esosd",
    backbone="mobilenetv4_conv_small",
    labels=NYU40,
    focal_length=100.0,
    input_size=(64, 96),
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
)


def run_module(module, *arguments):
    """``python -m module`` as a command of its own, finished; from the checkout's root."""
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        check=False,
    )


def write_small_weights(path, **changes):
    """A weights file with random parameters, whose depth answer is about 2 m everywhere."""
    manifest = dataclasses.replace(SMALL, **changes)
    torch.manual_seed(0)
    network = SOSDNet(manifest.variant, manifest.backbone, len(manifest.labels.names))
    if "depth" in network.tasks:
        head = network.depth_head
        (head.depth if hasattr(head, "depth") else head.conv).bias.data.fill_(2.0)
    weights.write(path, manifest, network.state_dict())
    return path
