"""The same work for many recordings: here, and on a Ray cluster that loses a machine."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from processes import ROOT
from support import EAGER_OPTIONS, run_here, run_module

pytest.importorskip("rosbags", reason="no rosbags: install the extra 'bags'")

import numpy as np
import recorded

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


@pytest.fixture
def cluster(monkeypatch):
    """Two machines with a CPU each, as far as Ray can tell."""
    pytest.importorskip("ray", reason="no ray: install the extra 'ray'")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.add_node(num_cpus=1)
    yield made
    made.shutdown()


def until(condition, process):
    """Wait for a condition, for as long as a process lives."""
    while not condition():
        assert process.poll() is None, process.communicate()
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue


@pytest.mark.slow
def test_a_machine_that_dies_is_made_up_for(tmp_path, answer, cluster, drives, small_weights):
    """Killed while both answer: all is there, once, and equal to what one process answers."""
    command = [sys.executable, "-m", "sosd_ros.bag", *drives, tmp_path / "out", "--json"]
    options = ["--weights", small_weights, *EAGER_OPTIONS, "--ray", cluster.address]
    process = subprocess.Popen(
        [*map(str, [*command, *options])],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    until(lambda: len([*(tmp_path / "out").glob(".unfinished-*/*")]) == 2, process)
    (other,) = cluster.worker_nodes
    cluster.remove_node(other, allow_graceful=False)
    stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    told = [Path(json.loads(line)["out"]).name for line in stdout.splitlines() if line[0] == "{"]
    assert sorted(told) == [one.name for one in drives]
    answer(*drives, tmp_path / "alone")
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")


@pytest.mark.slow
def test_on_a_cluster_too_failures_are_named_and_what_is_there_is_left(
    tmp_path, answer, cluster, drives, small_weights
):
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


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_named(tmp_path, drives, small_weights):
    pytest.importorskip("ray", reason="no ray: install the extra 'ray'")
    arguments = (*drives, tmp_path / "out", "--weights", small_weights, *EAGER_OPTIONS)
    done = run_module("sosd_ros.bag", *arguments, "--ray", "auto")
    assert done.returncode == 1
    assert "error: --ray is auto, but no cluster can be joined there: " in done.stderr
