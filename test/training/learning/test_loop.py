"""A run's epochs in one process: what is kept, in which order, and what going on relies on."""

import csv
import math

import pytest
import torch
from tiny_training import go, open_run, trainer

from training.data import nyuv2
from training.learning import loop
from training.learning.log import Log
from training.learning.loop import learning_rate
from training.learning.run import Run
from training.learning.signals import Interrupted, Signals
from training.networks import checkpoint

DATA = nyuv2.data_set()


@pytest.fixture
def start(nyuv2_root, tmp_path):
    """A run of two mini-batches an epoch; it goes on from what is in the folder, if anything is."""

    settings = {"batch_size": 2, "epochs": 3, "evaluate_every": 1}
    return lambda **changes: open_run(nyuv2_root, tmp_path, **(settings | changes))


def epochs(out):
    with (out / "log.csv").open() as file:
        return [row["epoch"] for row in csv.DictReader(file)]


class Measured:
    """Stands for the evaluation: what it finds, epoch by epoch."""

    def __init__(self, metric, *values):
        self.metric, self.values = metric, list(values)

    def __call__(self, *_, **__):
        return self

    def pooled(self):
        return {self.metric: self.values.pop(0)}


@pytest.mark.parametrize(
    ("metric", "values", "best"),
    [
        ("mIoU", (0.1, 0.3, 0.2), 2),
        ("rel", (0.3, 0.1, 0.2), 2),
        ("rel", (0.1, 0.3, 0.1), 1),
        ("mIoU", (0.2, 0.2, 0.1), 1),
        ("d1", (math.nan, 0.1, 0.2), 3),
    ],
)
def test_the_best_epoch_is_that_of_the_metric(start, monkeypatch, tmp_path, metric, values, best):
    """The first of the largest accuracy or the least error; NaN is never the best."""
    monkeypatch.setattr(loop, "measure", Measured(metric, *values))
    monkeypatch.setattr(loop, "overview", lambda *_, **__: torch.zeros(1, 1, 3).byte().numpy())
    go(start(best=metric))
    assert checkpoint.load(tmp_path / "best.pt")["epoch"] == best


def test_patience_ends_with_as_many_measurements_that_are_no_better(start, monkeypatch, tmp_path):
    """Since the last that was; and a run that has ended so does not go on when it is resumed."""
    monkeypatch.setattr(loop, "measure", Measured("rel", 0.3, 0.4, 0.2, 0.2, 0.3, 0.1))
    monkeypatch.setattr(loop, "overview", lambda *_, **__: torch.zeros(1, 1, 3).byte().numpy())
    for _ in range(2):
        go(start(best="rel", epochs=6, patience=2))
        assert epochs(tmp_path) == ["1", "2", "3", "4", "5"]
    assert checkpoint.load(tmp_path / "best.pt")["epoch"] == 3


def test_an_evaluation_that_is_interrupted_is_made_again(start, monkeypatch, tmp_path):
    """It stops after the batch that it is at, and loses none of the training."""
    signals = Signals()

    def interrupted(*_, after_batch, **__):
        signals.number = 15
        after_batch()

    with monkeypatch.context() as patch:
        patch.setattr(loop, "measure", interrupted)
        with pytest.raises(Interrupted, match="stopped by SIGTERM"):
            go(start(), signals)
    state = checkpoint.load(tmp_path / "last.pt")
    assert (state["epoch"], state["progress"]["batch"]) == (0, 2)
    assert not (tmp_path / "log.csv").exists()

    run = start()
    trained = run.trainer.step
    run.trainer.step = lambda batch, iteration, *rest: (
        seen.append(iteration),
        trained(batch, iteration, *rest),
    )[1]
    seen = []
    go(run)
    assert seen == [2, 3, 4, 5]
    assert epochs(tmp_path) == ["1", "2", "3"]


def test_an_epoch_is_over_when_all_of_it_is_written(start, monkeypatch, tmp_path):
    """After a crash between its files the epoch's end is made again, with its row in the log."""

    def crash(_self, _row):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Log, "epoch", crash)
        with pytest.raises(OSError, match="No space left"):
            go(start())
    assert checkpoint.load(tmp_path / "last.pt")["epoch"] == 0
    go(start())
    assert epochs(tmp_path) == ["1", "2", "3"]
    assert checkpoint.load(tmp_path / "last.pt")["epoch"] == 3


def test_a_signal_stops_after_the_mini_batch_that_it_came_in(start, tmp_path):
    """With one of two done, the epoch is entered in its middle."""
    signals = Signals()
    run = start()
    trained = run.trainer.step

    def step(*arguments):
        signals.number = 2
        return trained(*arguments)

    run.trainer.step = step
    with pytest.raises(Interrupted, match="stopped by SIGINT"):
        go(run, signals)
    assert checkpoint.load(tmp_path / "last.pt")["progress"]["batch"] == 1
    assert start().iteration == 1


def test_random_numbers_go_on_where_they_were(start, tmp_path):
    """Those of torch, which a network with dropout draws from."""
    run = start()
    torch.manual_seed(3)
    torch.rand(5)
    checkpoint.save(run.state_dict(), tmp_path / "last.pt")
    expected = torch.rand(5)
    torch.manual_seed(4)
    start()
    assert torch.equal(torch.rand(5), expected)


@pytest.mark.parametrize(
    ("first", "then", "sentence"),
    [
        ({}, {"best": "rel"}, "best was None and is 'rel'"),
        ({}, {"strategy": "em"}, "strategy.name was 'joint' and is 'em'"),
        ({}, {"accumulate": 2}, "accumulate was 1 and is 2"),
        (
            {"optimiser": {"schedule": "poly"}},
            {"optimiser": {"schedule": "poly"}, "epochs": 4},
            "epochs was 3 and is 4",
        ),
        (
            {"optimiser": {"warm_up": 0.1}},
            {"optimiser": {"warm_up": 0.1}, "epochs": 4},
            "epochs was 3 and is 4",
        ),
    ],
)
def test_going_on_differently_is_refused(start, tmp_path, first, then, sentence):
    """Whatever the result depends on, with both values."""
    checkpoint.save(start(**first).state_dict(), tmp_path / "last.pt")
    with pytest.raises(ValueError, match="differ from those of the run to resume") as error:
        start(**then)
    assert sentence in str(error.value)


def test_more_epochs_and_other_workers_are_not_another_run(start, tmp_path):
    """With a constant learning rate."""
    checkpoint.save(start().state_dict(), tmp_path / "last.pt")
    start(epochs=9, keep=2, evaluate_every=4)


def test_a_sample_in_both_splits_is_refused(nyuv2_root, tmp_path):
    """What is measured must not be trained on."""
    samples = DATA.open(nyuv2_root, "train")
    with pytest.raises(ValueError, match="4 samples are in both splits, 0001 first"):
        Run(trainer(batch_size=2), DATA, samples, samples, tmp_path)


def test_the_polynomial_rule_falls_to_zero():
    """(1 - i / n) ** 0.9 of the rate at the start; constant otherwise."""
    poly = trainer(optimiser={"learning_rate": 0.1, "schedule": "poly"}).config
    assert learning_rate(poly, 0, 10) == 0.1
    assert learning_rate(poly, 5, 10) == pytest.approx(0.1 * 0.5**0.9)
    assert learning_rate(poly, 10, 10) == 0
    assert learning_rate(trainer().config, 5, 10) == 1e-4
    rising = trainer(optimiser={"learning_rate": 0.1, "warm_up": 0.4}).config
    rates = [learning_rate(rising, iteration, 10) for iteration in range(6)]
    assert rates == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1, 0.1])
