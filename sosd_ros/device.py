"""The device that a user asks for."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from .reasons import first_line

_NVML_DRIVER_NOT_LOADED = 9  # nvml.h


class DeviceError(ValueError):
    """A device that cannot be used; the message names it and the way out."""


class BrokenDeviceError(RuntimeError):
    """A device that this process cannot use any more, whatever it does."""


@contextmanager
def cudnn_with(flag: str, value: bool) -> Iterator[None]:
    """A flag of ``torch.backends.cudnn`` at another value, until the block ends."""
    before = getattr(torch.backends.cudnn, flag)
    setattr(torch.backends.cudnn, flag, value)
    try:
        yield
    finally:
        setattr(torch.backends.cudnn, flag, before)


def check_unbroken(device: torch.device) -> None:
    """Wait for all that a device was given to do; to be called where something has failed on it.

    An error of a kernel, such as an illegal access, stays with the process: every later call fails.

    Raises:
        BrokenDeviceError: if it is so.
    """
    if device.type != "cuda":
        return
    try:
        torch.cuda.synchronize(device)
    except RuntimeError as error:
        raise BrokenDeviceError(
            f"device {device} fails whatever is asked of it ({first_line(error)}); only a new "
            "process can use it"
        ) from error


def checked_device(name: str) -> torch.device:
    """The device of a name, once a tensor has been put there.

    Args:
        name: ``cuda``, ``cuda:1``, ..., or ``cpu``.

    Raises:
        DeviceError: if there is no such device.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"device {name!r} is unknown; use 'cuda' or 'cpu'") from error
    if device.type not in ("cuda", "cpu"):
        raise DeviceError(f"device {name!r} is not supported; use 'cuda' or 'cpu'")
    if device.type == "cuda" and _is_driver_missing():
        raise DeviceError(
            f"device {name!r} was asked for, but NVIDIA's driver is not loaded (yet); see what "
            "nvidia-smi says, or use the device cpu"
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(
            f"device {name!r} was asked for, but torch {torch.__version__} finds "
            f"{torch.cuda.device_count()} CUDA devices; fix the driver, or use the device cpu"
        )
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        raise DeviceError(
            f"device {name!r} cannot be used ({first_line(error)}); fix that, or use the device cpu"
        ) from error
    return device


def _is_driver_missing() -> bool:
    """Whether NVIDIA's driver is installed and not loaded, as early at boot.

    torch counts devices once where the driver does not answer, and keeps that for the life of the
    process: it must not be asked before, or one that is late would never be found.
    """
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:  # on some Jetsons, or where there is no driver at all
        return False
    status = nvml.nvmlInit_v2()
    if status == 0:
        nvml.nvmlShutdown()
    return bool(status == _NVML_DRIVER_NOT_LOADED)
