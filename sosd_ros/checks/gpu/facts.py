"""What is there: the machine, its card, and the versions of all that decides how fast it is."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess

import torch

from ...device import checked_device
from ...engine.cache import device_name
from ...installed import versions
from .place import Outcome, Place, table

LIBRARIES = (
    *("torch", "triton", "tensorrt", "onnxruntime", "onnxruntime-gpu", "onnx", "onnxscript"),
    *("openvino", "numba", "numpy", "timm", "transformers", "segmentation-models-pytorch"),
    *("pydantic", "rclpy", "ros-kilted-rclpy"),
)
ASKED = "name,driver_version,memory.total,clocks.max.sm,clocks.max.mem,power.limit,pstate"


def run(place: Place) -> Outcome:
    device = checked_device(place.device)
    facts = {
        "python": platform.python_version(),
        "cores": str(len(os.sched_getaffinity(0))),
        "processor": ", ".join(device_name(torch.device("cpu"))),
        "load": f"{os.getloadavg()[0]:.2f}",
        **dict.fromkeys(LIBRARIES, "not installed"),
        **versions(LIBRARIES),
        "compilers": ", ".join(n for n in ("g++", "nvcc") if shutil.which(n)) or "none",
        "CUDA_HOME": os.environ.get("CUDA_HOME", "not set"),
        "ONNX Runtime's providers": _providers(),
    }
    if device.type == "cuda":
        card = torch.cuda.get_device_properties(device)
        free, total = torch.cuda.mem_get_info(device)
        facts |= {
            "card": f"{card.name}, compute capability {card.major}.{card.minor}",
            "multiprocessors": str(card.multi_processor_count),
            "memory": f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free",
            "cards": str(torch.cuda.device_count()),
            "torch's CUDA": str(torch.version.cuda),
            "cuDNN": str(torch.backends.cudnn.version()),
            f"nvidia-smi: {ASKED}": _nvidia_smi(),
        }
    return Outcome(facts, table(("", ""), facts.items()))


def _providers() -> str:
    try:
        import onnxruntime
    except ImportError:
        return "not installed"
    return ", ".join(onnxruntime.get_available_providers())


def _nvidia_smi() -> str:
    command = ["nvidia-smi", f"--query-gpu={ASKED}", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        return str(error)
