"""The device that was asked for, or a sentence."""

from types import SimpleNamespace

import pytest
import torch

from sosd_ros import device
from sosd_ros.device import BrokenDeviceError, DeviceError, check_unbroken, checked_device


def test_a_device_is_one_that_a_tensor_can_be_put_on():
    """By its name."""
    assert checked_device("cpu") == torch.device("cpu")


def test_a_missing_device_is_an_error():
    """Never a silent fall-back; the sentence names the way out."""
    missing = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(DeviceError, match=f"'{missing}' was asked for.* or use the device cpu"):
        checked_device(missing)


@pytest.mark.parametrize("name", ["warp", "meta", ""])
def test_an_unknown_device_is_an_error(name):
    """And so is one of torch's that this network is not for."""
    with pytest.raises(DeviceError, match=f"device '{name}' is .*; use 'cuda' or 'cpu'"):
        checked_device(name)


@pytest.mark.parametrize(("status", "words"), [(9, "driver is not loaded"), (0, "finds 0 CUDA")])
def test_torch_is_not_asked_before_the_driver_is_loaded(monkeypatch, status, words):
    """It would keep its answer, and a device that is late at boot would never be found."""
    asked = []
    nvml = SimpleNamespace(nvmlInit_v2=lambda: status, nvmlShutdown=lambda: 0)
    monkeypatch.setattr(device.ctypes, "CDLL", lambda name: nvml)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: asked.append(0) or 0)
    with pytest.raises(DeviceError, match=words):
        checked_device("cuda")
    assert bool(asked) == (status == 0)


def test_a_device_that_fails_whatever_is_asked_is_told(monkeypatch):
    """By an error of its own kind; a CPU is never asked."""

    def fail(device):
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nCompile with")

    monkeypatch.setattr(torch.cuda, "synchronize", fail)
    check_unbroken(torch.device("cpu"))
    sentence = r"device cuda:1 .*an illegal memory access was encountered\); only a new process"
    with pytest.raises(BrokenDeviceError, match=sentence):
        check_unbroken(torch.device("cuda:1"))
