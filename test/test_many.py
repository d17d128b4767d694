"""The same work for many recordings: here, and on a Ray cluster that loses a machine."""

import contextlib
import hashlib
import json
import os
import signal
import sys
import tempfile
import time
from argparse import Namespace
from pathlib import Path

import pytest
from counted_work import Counted
from processes import ForkedProcess, free_ports
from support import EAGER_OPTIONS, run_here, run_module

pytest.importorskip("rosbags", reason="no rosbags: install the extra 'bags'")

import numpy as np
import recorded

from sosd_ros import many
from sosd_ros.bag import __main__ as bag

SECOND = 10**9


def drive(path, count=3, seed=0):
    """Images of a camera at 1 s, 2 s and so on."""
    random, messages = np.random.default_rng(seed), []
    for second in range(1, count + 1):
        time, pixels = second * SECOND, random.integers(0, 255, (64, 96, 3), np.uint8)
        messages.append(("/front/camera_info", time, recorded.camera_info(time)))
        messages.append(("/front/image", time, recorded.image(time, pixels)))
    return recorded.write(path, messages)


@pytest.fixture
def drives(tmp_path):
    return [drive(tmp_path / "in" / f"drive{number}", seed=number) for number in range(4)]


@pytest.fixture
def answer(small_weights):
    """The command in this process."""

    def run(*arguments):
        run_here(bag, *arguments, "--weights", small_weights, *EAGER_OPTIONS)

    return run


def contents(folder):
    """What the files of a folder hold, in short."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(autouse=True)
def in_folders(tmp_path):
    (tmp_path / "in").mkdir()


def test_each_recording_has_an_answered_one_of_its_own(tmp_path, answer, drives):
    """The same as alone, and the same engine answers all."""
    answer(*drives[:2], tmp_path / "out")
    answer(drives[1], tmp_path / "alone" / "drive1")
    assert contents(tmp_path / "out" / "drive1") == contents(tmp_path / "alone" / "drive1")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"drive0", "drive1"}


def test_one_engine_answers_all(tmp_path, answer, drives, monkeypatch):
    opened, really = [], bag.open_engine
    monkeypatch.setattr(bag, "open_engine", lambda *a: opened.append(a) or really(*a))
    answer(*drives, tmp_path / "out")
    assert len(opened) == 1


def test_what_fails_is_named_at_the_end_and_the_rest_is_there(tmp_path, answer, drives, capfd):
    """Given again, only what failed is done."""
    missing = tmp_path / "in" / "missing"
    with pytest.raises(
        ValueError, match=r"^1 of 3 failed, all others are there\n  .*missing: "
    ) as e:
        answer(drives[0], missing, drives[1], tmp_path / "out", "--json")
    assert "cannot be read as a recording" in str(e.value)
    said = capfd.readouterr()
    told = [json.loads(line) for line in said.out.splitlines()]
    assert [Path(one["out"]).name for one in told] == ["drive0", "drive1"]
    assert f"{missing} begins\n" in said.err
    answer(*drives[:2], tmp_path / "out")
    assert capfd.readouterr().err.count("is there already, made of this recording") == 2


def test_two_of_a_name_are_refused_before_anything_is_done(tmp_path, answer, drives):
    twin = tmp_path / "in" / "other" / "drive0"
    with pytest.raises(
        ValueError, match=r"drive0 and .*other/drive0 would both become .*out/drive0"
    ):
        answer(drives[0], twin, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_ray_that_is_said(tmp_path, answer, drives, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match="--ray needs the package ray, which is not installed"):
        answer(*drives, tmp_path / "out", "--ray", "auto")


def test_ray_says_which_card_a_recording_gets(tmp_path, drives, small_weights):
    options = ("--weights", small_weights, "--device", "cuda:1", "--ray", "auto")
    with pytest.raises(ValueError, match="--device is cuda:1, but with --ray it is cpu or cuda"):
        run_here(bag, *drives, tmp_path / "out", *options)


# With Ray itself.


def test_a_cluster_that_is_not_there_is_named(tmp_path, answer, drives):
    pytest.importorskip("ray", reason="no ray: install the extra 'ray'")
    address = f"127.0.0.1:{free_ports()}"
    with pytest.raises(
        ValueError, match=f"--ray is {address}, but no cluster can be joined there: .*refused"
    ):
        answer(*drives, tmp_path / "out", "--ray", address)


@pytest.fixture(scope="module")
def head():
    """A Ray cluster whose head has no CPU: what is done is done by machines that a test adds."""
    pytest.importorskip("ray", reason="no ray: install the extra 'ray'")
    from ray.cluster_utils import Cluster

    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder,
    ):
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # Where Ray leaves the cluster's address. Its `Cluster` does not make the folder.
        patch.setenv("RAY_TMPDIR", folder)
        (Path(folder) / "ray").mkdir()
        handler = signal.getsignal(signal.SIGTERM)  # which Ray replaces by its own
        options = {"num_cpus": 0, "include_dashboard": False, "temp_dir": folder}
        made = Cluster(initialize_head=True, head_node_args=options)
        yield made
        lose(made, made.head_node)
        made.shutdown()
        signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def cluster(head):
    """The same, without the machines of another test."""
    yield head
    for node in [*head.worker_nodes]:
        lose(head, node)


def lose(cluster, node):
    """Kill all processes of a machine."""
    (raylet,) = node.all_processes["raylet"]
    workers = below(raylet.process.pid)
    cluster.remove_node(node, allow_graceful=False)
    end(workers)


def end(processes):
    """Kill processes by their ids, and wait until they are gone."""
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    while any(state(pid) not in ("", "Z") for pid in processes):
        time.sleep(0.05)


def stat(pid):
    """State and parent of a process as the kernel writes them; of none, empty."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "", 0
    letter, parent = text.rpartition(")")[2].split()[:2]
    return letter, int(parent)


def state(pid):
    return stat(pid)[0]


def below(pid):
    """The processes that a process has started, and those that these have."""
    everyone = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    children = [other for other in everyone if stat(other)[1] == pid]
    return children + [other for child in children for other in below(child)]


def hold(node, driver):
    """Stop the process of a machine that works on a recording, while it does."""
    (raylet,) = node.all_processes["raylet"]
    while True:
        assert driver.poll() is None, "the command has ended"
        for pid in filter(is_at_work, below(raylet.process.pid)):
            os.kill(pid, signal.SIGSTOP)
            while state(pid) != "T":
                time.sleep(0.01)
            if is_at_work(pid):
                return
            os.kill(pid, signal.SIGCONT)
        time.sleep(0.05)


def is_at_work(pid):
    """Ray gives a process the name of its task."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::drive")
    except OSError:
        return False


@pytest.mark.slow
def test_a_machine_that_dies_is_made_up_for(tmp_path, answer, cluster, drives, small_weights):
    """Killed while it answers: all is there, once, and equal to what one process answers."""
    lost = cluster.add_node(num_cpus=1)
    options = ("--weights", small_weights, *EAGER_OPTIONS, "--ray", cluster.address, "--json")
    program = ("-m", "sosd_ros.bag", *drives, tmp_path / "out", *options)
    stdout, stderr = tmp_path / "stdout", tmp_path / "stderr"
    process = ForkedProcess(program, stdout, stderr)
    hold(lost, process)
    cluster.add_node(num_cpus=1)
    while not [*(tmp_path / "out").glob("drive*")]:  # until the other machine has made one
        assert process.poll() is None, stderr.read_text()
        time.sleep(0.05)
    lose(cluster, lost)
    assert process.wait() == 0, stderr.read_text()
    told = [json.loads(line) for line in stdout.read_text().splitlines()]
    assert sorted(Path(one["out"]).name for one in told) == [one.name for one in drives]
    answer(*drives, tmp_path / "alone")
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")


@pytest.mark.slow
def test_a_worker_keeps_what_it_has_loaded(tmp_path, cluster):
    """All recordings that a process is given are done by one object, with a card too."""
    cluster.add_node(num_cpus=2, num_gpus=2)  # as far as Ray knows
    out, sources = tmp_path / "out", [tmp_path / f"drive{number}" for number in range(8)]
    many.run(Counted, Namespace(ray=cluster.address, device="cuda", out=out), sources)
    by_process = {}
    for source in sources:
        process, number = (out / source.name / "by").read_text().split()
        by_process.setdefault(process, []).append(int(number))
    assert len(by_process) <= 2
    for numbers in by_process.values():
        assert sorted(numbers) == [*range(len(numbers))]


@pytest.mark.slow
def test_on_a_cluster_too_failures_are_named_and_what_is_there_is_left(
    tmp_path, answer, cluster, drives, small_weights
):
    cluster.add_node(num_cpus=1)
    answer(drives[0], tmp_path / "out" / "drive0")
    (tmp_path / "out" / "drive1").mkdir()
    (tmp_path / "out" / "drive1" / "mine").write_text("mine")
    arguments = (*drives[:3], tmp_path / "out", "--weights", small_weights, *EAGER_OPTIONS)
    done = run_module("sosd_ros.bag", *arguments, "--ray", cluster.address)
    assert done.returncode == 1
    assert f"{tmp_path / 'out' / 'drive0'} is there already" in done.stderr
    assert "error: 1 of 3 failed, all others are there" in done.stderr
    assert "drive1 was begun without --ray; go on without it, or delete" in done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"drive0", "drive1", "drive2"}
