"""The soak: the command for one real minute, and what it would find, on records made up for it."""

from __future__ import annotations

import pytest
from support import run_module

pytest.importorskip("rclpy", reason="no ROS 2: install the extra 'ros', or source a ROS 2")

from sosd_ros.checks.soak import OUTPUTS, Record, judge, report

pytestmark = pytest.mark.usefixtures("middleware")
DRIFT = 1.5


def good_record():
    """Two minutes at 10 Hz: every tenth frame is superseded, latency is 20 to 24 ms, memory noisy.

    The stamps are the frames' numbers. Warm-up is 30 s, a window 4.5 s or 45 frames.
    """
    record = Record()
    for number in range(1201):
        sent = number / 10
        record.sent[number] = sent
        record.memory["memory"].append((sent, 100 * 2**20 + 1000 * (number % 7)))
        if number % 10:
            for answers in record.answers.values():
                answers.append((number, sent + 0.02 + 0.001 * (number % 5)))
    record.counts = {"received": 1201, "answered": 1080, "dropped: superseded": 121}
    return record


def slowed(record, seconds):
    """The record with the latencies longer by ``seconds(number)``."""
    for output, answers in record.answers.items():
        record.answers[output] = [(stamp, time + seconds(stamp)) for stamp, time in answers]
    return record


def test_a_good_record_passes():
    """No sentence; and the report has its figures."""
    record = good_record()
    assert judge(record, DRIFT) == []
    for line in ("sent 1201 10.01", "answered on points 1080 9.00", "dropped: superseded 121 1.01"):
        assert line in " ".join(report(record).split())
    assert "latency p99 [ms] 24.0 24.0" in " ".join(report(record).split())
    assert "memory [MiB] 100.0 100.0 +0.00%" in " ".join(report(record).split())


@pytest.mark.parametrize("kind", ["memory", "device memory"])
def test_memory_that_grows_is_found(kind):
    """Two per cent after warm-up, under noise; half a per cent is no growth."""
    for growth, found in ((0.02, True), (0.005, False)):
        record = good_record()
        record.memory[kind] = [
            (t, size * (1 + growth * t / 90)) for t, size in record.memory["memory"]
        ]
        problems = judge(record, DRIFT)
        assert [f"{kind} grew from" in problem for problem in problems] == [True] * found


def test_memory_of_the_warm_up_and_of_a_moment_is_no_growth():
    """Caches fill in the first quarter, and a message may be on its way in the end."""
    record = good_record()
    record.memory["memory"] = [
        (t, size / 2 if t < 29 else 2 * size if t > 119 else size)
        for t, size in record.memory["memory"]
    ]
    assert judge(record, DRIFT) == []


@pytest.mark.parametrize("output", OUTPUTS)
def test_an_answer_that_does_not_come_is_found(output):
    """One, on one topic, that the node says it has given; unless the middleware says it lost it."""
    record = good_record()
    del record.answers[output][601]
    assert judge(record, DRIFT) == [
        f"the node counts 1080 frames as answered, but 1079 answers came on {output}, and 0 were "
        "lost by the middleware"
    ]
    record.lost[output] += 1
    assert judge(record, DRIFT) == []
    assert f"lost on {output} 1" in " ".join(report(record).split())


def test_a_drop_that_is_not_counted_is_found():
    """The node says 120, one less than are missing."""
    record = good_record()
    record.counts["dropped: superseded"] = 120
    assert judge(record, DRIFT) == [
        "the node has received 1201 frames, but counts 1080 as answered and 120 as dropped"
    ]


def test_a_frame_that_does_not_arrive_must_be_counted_by_the_middleware():
    """What the middleware has lost was never received."""
    record = good_record()
    record.counts |= {"received": 1199, "dropped: superseded": 119, "dropped: transport": 1}
    assert judge(record, DRIFT) == [
        "1201 frames were sent, but the node counts 1199 as received and 1 as lost by the "
        "middleware"
    ]
    record.counts["dropped: transport"] = 2
    assert judge(record, DRIFT) == []
    assert "dropped: transport 2" in " ".join(report(record).split())


def change_places(answers):
    answers[6], answers[7] = answers[7], answers[6]


def come_twice(answers):
    """It makes up for no answer that is missing."""
    answers[7] = answers[6]


def come_from_nowhere(answers):
    answers[-1] = (5000, 120.0)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (change_places, "1 stamps are not newer than the one before, the first is 7"),
        (come_twice, "1 stamps are not newer than the one before, the first is 7"),
        (come_from_nowhere, "1 stamps were never sent, the first is 5000"),
    ],
)
def test_a_stamp_that_is_wrong_is_found(fault, sentence):
    """On one topic."""
    record = good_record()
    fault(record.answers["depth"])
    assert judge(record, DRIFT) == [f"depth: {sentence}"]


def test_a_p99_that_drifts_is_found():
    """From 20 ms to 50 in the end, little by little."""
    (problem,) = judge(slowed(good_record(), lambda number: 0.03 * number / 1200), DRIFT)
    assert problem.startswith("the p99 of the latency drifted from 32.6 to 51.7 ms")
    assert judge(slowed(good_record(), lambda number: 0.03 * number / 1200), float("inf")) == []


def test_a_p99_that_drifts_by_rare_frames_is_found():
    """One frame of twenty becomes slow: the median hardly sees it."""
    assert judge(slowed(good_record(), lambda n: (n % 20 == 1) * 0.1 * n / 1200), DRIFT) != []


def test_a_machine_that_is_busy_for_a_while_is_no_drift():
    """All windows but the first and the last but two take twice as long."""
    record = slowed(good_record(), lambda number: 0.03 * (345 < number < 1065 or number > 1110))
    assert judge(record, DRIFT) == []


def test_a_node_that_stops_to_answer_is_found():
    """Whatever it counts; and the report can still be made."""
    for heard in (0, 500):
        record = good_record()
        for answers in record.answers.values():
            del answers[heard:]
        record.counts |= {"answered": heard, "dropped: superseded": 1201 - heard}
        assert judge(record, DRIFT) == [
            "no frame was answered in the first windows after warm-up, or in the last"
        ]
        assert f"answered on depth {heard}" in " ".join(report(record).split())


def soak(weights, *arguments):
    options = ("--device", "cpu", "--size", "64x96", "--weights", weights)
    return run_module("sosd_ros.checks.soak", *options, *arguments)


@pytest.mark.slow
def test_half_a_minute_at_thirty_hertz(small_weights):
    """Memory, stamps and counts are right.

    Latency is not judged here, as others use the machine. The frames are small: messages that such
    a machine keeps waiting take less than the memory that may be gained.
    """
    done = soak(small_weights, "--seconds", 30, "--drift", "inf")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sent 900" in " ".join(done.stdout.split())
    assert "passed: " in done.stdout


def test_a_violation_is_said_and_ends_the_command_with_1(small_weights):
    """A p99 that may not be larger than zero cannot be met."""
    done = soak(small_weights, "--seconds", 2, "--drift", 0)
    assert done.returncode == 1
    assert "failed: the p99 of the latency drifted from" in done.stderr
    assert "least p99 of a window [ms]" in done.stdout
    assert "Traceback" not in done.stderr
