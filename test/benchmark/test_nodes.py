"""The benchmark over DDS: both nodes answer alike, and the figures are right. No time is judged."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections import defaultdict

import numpy as np
import pytest
from robot import EAGER, RELIABLE, TIMEOUT, pixels

from sosd_ros import weights
from sosd_ros.benchmark import nodes
from sosd_ros.share import DEFAULT_WEIGHTS, share
from sosd_ros.stamps import nanoseconds
from sosd_ros.testbed.camera import FRAME_ID

ANSWERS = {"depth", "semantic", "confidence", "points"}
PICTURES = 4
SIZE = (120, 160)


@pytest.fixture(scope="module")
def played(middleware):
    """By node: a run of a few frames, and the answers to the first pictures by stamp."""
    return {node: play(node, share("weights", DEFAULT_WEIGHTS)) for node in nodes.NODES}


def ticks_by_answers(camera):
    """In place of a clock: a tick when every frame so far is answered, however long that takes."""
    for number in itertools.count():
        assert camera.spin_until(lambda: camera.sent.keys() <= camera.answered.keys(), TIMEOUT)
        yield number


def play(node, path):
    answers = nodes.answers_of(weights.read(path).manifest)
    kept = defaultdict(dict)

    def keep(topic, message):
        kept[nanoseconds(message.header.stamp)][topic] = message

    parameters = {"weights": str(path), "device": "cpu", **EAGER, **RELIABLE}
    with nodes.robot(node, parameters, answers, SIZE) as robot:
        robot.camera.ticks = lambda rate: ticks_by_answers(robot.camera)
        run = robot.play(rate_hz=10, seconds=0.5)
        robot.begin()
        robot.camera.on_answer = keep
        for _ in range(PICTURES):
            assert robot.ask(TIMEOUT)
        return run, kept


def test_every_frame_has_all_answers_with_its_stamp(played):
    """Of the image's size, and in the camera's frame."""
    for _, kept in played.values():
        assert len(kept) == PICTURES
        for stamp, answers in kept.items():
            assert answers.keys() == {*ANSWERS, "depth_uncertainty"}
            for message in answers.values():
                assert nanoseconds(message.header.stamp) == stamp
                assert message.header.frame_id == FRAME_ID
                assert (message.height, message.width) == SIZE


def test_the_textbook_node_gives_the_same_answers(played):
    """Labels on nearly all pixels, and the median depth and uncertainty within one per cent."""
    ours, theirs = (list(played[node][1].values()) for node in ("sosd", "textbook"))
    for one, other in zip(ours, theirs, strict=True):
        same = pixels(one["semantic"], np.uint8) == pixels(other["semantic"], np.uint8)
        assert same.mean() > 0.98
        for topic in ("depth", "depth_uncertainty"):
            metres = [pixels(answers[topic], np.float32) for answers in (one, other)]
            finite = np.isfinite(metres).all(axis=0)
            assert finite.any()
            assert np.median(np.abs(metres[0] / metres[1] - 1)[finite]) < 0.01


@pytest.mark.slow
def test_weights_without_uncertainty_are_played_without(middleware, small_weights):
    """Of both nodes: one that did less would look faster."""
    for node in nodes.NODES:
        _, kept = play(node, small_weights)
        assert len(kept) == PICTURES
        assert all(answers.keys() == ANSWERS for answers in kept.values())


def test_a_run_adds_up(played):
    """And its result is JSON."""
    for run, _ in played.values():
        assert (run.rate_hz, run.offered, run.answered, run.latency.calls) == (10, 5, 5, 5)
        assert 0 < run.latency.median <= run.latency.p95 <= run.latency.p99
        assert json.loads(json.dumps(dataclasses.asdict(run)))["answered"] == run.answered


def test_the_figures_of_a_run():
    """Worked out by hand: 5 frames at 10 Hz that take 20 ms, and one that is not answered."""
    sent = {number: number / 10 for number in range(6)}
    answered = {number: sent[number] + 0.02 for number in range(5)}
    run = nodes.summarise(10.0, sent, answered)
    assert (run.offered, run.answered, run.held) == (6, 5, False)
    figures = (run.achieved_hz, run.latency.median, run.latency.p99, run.growth)
    assert figures == pytest.approx((10, 20, 20, 0))
    assert nodes.summarise(10.0, answered, answered).held


def test_a_queue_that_fills_is_not_held():
    """Frames at 10 Hz, answered at 8 Hz: the latency grows by a quarter of the time played."""
    sent = {number: number / 10 for number in range(40)}
    run = nodes.summarise(10.0, sent, {n: n / 8 + 0.1 for n in sent})
    assert run.answered == run.offered and not run.held
    assert run.growth == pytest.approx(0.25)


def test_bisection_finds_the_rate_that_is_held():
    """A node that holds up to 23 Hz, and one that holds nothing."""

    class Fake:
        def __init__(self, limit):
            self.limit = limit

        def play(self, rate_hz):
            sent = {n: n / rate_hz for n in range(100)}
            kept = {n: t for n, t in sent.items() if rate_hz <= self.limit or n % 2}
            return nodes.summarise(rate_hz, sent, kept)

    assert 23 / 1.05 <= nodes.highest_rate(Fake(23)) <= 23
    assert nodes.highest_rate(Fake(0)) == 0
