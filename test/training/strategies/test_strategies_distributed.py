"""Two processes with half of the mini-batch each, against one with the whole."""

import os
import runpy
import socket
from pathlib import Path

import pytest
import torch
from processes import ForkedProcess

from training import strategies

SCRIPT = Path(__file__).with_name("weigh.py")


@pytest.fixture(scope="module")
def results(tmp_path_factory, request):
    """By the strategy's name, what each of two processes has."""
    folder = tmp_path_factory.mktemp("weigh")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "PYTHONPATH": str(request.config.rootpath),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
    }
    running = [
        ForkedProcess(
            (SCRIPT, folder),
            *(folder / f"{rank}.log",) * 2,
            env=environment | {"RANK": str(rank)},
        )
        for rank in range(2)
    ]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("name", strategies.NAMES)
def test_two_processes_learn_what_one_does(name, results):
    """Gradients of what is shared and of the strategy's own are equal in both, and right."""
    whole = runpy.run_path(str(SCRIPT))["gradients"](name)
    for values in zip(whole, *(result[name] for result in results), strict=True):
        assert (values[0] - values[1]).norm() < 1e-3 * values[0].norm()
        assert torch.equal(values[1], values[2])
