"""What the machine can do at most, and what a network asks of it, both in FLOP."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

SMALLEST, LARGEST = 512, 16384  # rows; three of the largest are 3 GiB in float32
LONG_ENOUGH = 0.1  # seconds, beside which the time of a call and a clock's steps are nothing
RUNS = 5


def matmul_rate(dtype: torch.dtype, device: torch.device) -> float:
    """FLOP/s of square matrix products of ``dtype``: what a network can come near to at most.

    The best of several products, with torch's number of threads and its present settings. On a
    CPU it is the better of two ways to write one, ``mm`` and a 1x1 convolution, as the libraries
    behind them differ by a factor of two on some makes. On CUDA, float32 products use TF32 only if
    ``torch.backends.cuda.matmul`` allows it, which is off unless set, while float32 convolutions
    use it unless forbidden: compare like with like.
    """
    size = SMALLEST
    while _seconds(size, dtype, device, runs=1) < LONG_ENOUGH and size < LARGEST:
        size *= 2
    seconds = _seconds(size, dtype, device, runs=RUNS)
    return 2 * size**3 / seconds


def flops(network: nn.Module, shape: Sequence[int]) -> int:
    """FLOP of a forward pass for an input of ``shape``, two for each multiply-add.

    Matrix products, attention and convolutions are counted, these by what their groups leave of
    the weights and with the zeros of their padding. Biases, activations, norms and resizing count
    as nothing.

    Nothing is computed: the pass is one of shapes, on the meta device, for which the network need
    not be copied. There attention falls apart into matrix products, while torch has no count for
    the fused attention of the CPU.
    """
    state = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    shapes = {name: tensor.to("meta") for name, tensor in state.items()}
    dtype = next((parameter.dtype for parameter in network.parameters()), torch.float32)
    images = torch.empty(tuple(shape), dtype=dtype, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        functional_call(network, shapes, (images,))
    return counter.get_total_flops()


def _seconds(size: int, dtype: torch.dtype, device: torch.device, runs: int) -> float:
    """Least time of one product of (size, size) matrices, by the faster way that there is."""
    # Random, because a processor draws less power for zeros, and is the faster for it.
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    product = left @ right
    ways = [least(lambda: torch.mm(left, right, out=product), device, runs)]
    if device.type == "cpu":
        # The pixels of an image are the rows of one matrix, which channels last keeps together.
        images = right.reshape(1, 64, size // 64, size).permute(0, 3, 1, 2)
        kernels = left[:, :, None, None].contiguous(memory_format=torch.channels_last)
        ways.append(least(lambda: functional.conv2d(images, kernels), device, runs))
    return min(ways)


@torch.inference_mode()
def least(work: Callable[[], torch.Tensor], device: torch.device, runs: int) -> float:
    """Least time of several calls in seconds, after one that is not timed."""
    work()
    times = []
    for _ in range(runs):
        _finish(device)
        start = time.perf_counter()
        work()
        _finish(device)
        times.append(time.perf_counter() - start)
    return min(times)


def _finish(device: torch.device) -> None:
    """Wait for what the device was given to do; a CPU has done it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
