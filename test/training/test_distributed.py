"""Two processes on this machine, joined over gloo by torchrun or as it does, against one."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from processes import ROOT, ForkedProcess, free_ports
from tiny_training import write_config

from training import strategies
from training.networks import checkpoint


def start_torchrun(processes, *arguments):
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *(f"--nproc_per_node={processes}", *map(str, arguments)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'test'}", "OMP_NUM_THREADS": "1"},
    )


def torchrun(processes, *arguments):
    """What it printed."""
    process = start_torchrun(processes, *arguments)
    said, complained = process.communicate(timeout=300)
    assert process.returncode == 0, complained
    return said


def together(processes, folder, *program):
    """Run a program in so many processes, told of each other as torchrun tells them."""
    everyone = {
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_ports()),
    }
    ranks = [
        ForkedProcess(
            program,
            *(folder / f"{name}-{rank}-of-{processes}" for name in ("stdout", "stderr")),
            env=os.environ | everyone | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(processes)
    ]
    for rank, process in enumerate(ranks):
        assert process.wait(300) == 0, (folder / f"stderr-{rank}-of-{processes}").read_text()


@pytest.fixture(scope="module")
def runs(tmp_path_factory, nyuv2_root):
    """The same three mini-batches and the same evaluation: whole in one process, shared by two."""
    folder = tmp_path_factory.mktemp("ranks")
    root = shutil.copytree(nyuv2_root, folder / "nyuv2")
    # Five images, which two processes cannot share evenly.
    (root / "val.txt").write_text("0001\n0002\n0003\n0004\n0005\n")
    script = Path(__file__).with_name("ranks.py")
    for processes in (1, 2):
        together(processes, folder, script, folder, root, *strategies.NAMES)

    def load(what, rank, processes):
        return torch.load(folder / f"{what}-{rank}-of-{processes}.pt", weights_only=True)

    return load


@pytest.mark.parametrize("strategy", strategies.NAMES)
def test_two_processes_learn_what_one_learns(runs, strategy):
    """Each has half of the mini-batch, with other numbers of known pixels; batch norm aside."""
    alone, first, second = runs(strategy, 0, 1), runs(strategy, 0, 2), runs(strategy, 1, 2)
    assert first["losses"] == second["losses"]
    for one, two in zip(alone["losses"], first["losses"], strict=True):
        assert two == pytest.approx(one, rel=1e-4)
    for one, *both in zip(*(run["gradients"] for run in (alone, first, second)), strict=True):
        assert (one - both[0]).norm() < 1e-3 * one.norm()
        assert torch.equal(*both)


@pytest.mark.parametrize("strategy", strategies.NAMES)
def test_both_processes_hold_the_same_parameters(runs, strategy):
    """Bit for bit, after every mini-batch; under EM the fixed ones too."""
    first, second = runs(strategy, 0, 2), runs(strategy, 1, 2)
    for one, two in zip(first["parameters"], second["parameters"], strict=True):
        assert one.keys() == two.keys()
        assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_step_of_em_holds_the_other_path_in_both_processes(runs):
    """The first step learns depth, the second semantics."""
    for rank in (0, 1):
        first, second, *_ = runs("em", rank, 2)["parameters"]
        fixed = [n for n in first if n.startswith(("depth_feature", "depth_head"))]
        assert fixed and all(torch.equal(first[name], second[name]) for name in fixed)
        assert not torch.equal(first["common.conv.conv.weight"], second["common.conv.conv.weight"])


def test_a_shared_evaluation_gives_the_numbers_of_the_whole(runs):
    """Five images over two processes: none twice, none left out, every count and sum the same."""
    alone, first, second = (runs("result", *who) for who in ((0, 1), (0, 2), (1, 2)))
    assert first == second == alone


def command(config, out, root, *arguments):
    settings = ("--data", root, "--out", out, "--device", "cpu", *arguments)
    return ("-m", "training.train", config, *settings)


@pytest.fixture
def config(tmp_path):
    return write_config(tmp_path, strategy="em", epochs=1, accumulate=2)


def ranks_of(process):
    """The processes that a torchrun has started."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(child) for child in children]


@pytest.mark.slow
def test_a_signal_to_one_process_stops_and_saves_them_all(tmp_path, config, nyuv2_root):
    """They agree on the mini-batch after which they stop, and go on from it together."""
    out = tmp_path / "run"
    endless = command(config, out, nyuv2_root, "--set", "epochs=100000")
    process = start_torchrun(2, *endless)
    while not (out / "log.csv").exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(ranks_of(process)[1], signal.SIGTERM)
    said, _ = process.communicate(timeout=90)
    assert "stopped by SIGTERM; everything is in" in said
    epochs = checkpoint.load(out / "last.pt")["epoch"] + 1

    more = ("--resume", "--set", f"epochs={epochs}")
    torchrun(2, *command(config, out, nyuv2_root, *more))
    assert checkpoint.load(out / "last.pt")["epoch"] == epochs


@pytest.mark.slow
def test_a_training_under_torchrun_leaves_one_run(tmp_path, config, nyuv2_root):
    """The command itself, with its sampler and its checkpoints: one log, one checkpoint."""
    out = tmp_path / "run"
    said = torchrun(2, *command(config, out, nyuv2_root, "--set", "accumulate=1"))
    assert said.count("done: ") == 1
    assert checkpoint.load(out / "last.pt")["epoch"] == 1
    assert len((out / "log.csv").read_text().splitlines()) == 2
