"""What the tests share: a network that is quick to run, as a weights file."""

from __future__ import annotations

import dataclasses
import importlib
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path

import pytest
import torch
from processes import ForkedProcess

from sosd_ros import kernels, weights
from sosd_ros.engine import BACKENDS
from sosd_ros.engine.onnx_backend import OnnxBackend
from sosd_ros.labels import NYU40
from sosd_ros.network import SOSDNet
from sosd_ros.network.sharp import ConvexUpsampling
from training.networks import initial

SMALL = weights.Manifest(
    variant="esosd",
    backbone="mobilenetv4_conv_small",
    labels=NYU40,
    focal_length=100.0,
    input_size=(64, 96),
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
)
# Of all that is beyond the paper's network.
SHARP = dataclasses.replace(
    SMALL, taps=(4, 8, 16, 32), padding="replicate", depth_form="log", spread=True
)


def _gpu(name, number):
    is_absent = torch.cuda.device_count() <= number
    skip = pytest.mark.skipif(is_absent, reason=f"needs {number + 1} CUDA GPUs")
    return pytest.param(name, marks=[pytest.mark.gpu, skip])


# For tests that hold on each device that there is.
GPUS = [_gpu("cuda", 0), _gpu("cuda:1", 1)]
DEVICES = ["cpu", *GPUS]
# Of a command: without a trial of engines, and with the answers that all others are compared with.
EAGER_OPTIONS = ("--device", "cpu", "--backend", "torch", "--precision", "fp32")
# Backends that run on the CPU from an ONNX file, by their names, which their modules have too.
FROM_ONNX = [b.name for b in BACKENDS if issubclass(b, OnnxBackend) and "cpu" in b.precisions]


def reload_kernels():
    """Have all kernels as a new process has them: compiled for no arrays yet."""
    names = [name for name in sys.modules if name.startswith(f"{kernels.__name__}.")]
    for name in names:
        del sys.modules[name]
    importlib.reload(kernels)  # which imports them anew, each before those that call it


def run_python(*program):
    """``python`` with these arguments as a process of its own, finished; from the checkout."""
    with tempfile.TemporaryDirectory() as folder:
        stdout, stderr = (Path(folder, name) for name in ("stdout", "stderr"))
        status = ForkedProcess(program, stdout, stderr).wait()
        said, complained = stdout.read_text(), stderr.read_text()
    return subprocess.CompletedProcess(program, status, said, complained)


def run_module(module, *arguments):
    """``python -m module`` in the same way."""
    return run_python("-m", module, *arguments)


def run_without_ros(module, *arguments, without=()):
    """The same where nothing of ROS can be imported, nor the packages ``without``.

    What the process was forked with stays, but for those and for all modules of ours.
    """
    program = f"""
import runpy, sys
def is_missing(name):
    top = name.split(".")[0]
    of_ros = top in ("rclpy", "builtin_interfaces", "rcl_interfaces") or top.endswith("_msgs")
    return of_ros or top in {tuple(without)}
class Missing:
    def find_spec(self, name, path=None, target=None):
        if is_missing(name):
            raise ModuleNotFoundError(name)
for name in [*sys.modules]:
    if is_missing(name) or name.split(".")[0] in ("sosd_ros", "training"):
        del sys.modules[name]
sys.meta_path.insert(0, Missing())
runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
"""
    return run_python("-c", program, *arguments)


def run_here(module, *arguments):
    """A command in this process."""
    module.run(module.command_line().parse_args([*map(str, arguments)]))


def peak(do):
    """The most bytes that Python's objects and NumPy's arrays take at a time, while it is done."""
    tracemalloc.start()
    try:
        do()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def write_small_weights(path, **changes):
    """A weights file with random parameters, whose depth answer is about 2 m everywhere."""
    manifest = dataclasses.replace(SMALL, **changes)
    torch.manual_seed(0)
    network = SOSDNet(manifest.variant, manifest.backbone, len(manifest.labels.names))
    initial.draw(network, "sigma01", seed=0)  # small: no answer is far from its bias
    if "depth" in network.tasks:
        _depth_bias(network).fill_(2.0)
    weights.write(path, manifest, network.state_dict())
    return path


def write_sharp_weights(path, **changes):
    """A weights file with random parameters, whose answers vary: about 2 m, unsure by a seventh."""
    manifest = dataclasses.replace(SHARP, **changes)
    torch.manual_seed(0)
    network = weights.create_network(manifest)
    initial.draw(network, "sigma01", seed=0)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
        elif isinstance(module, ConvexUpsampling):
            torch.nn.init.normal_(module.weigh.weight, std=0.1)  # as if it had learned something
    with torch.no_grad():
        network(torch.randn(4, 3, *manifest.input_size))  # batch norm learns what comes
    if "depth" in network.tasks:
        _depth_bias(network).copy_(torch.tensor([2.0, 0.1]).log()[: 1 + manifest.spread])
    weights.write(path, manifest, network.state_dict())
    return path


def _depth_bias(network):
    """Of the convolution that depth comes from."""
    head = network.depth_head
    return (head.depth if hasattr(head, "depth") else head.conv).bias.data
