"""Training on each device that there is: precisions, going on after a stop, and processes."""

import pytest
import torch
from support import DEVICES
from tiny_training import batch, go, open_run, trainer

from training import distributed
from training.learning.signals import Interrupted, Signals


def parameters(learner):
    return torch.cat([p.detach().cpu().flatten() for p in learner.network.parameters()])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_step_moves_the_network(device, precision):
    """By losses that are finite, near those of float32 on the CPU."""
    learner, reference = trainer(device=device, precision=precision), trainer()
    before = parameters(learner)
    seen, expected = (one.step(batch(), 0, 0, 1e-3) for one in (learner, reference))
    assert seen == pytest.approx(expected, rel=0.05)
    for number in range(10 if precision == "float16" else 0):  # its scale is too large at first
        learner.step(batch(), number, 0, 1e-3)
    moved = parameters(learner)
    assert torch.isfinite(moved).all() and not torch.equal(moved, before)


class StopAfter(Signals):
    """Asks to stop when it has been asked so often whether to."""

    def __init__(self, count):
        super().__init__()
        self.left = count

    @property
    def number(self):
        self.left -= 1
        return 15 if self.left < 0 else 0

    @number.setter
    def number(self, value):
        pass


@pytest.mark.parametrize("device", DEVICES)
def test_a_run_goes_on_with_the_draws_that_come_next(device, nyuv2_root, tmp_path):
    """Stopped after its first mini-batch, in the midst of stochastic depth and dropout."""
    network = {"variant": "sosd", "backbone": "mobilenetv4_conv_small", "pretrained": False}
    settings = {
        **{"batch_size": 2, "epochs": 1, "network": network | {"drop_path": 0.3, "dropout": 0.3}},
        "device": device,
    }
    whole = open_run(nyuv2_root, tmp_path / "whole", **settings)
    go(whole)
    with pytest.raises(Interrupted):
        go(open_run(nyuv2_root, tmp_path / "parts", **settings), StopAfter(0))
    rest = open_run(nyuv2_root, tmp_path / "parts", **settings)
    assert rest.iteration == 1
    go(rest)
    is_exact = device == "cpu"  # sums on a GPU may come in another order
    torch.testing.assert_close(
        parameters(rest.trainer),
        parameters(whole.trainer),
        rtol=0 if is_exact else 1e-2,
        atol=0 if is_exact else 1e-3,
    )


@pytest.mark.parametrize("device", ["cpu", *DEVICES[1:2]])
def test_one_process_may_be_all_there_are(device, monkeypatch):
    """As torchrun starts it: by NCCL on a GPU, by gloo elsewhere."""
    names = {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}
    for name, value in (names | {"MASTER_PORT": "0"}).items():
        monkeypatch.setenv(name, value)
    with distributed.joined(device) as own:
        assert distributed.processes() == 1
        values = torch.arange(3.0, device=own)
        torch.testing.assert_close(distributed.total(values), values)
        assert distributed.largest(7, own) == 7
        assert distributed.gather({"a": 1}) == [{"a": 1}]
        seen = trainer(device=own).step(batch(), 0, 0, 1e-3)
    assert all(map(torch.isfinite, map(torch.tensor, seen.values())))
