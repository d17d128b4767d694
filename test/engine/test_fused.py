"""The kernel that classifies on a GPU: on one as it is, and anywhere by Triton's interpreter."""

import importlib.util
import os
import subprocess
import sys

import pytest
import torch
from processes import ROOT
from support import GPUS
from torch.nn import functional

GRIDS = [((6, 8), (9, 14)), ((1, 1), (3, 5)), ((9, 5), (4, 3)), ((3, 4), (6, 8))]
LARGE = [((48, 64), (480, 640)), ((13, 35), (101, 281)), ((12, 100), (51, 3001))]

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="triton is not installed"
)


def check(device, grids, classes):
    """The same labels but for ties, and probabilities to float's precision, at any size."""
    from sosd_ros.engine import fused

    generator = torch.Generator().manual_seed(20261127)
    for source, size in grids:
        scores = 3 * torch.randn(2, classes, *source, generator=generator).to(device)
        whole = functional.interpolate(scores.double(), size=size, mode="bilinear").softmax(1)
        expected, best = whole.max(1)
        first, second = whole.topk(2, dim=1).values.unbind(1)
        for memory_format in (torch.contiguous_format, torch.channels_last):
            given = scores.contiguous(memory_format=memory_format)
            labels, probability = fused.classify(given, size, True)
            assert labels.dtype == torch.uint8
            assert ((labels == best) | (first - second < 1e-4)).all()
            torch.testing.assert_close(probability, expected.float(), rtol=1e-4, atol=1e-5)
            alone, nothing = fused.classify(given, size, False)
            assert nothing is None and torch.equal(alone, labels)
    even = torch.full((1, 40, 3, 4), -3.0, device=device)
    labels, probability = fused.classify(even, (6, 8), True)
    assert (labels == 0).all()  # of equal scores the first
    torch.testing.assert_close(probability, torch.full_like(probability, 1 / 40))


def test_by_the_interpreter():
    """In a process of its own, as Triton decides when it is imported."""
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": f"{ROOT}:{ROOT / 'test'}"}
    command = [sys.executable, __file__]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.gpu
@pytest.mark.parametrize("device", GPUS)
def test_on_a_gpu(device):
    """As it is compiled there, on each GPU; and it is what the engine takes."""
    from sosd_ros.engine import finishing, fused

    check(device, [*GRIDS, *LARGE], 40)
    assert finishing._fused(torch.device(device, 0) if device == "cuda" else torch.device(device))
    scores = torch.randn(1, 40, 48, 64, device=device)
    rows = finishing.rows_on(scores.device, 48, 480)
    ours = finishing.classify(scores, rows, 640, True)
    for one, other in zip(ours, fused.classify(scores, (480, 640), True), strict=True):
        assert torch.equal(one, other)


if __name__ == "__main__":
    check("cpu", GRIDS, 5)
