"""The command for a GPU: its parts on the CPU, how it goes on, and what a machine without a network
is given. No figure is judged.
"""

from __future__ import annotations

import json
import os
import runpy
import time
import zipfile

import pytest
import torch
from processes import ROOT
from support import run_module, run_without_ros

from sosd_ros.checks.gpu import __main__ as command
from sosd_ros.checks.gpu import ablation, carry, engines, facts, report, rows, soak
from sosd_ros.checks.gpu.place import CannotRunError, Outcome, OutOfTimeError, Place, one_by_one

FOR_EVER = 1e9


@pytest.fixture
def place(tmp_path, small_weights):
    """On the CPU, with all the time there is."""
    return Place(tmp_path, "cpu", FOR_EVER, small_weights, frames=30)


def late(place):
    """The same after its deadline."""
    return Place(place.out, place.device, time.monotonic() - 1, place.weights, place.data)


# The parts


def test_facts_name_what_there_is(place):
    found = facts.run(place)
    assert found.figures["torch"] and "| python |" in found.markdown


def test_items_are_kept_one_by_one_and_failures_tried_again(place):
    """None is done twice, none is begun too late, and none ends the others."""
    done = []

    def work(item):
        done.append(item)
        if item == "b" and done.count("b") == 1:
            raise RuntimeError("no such kernel")
        if item == "c" and done.count("c") == 1:
            raise OutOfTimeError
        return {"of": item}

    first = one_by_one(place, "items", "abcd", work)
    assert first == Outcome({"a": {"of": "a"}}, "", ["b: RuntimeError: no such kernel"], False)
    assert not one_by_one(late(place), "items", "abcd", work).finished
    again = one_by_one(place, "items", "abcd", work)
    assert again.finished and not again.problems and [*again.figures] == [*"abcd"]
    assert done == [*"abcbcd"]


@pytest.mark.slow
def test_every_engine_that_can_be_built_is_judged_and_survives(place, monkeypatch):
    """In processes of their own; what is left out has its reason."""
    offered = engines.Stock.candidates
    stock = engines.stock_of(place.weights, "cpu", place.cache)
    few = [c for c in stock.candidates() if c.backend.name == "torch"]
    monkeypatch.setattr(engines.Stock, "candidates", lambda *_: few)
    found = engines.run(place)
    monkeypatch.setattr(engines.Stock, "candidates", offered)
    assert found.finished and found.figures["torch fp32"]["agrees"]
    usable = engines.agreeing(place)
    assert "torch fp32" in usable
    survived = soak.run(place)
    assert survived.finished and not survived.problems
    assert [sum(s["frames"] for s in found) for found in survived.figures.values()] == (
        [place.frames] * len(usable)
    )


def test_an_engine_that_ends_its_process_is_a_problem(place):
    with pytest.raises(Exception, match="abruptly"):
        place.in_own_process(_end)


def test_what_takes_too_long_is_stopped(place):
    with pytest.raises(OutOfTimeError):
        late(place).in_own_process(time.sleep, 1e6)


def _end():
    os._exit(3)


def test_growth_is_a_fault_and_so_is_another_answer():
    """A percent of the process, megabytes of the device; few frames say nothing."""
    early = {"resident_mib": 1000.0, "device_mib": 500.0}
    good = {"frames": 20_000, "early": early, "late": early, "same_at_last": True}
    assert soak.faults(good) == []
    grown = good | {"late": {"resident_mib": 1011.0, "device_mib": 503.0}}
    assert len(soak.faults(grown)) == 2
    assert soak.faults(grown | {"frames": 300}) == []
    assert len(soak.faults(good | {"same_at_last": False})) == 1


@pytest.mark.slow
def test_rows_have_the_cost_of_all_around_the_network(place):
    """Of a small size: the least time is below what was measured, and bytes are counted once."""
    found = rows.measure(place.weights, False, (64, 96), "cpu", place.cache)
    [row] = [row for row in found["rows"] if row["engine"] == "torch fp32"]
    assert 0 < row["least_ms"] < row["median_ms"] <= row["p99_ms"]
    assert row["kernels"] is None  # without a GPU


def test_bytes_are_those_of_operations_and_not_of_views():
    values = torch.ones(1000)
    with rows.BytesMoved() as counter:
        view = values.view(10, 100).T[:5]
    assert counter.total == 0
    with rows.BytesMoved() as counter:
        view.relu()
        values.add_(1)
    assert counter.total == 4 * (50 + 50) + 4 * (1000 + 1000)


def test_kernels_are_read_off_a_trace():
    kinds = ("kernel", "kernel", "gpu_memcpy", "cpu_op")
    events = [{"cat": kind, "dur": 1000.0} for kind in kinds] + [{"name": "without a kind"}]
    assert rows.kernels_in(events, 0.006, 2) == (0.5, 0.5, 1.0)


TINY = (
    *("network.backbone=mobilenetv4_conv_small", "network.pretrained=false", "data.size=[32, 64]"),
    *("network.frozen_stride=null", "data.workers=0", "batch_size=2", "epochs=1", "seed=0"),
)


@pytest.mark.slow
def test_a_row_of_the_ablation_goes_on_and_is_a_row_of_the_table(place, tmp_path):
    """From the packed data; stopped before it has begun, it is begun at the next call."""
    trees = runpy.run_path(str(ROOT / "test/training/conftest.py"))
    data = trees["write_nyuv2"](tmp_path / "nyuv2")
    parts = carry.pack(data, tmp_path, 200_000)
    runs = [ablation.Run("mtl_0", TINY)]
    there = Place(tmp_path / "out", "cpu", FOR_EVER, place.weights, tuple(parts))
    assert not ablation.run(late(there), runs).finished
    found = ablation.run(there, runs)
    assert found.finished and not found.problems and found.figures["runs"] == ["mtl_0"]
    assert "| mtl_0 |" in found.markdown
    assert ablation.run(late(there), runs).finished


def test_without_a_data_set_there_is_no_ablation(place):
    with pytest.raises(CannotRunError, match="--data"):
        ablation.run(place)


# The command


def recorded(place, name, status="passed", problems=()):
    command.record(place, name, status, Outcome({"a": 1}, "| a |", problems))


def test_a_part_that_has_passed_is_not_repeated(place, monkeypatch):
    """One that has failed is."""
    begun = []
    monkeypatch.setattr(command, "do_in_own_process", lambda name, *_: begun.append(name) or 0)
    recorded(place, "facts")
    recorded(place, "rows", "failed", ["torch fp32: no"])
    for name in ("facts", "rows"):
        command.begin(name, place)
    assert begun == ["rows"]


def test_a_part_whose_packages_are_missing_is_skipped_by_name(place, monkeypatch):
    monkeypatch.setitem(command.PARTS, "soak", ("torch", "no_such_package"))
    command.begin("soak", place)
    part = json.loads((place.out / "soak.json").read_text())
    assert (part["status"], part["why"]) == ("skipped", "not installed: no_such_package")


def test_a_part_that_dies_is_a_failure_and_one_out_of_time_is_not(place, monkeypatch):
    for ended, status in ((-11, "failed"), (130, "unfinished")):
        monkeypatch.setattr(command, "do_in_own_process", lambda *_, ended=ended: ended)
        command.begin("rows", place)
        assert json.loads((place.out / "rows.json").read_text())["status"] == status


def test_the_report_has_every_part(place):
    """What ran, what did not and why; all figures in one file."""
    recorded(place, "facts")
    recorded(place, "soak", "failed", ["torch fp32: the device's grew from 1 to 9 MiB"])
    report.write(place.out, [*command.PARTS])
    text = (place.out / "report.md").read_text()
    for name in command.PARTS:
        assert f"| {name} | " in text
    assert "| ablation | not begun |" in text and "grew from 1 to 9 MiB" in text
    assert [*json.loads((place.out / "figures.json").read_text())] == ["facts", "soak"]


@pytest.mark.slow
def test_a_rehearsal_on_the_cpu(small_weights, tmp_path):
    """With two minutes: every part has a say, nothing fails, and a second call does not repeat."""
    options = ("--out", tmp_path, "--device", "cpu", "--weights", small_weights)
    done = run_module("sosd_ros.checks.gpu", *map(str, options), "--minutes", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    known = report.records(tmp_path, [*command.PARTS])
    assert known.keys() == command.PARTS.keys()
    assert known["facts"]["status"] == "passed"
    assert {part["status"] for part in known.values()} <= {"passed", "unfinished", "skipped"}


# What is carried


def test_a_folder_is_packed_into_parts_and_unpacked_as_it_was(tmp_path, random):
    """Each part small enough and whole for itself."""
    data = tmp_path / "data"
    (data / "rgb").mkdir(parents=True)
    for number in range(20):
        (data / "rgb" / f"{number}.jpg").write_bytes(random.bytes(10_000 + 997 * number))
    (data / "train.txt").write_text("0\n")
    parts = carry.pack(data, tmp_path, 100_000)
    assert len(parts) > 3 and max(part.stat().st_size for part in parts) <= 100_000
    back = carry.unpack(parts, tmp_path / "back")
    for path in data.rglob("*.*"):
        assert (back / path.relative_to(data)).read_bytes() == path.read_bytes()


def test_what_cannot_be_packed_or_unpacked_is_named(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "large.bin").write_bytes(bytes(90_000))
    with pytest.raises(ValueError, match=r"large\.bin alone is larger than a part; raise --mib"):
        carry.pack(tmp_path / "data", tmp_path, 50_000)
    (tmp_path / "cut.tar").write_bytes(b"no tar")
    with pytest.raises(ValueError, match=r"cut\.tar is neither one folder nor a whole part"):
        carry.unpack([tmp_path / "cut.tar"], tmp_path / "back")


def test_wheels_are_installed_where_they_are_missing(tmp_path):
    """Without a network, into a folder of their own; what is installed already stays as it is."""
    wheels, site = tmp_path / "wheels", tmp_path / "site"
    wheels.mkdir()
    _write_wheel(wheels, "no_such_gizmo", "1.0")
    _write_wheel(wheels, "numpy", "0.1")
    carry.install(wheels, site)
    assert (site / "no_such_gizmo.py").is_file() and not (site / "numpy.py").exists()


def _write_wheel(folder, name, version):
    files = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", "")
        for file, content in files.items():
            wheel.writestr(f"{name}-{version}.dist-info/{file}", content)


# A machine without ROS


@pytest.mark.parametrize("module", ["sosd_ros.benchmark", "sosd_ros.checks.gpu"])
def test_it_needs_no_ros(module):
    """Nor pydantic, but for the ablation; neither does the benchmark."""
    done = run_without_ros(module, "--help", without=("ament_index_python", "pydantic"))
    assert done.returncode == 0, done.stderr
    assert f"usage: python -m {module} " in done.stdout
