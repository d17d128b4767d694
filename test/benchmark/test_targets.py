"""The table of targets, from results made by hand, and a run as a user starts it."""

import dataclasses
import json

import pytest
from support import run_module

pytest.importorskip("rclpy", reason="no ROS 2: install the extra 'ros', or source a ROS 2")

from sosd_ros.benchmark.engines import EngineResult
from sosd_ros.benchmark.nodes import NodeReport, RosResult
from sosd_ros.benchmark.results import Results, Target
from sosd_ros.benchmark.surroundings import Surroundings
from sosd_ros.benchmark.targets import targets
from sosd_ros.engine.agreement import Agreement, Agreements
from sosd_ros.testbed.times import Times


def times(median):
    return Times(median, median, median, 1)


def run(rate, p50=0.0, p95=0.0):
    return RosResult(rate, rate, 1, 1, Times(p50, p95, p95, 1), 0.0, True)


def engine(name, total, forward, labels=1.0):
    return EngineResult(
        name,
        (1, 480, 640),
        (288, 384),
        times(total),
        times(0.5),
        times(forward),
        times(0.5),
        Agreements.of([Agreement(labels, 0.0)]),
    )


RESULTS = Results(
    engines=[engine("torch fp32", 40, 38), engine("fast fp32", 10, 8), engine("wrong", 1, 1, 0)],
    surroundings=Surroundings(
        *(times(50), times(5), times(1), 100, 1),
        **{"cloud": times(3), "rectified": times(1.5), "steadied": times(2.5)},
    ),
    in_full_at_rate=times(20),
)


def test_the_best_engine_is_the_fastest_that_agrees():
    """One that answers something else does not count, however fast."""
    assert RESULTS.best_engine().name == "fast fp32"


def test_rows_are_made_of_the_results():
    """By hand: 10 over 8, 40 over 10, 1000 over 10, 50 over 5, 1 of 100, 3, 1.5 and 2.5 ms."""
    values = [row.value for row in targets(RESULTS)]
    assert values[:8] == [1.25, 4.0, 100.0, 10.0, 0.01, 3.0, 1.5, 2.5]
    assert values[8:] == [None] * 5
    assert [row.verdict for row in targets(RESULTS)[:8]] == ["MISSED", *["met"] * 7]


def test_rows_over_ros_and_of_rivals():
    """Latency at 5 Hz over all answers' time, at 30 Hz over the textbook's; rivals' medians, in
    the runtime that is the faster for them.
    """
    ros = {
        "sosd": NodeReport(run(5, p50=30), {}, {30.0: run(30, p95=50)}, 30.0),
        "textbook": NodeReport(run(5), {}, {30.0: run(30, p95=200)}, 30.0),
    }
    rivals = {
        "fast fp32": times(10),
        "one + another, slow": times(200),
        "one + another, fast": times(100),
    }
    more = dataclasses.replace(RESULTS, ros=ros, rivals=rivals, growth=1.02, xception65_share=0.7)
    rows = targets(more)[8:]
    assert [row.value for row in rows] == [1.5, 0.25, 10.0, 1.02, 0.7]
    assert [row.verdict for row in rows] == ["MISSED", "met", "met", "MISSED", "met"]


def test_what_was_not_measured_is_not_in_the_json():
    """A run that fails after three sections saves three, each by its name and in plain numbers."""
    figures = json.loads(json.dumps(RESULTS.to_json()))
    assert figures.keys() == {"engines", "surroundings", "in_full_at_rate"}
    assert figures["engines"][1]["forward"]["median"] == 8
    assert figures["engines"][1]["agreement"]["mean"]["labels"] == 1
    assert figures["in_full_at_rate"] == {"median": 20, "p95": 20, "p99": 20, "calls": 1}


@pytest.mark.parametrize(
    ("value", "is_most", "verdict"),
    [
        (1.0, True, "met"),
        (1.1, True, "MISSED"),
        (0.9, False, "MISSED"),
        (None, True, "not measured"),
    ],
)
def test_a_limit_itself_is_kept(value, is_most, verdict):
    """At most and at least mean what they say."""
    assert Target("", value, 1.0, is_most).verdict == verdict


@pytest.mark.slow
def test_a_quick_run_prints_and_saves_the_table(tmp_path, small_weights, monkeypatch):
    """A real process with a small network; without a compiler, which would take a minute."""
    saved = tmp_path / "figures.json"
    monkeypatch.setenv("SOSD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "")
    options = ("--device=cpu", "--quick", "--rounds=1", f"--weights={small_weights}")
    finished = run_module("sosd_ros.benchmark", *options, f"--json={saved}")
    assert finished.returncode == 0, finished.stderr
    assert "compile fp32: left out, EngineError: g++ is not installed" in finished.stdout
    figures = json.loads(saved.read_text())
    names = [e["name"] for e in figures["engines"]]
    assert "torch fp32" in names and all(f"\n{name} " in finished.stdout for name in names)
    rows = [row["what"] for row in figures["targets"]]
    assert rows == [row.what for row in targets(RESULTS)]
    assert all(row in finished.stdout for row in rows)
    assert {f.name for f in dataclasses.fields(Times)} == set(figures["in_full_at_rate"])
