"""The engine on each device that there is: on a GPU what only a GPU can show, on the CPU the same.

Of what else is not there, a test says so and is skipped.
"""

import subprocess
import sys

import numpy as np
import pytest
import torch
from processes import ROOT
from support import DEVICES, GPUS

import sosd_ros.engine.engine
from sosd_ros import weights
from sosd_ros.engine.agreement import agreement_of, answers
from sosd_ros.engine.stock import Stock
from sosd_ros.share import DEFAULT_WEIGHTS, sample_frames, share

ALL = ["depth", "semantic", "confidence"]
ASKED = (["depth"], ["semantic"], ["confidence", "depth"], ALL)


@pytest.fixture
def engines(file, tmp_path):
    """Opens a device's engines in float32, of which none need be built."""

    def opened(device, read=file):
        stock = Stock(read, torch.device(device), tmp_path)
        plain = [c for c in stock.candidates() if not c.backend.suffix and c.precision == "fp32"]
        return [stock.open(candidate, pytest.fail) for candidate in plain]

    return opened


def assert_same(ours, theirs):
    """Depth to a thousandth, and all but a few labels, which are near a tie."""
    for one, other in zip(ours, theirs, strict=True):
        assert (one is None) == (other is None)
    if theirs.depth is not None:
        np.testing.assert_allclose(ours.depth, theirs.depth, rtol=1e-3)
    if theirs.labels is not None:
        assert (ours.labels == theirs.labels).mean() > 0.99


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
def test_trained_weights_agree_at_every_precision(device, tmp_path):
    """Every engine that need not be built, bfloat16 among them, over the sample frames."""
    stock = Stock(weights.read(share("weights", DEFAULT_WEIGHTS)), torch.device(device), tmp_path)
    frames = sample_frames()
    expected = answers(stock.open(stock.eager, pytest.fail), frames)
    for candidate in stock.candidates():
        if not candidate.backend.suffix:
            found = answers(stock.open(candidate, pytest.fail), frames)
            agreed = agreement_of(found, expected)
            assert agreed.suffices, f"{candidate}: {agreed}"


@pytest.mark.gpu
@pytest.mark.parametrize("device", GPUS)
def test_what_is_built_on_a_gpu_agrees(device, file, picture, tmp_path):
    """Where what builds it is installed; its constants lie on that GPU and no other."""
    stock = Stock(file, torch.device(device), tmp_path)
    reference = stock.open(stock.eager, pytest.fail)
    expected = reference(picture[None], [100.0], ALL)
    seen = []
    for candidate in stock.candidates():
        if candidate.backend.suffix and not candidate.backend.missing():
            stock.build(candidate, [(64, 96)])
            found = stock.open(candidate, pytest.fail)(picture[None], [100.0], ALL)
            np.testing.assert_allclose(found.depth, expected.depth, rtol=0.02)
            seen.append(str(candidate))
    if not seen:
        pytest.skip("nothing is installed that builds engines")


@pytest.mark.parametrize("device", DEVICES)
def test_batches_sizes_and_answers_may_alternate(device, engines, random):
    """Batches of 1 to 8; whatever came before, each is answered as by eager torch on the CPU."""
    [reference] = engines("cpu")
    for engine in engines(device):
        for count in (1, 8, 3, 1):
            for size in ((64, 96), (50, 70)):
                images = random.integers(0, 256, (count, *size, 3), dtype=np.uint8)
                for asked in ASKED:
                    given = (images, [100.0] * count, asked)
                    assert_same(engine(*given), reference(*given))


@pytest.mark.parametrize("most", [1, 2])
@pytest.mark.parametrize("device", DEVICES)
def test_what_is_evicted_is_made_anew(device, most, engines, random, monkeypatch):
    """Its memory with it: as much is in use after many rounds as after one.

    The memory that graphs share lasts when the only one is evicted.
    """
    monkeypatch.setattr(sosd_ros.engine.engine, "_MOST_PROGRAMS", most)
    pictures = [random.integers(0, 256, (1, 32 * n, 96, 3), dtype=np.uint8) for n in (1, 2, 3, 4)]
    for engine in engines(device):
        first = [engine(picture, [100.0], ALL) for picture in pictures]
        used = engine.memory()
        for _ in range(5):
            again = [engine(picture, [100.0], ALL) for picture in pictures]
        for one, other in zip(first, again, strict=True):
            assert_same(one, other)
        assert used is None or engine.memory()[0] <= used[0] + 64 * 2**20


@pytest.mark.gpu
@pytest.mark.parametrize("device", GPUS)
def test_an_engine_recovers_from_a_full_device(device, engines, random):
    """After ``free``, the images that there was no memory for are answered."""
    images = random.integers(0, 256, (4, 480, 640, 3), dtype=np.uint8)
    for engine in engines(device):
        torch.cuda.empty_cache()
        taken, size = [], 2**34
        while size >= 2**20:
            try:
                taken.append(torch.empty(size, dtype=torch.uint8, device=device))
            except torch.cuda.OutOfMemoryError:
                size //= 2
        with pytest.raises(Exception, match="memory"):
            engine(images, [100.0] * 4, ALL)
        taken.clear()
        engine.free()
        [reference] = engines("cpu")
        assert_same(engine(images, [100.0] * 4, ALL), reference(images, [100.0] * 4, ALL))


BREAK = """
import pytest, sys, torch
from sosd_ros import device, weights
from sosd_ros.engine.stock import Stock
place = torch.device("cuda")
stock = Stock(weights.read(sys.argv[1]), place)
engine = stock.open(stock.eager, print)
with pytest.raises(RuntimeError):
    torch.zeros(1, device=place)[torch.ones(1, dtype=torch.long, device=place)].item()
with pytest.raises(device.BrokenDeviceError):
    engine.free()
with pytest.raises(device.BrokenDeviceError):
    engine.close()
"""


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_an_error_that_stays_is_told(small_weights):
    """After a kernel's assertion, in a process of its own, no call can succeed."""
    program = [sys.executable, "-c", BREAK, str(small_weights)]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
