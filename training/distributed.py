"""What processes that train together ask of each other; alone, each answers itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import distributed, nn

T = TypeVar("T")


@contextmanager
def joined(device: str) -> Iterator[str]:
    """Join the processes that torchrun started, if it did; gives this process's device.

    Args:
        device: ``cpu``, or ``cuda`` for the GPU that has this process's number on its machine.
    """
    if "WORLD_SIZE" not in os.environ:
        yield device
        return
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield device
    finally:
        distributed.destroy_process_group()


def rank() -> int:
    """The number of this process among :func:`processes`, from 0."""
    return distributed.get_rank() if _together() else 0


def processes() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if _together() else 1


def processes_here() -> int:
    """How many of them run on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1))


def total(values: torch.Tensor) -> torch.Tensor:
    """The sum of every process's ``values``, which must have one shape and dtype."""
    if _together():
        values = values.clone()
        distributed.all_reduce(values)
    return values


def largest(number: int, device: str) -> int:
    """The largest of every process's ``number``; ``device`` is the process's own."""
    if not _together():
        return number
    values = torch.tensor(number, device=device)
    distributed.all_reduce(values, distributed.ReduceOp.MAX)
    return int(values)


def share_buffers(network: nn.Module) -> None:
    """Give every process the first one's batch norm statistics; in place."""
    if _together():
        for buffer in network.buffers():
            distributed.broadcast(buffer, 0)


def synchronise_batch_norm(network: nn.Module) -> None:
    """Let batch norms normalise by the samples of all processes; in place.

    torch's own conversion would drop the activations that timm's batch norms bring with them.
    """
    from timm.layers import convert_sync_batchnorm

    convert_sync_batchnorm(network)


def gather(value: T) -> list[T]:
    """Every process's ``value``, by rank; any object that pickles, between our own processes."""
    if not _together():
        return [value]
    values: list[T] = [value] * processes()
    distributed.all_gather_object(values, value)
    return values


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized()
