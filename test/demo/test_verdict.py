"""What the demo says of its rate."""

import os

import pytest

from sosd_ros.demo.verdict import CpuTime, cpu_time, reasons, verdict

FAST = {"device": "cpu", "backend": "openvino bf16", "latency network p50 [ms]": "23.4"}


def test_every_frame_answered_needs_no_reason():
    """At the rate of the camera, rounded."""
    said = verdict(29.98, 360, 360, "openvino bf16 on cpu", ["not said"])
    assert said == "30 Hz, every frame answered by openvino bf16 on cpu"


def test_fewer_answers_come_with_their_rate_and_the_reasons():
    """A line each."""
    said = verdict(30.0, 360, 126, "torch bf16 on cpu", ["one", "two"]).splitlines()
    assert said == [
        "10.5 of 30 Hz, 126 of 360 frames answered by torch bf16 on cpu:",
        "  one",
        "  two",
    ]


@pytest.mark.parametrize(
    ("changes", "arguments", "expected"),
    [
        ({}, ("", True, 0.02), []),
        ({}, ("", True, 0.5), ["other programs took 50% of the processor"]),
        ({}, ("", False, 0.0), ["this processor has no bfloat16"]),
        ({"backend": "torch bf16"}, ("it cannot be built", True, 0.0), ["it cannot be built"]),
        ({"backend": "torch bf16"}, ("", True, 0.0), ["the engine that is built was refused"]),
        ({"device": "cuda:0", "backend": "cuda_graph fp16"}, ("", False, 0.0), []),
    ],
)
def test_each_reason_is_told_where_it_holds(changes, arguments, expected):
    """And the network's time always."""
    said = reasons(FAST | changes, *arguments)
    assert [line[: len(start)] for line, start in zip(said, expected, strict=False)] == expected
    assert said[len(expected)].startswith("the network takes 23 ms a frame")
    assert len(said) == len(expected) + 1


def test_others_have_what_is_neither_ours_nor_idle():
    """Of two cores in 10 s: 6 s ours, 4 s idle, and so 10 s of others."""
    earlier, later = CpuTime(1.0, 100.0, 50.0), CpuTime(7.0, 116.0, 54.0)
    assert later.others_since(earlier) == pytest.approx(0.5)
    assert earlier.others_since(earlier) == 0


def test_cores_that_a_container_numbers_anew_are_counted_all_together(monkeypatch):
    """There the kernel's list lacks those that the process is told it may use."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {10**6})
    assert cpu_time(os.getppid()).all > 0


def test_the_kernel_counts_what_we_compute():
    """In all that there is, too."""
    before = cpu_time(os.getppid())
    while (after := cpu_time(os.getppid())).ours < before.ours + 0.05:
        pass
    assert after.all >= before.all and 0 <= after.others_since(before) <= 1
