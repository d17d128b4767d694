"""Intervals of numbers and of differences, the file that holds them, and what is not compared."""

import json
import math

import numpy as np
import pytest
from support import SMALL, run_here, write_small_weights

from training import evaluate
from training.config import Config
from training.data import nyuv2
from training.measuring import bootstrap, comparison, json_record
from training.measuring.result import Result, measures_of
from training.metrics import DepthErrors, Scale
from training.networks import trained

NYU = nyuv2.data_set()


@pytest.fixture
def run(capsys, nyuv2_root):
    """The command in this process, on the small set; what it printed."""

    def run(*arguments):
        run_here(evaluate, "--workers", "0", "--data", nyuv2_root, *arguments)
        return capsys.readouterr().out

    return run


@pytest.fixture
def other(tmp_path):
    """Weights of another network of the same kind."""
    return write_small_weights(tmp_path / "other.safetensors", variant="mtl")


def depth_of(answers, truth=2.0):
    """A result of one-pixel images that all have this truth."""
    errors = DepthErrors()
    for answer in answers:
        errors.add(np.array([answer]), np.array([truth]))
    return Result(tuple(map(str, range(len(answers)))), {"depth": errors})


def rows(table):
    """By title: the cells of its line, with what is behind the interval as one."""
    lines = [line.split() for line in table.splitlines()[1:]]
    return {cells[0]: [*cells[1:7], " ".join(cells[7:])] for cells in lines}


def test_an_interval_is_that_of_the_normal_distribution_where_there_is_one(random):
    """Of a mean over many images: 1.96 standard errors to either side; 95 % of such hold it."""
    hits = 0
    for _ in range(60):
        answers = random.normal(3, 0.5, 200)
        found = bootstrap.intervals(depth_of(answers).measures)["depth"]["rel"]
        relative = np.abs(answers / 2 - 1)
        spread = 1.96 * relative.std() / math.sqrt(200)
        expected = relative.mean() + np.array([-spread, spread])
        np.testing.assert_allclose(found, expected, atol=0.2 * spread)
        hits += found[0] < 0.5 < found[1]  # |3 - 2| / 2, but for the few below 2
    assert 50 <= hits <= 60


def test_intervals_are_the_same_every_time():
    """The seed is fixed; another gives others."""
    measures = depth_of([1.0, 2, 3, 5]).measures
    first, second = (bootstrap.intervals(measures)["depth"]["rms"] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert (bootstrap.draws(4).sum(1) == 4).all()
    assert not np.array_equal(bootstrap.draws(4), bootstrap.draws(4, seed=1))


def test_what_no_image_has_has_no_interval():
    """NaN at both ends, and no warning."""
    scale = Scale()
    scale.add(np.array([1.0]), np.array([math.nan]))
    assert np.isnan(bootstrap.intervals({"scale": scale})["scale"]["off_scale"]).all()


def test_a_difference_is_told_by_its_paired_interval(random):
    """One image is as hard for one as for the other: .02 m are seen beside errors of a metre."""
    hard = random.uniform(0, 2, 40)
    text = comparison.text("other", depth_of(2 + hard), depth_of(2 + hard + 0.02))
    rel = rows(text)["rel"]
    assert rel[2:] == ["-0.010", "-0.010", "to", "-0.010", "* better"]
    text = comparison.text("other", depth_of(2 + hard + 0.02), depth_of(2 + hard))
    assert rows(text)["rel"][-1] == "* worse"
    [own] = [bootstrap.intervals(depth_of(2 + hard).measures)["depth"]["rel"]]
    assert own[1] - own[0] > 0.1


def test_noise_is_not_told_as_a_difference(random):
    """Zero is in the interval, and nothing is marked; nor is what is the same."""
    hard, noise = random.uniform(0, 1, 40), random.normal(0, 0.3, 40)
    noise -= noise.mean()
    text = comparison.text("other", depth_of(3 + hard), depth_of(3 + hard + noise))
    assert rows(text)["rel"][-1] == ""
    assert "*" not in comparison.text("same", depth_of(hard), depth_of(hard))


def test_more_is_better_of_accuracies():
    """And less of errors."""
    right, wrong = depth_of([2.0] * 5), depth_of([4.0] * 5)
    table = rows(comparison.text("wrong", right, wrong))
    assert (table["d1"][-1], table["rms"][-1]) == ("* better", "* better")


def test_networks_without_a_common_task_are_not_compared():
    """In a sentence."""
    with pytest.raises(ValueError, match="other answers nothing that is answered here"):
        comparison.text("other", depth_of([1.0]), Result(("0",), {"scale": Scale()}))


def test_a_file_holds_what_was_measured(random, tmp_path):
    """Every row, to the last bit, and what is no number too: all metrics come out of it again."""
    measures = measures_of(("semantic", "depth"), NYU, details=True)
    for image in range(3):
        labels, classes = random.integers(0, 40, (2, 20, 30)).astype(np.uint8)
        depth, truth = random.uniform(1, 9, (2, 20, 30)).astype(np.float32)
        depth[0, 0] = np.nan if image == 1 else 1
        for name, measure in measures.items():
            if name == "calibration":
                measure.add(labels, classes, random.random(labels.shape))
            elif name in ("semantic", "trimap"):
                measure.add(labels, classes)
            elif name == "spread":
                measure.add(depth, truth, random.random(labels.shape))
            else:
                measure.add(depth, truth)
    result = Result(("a", "b", "c"), measures)
    intervals = bootstrap.intervals(measures)
    path = tmp_path / "report.json"
    facts = {"conditions": {"x": 1}}
    path.write_text(json_record.text(facts, result, intervals, NYU.labels.names))
    content = json_record.read(path)
    again = json_record.result_in(content, NYU, path)
    assert repr(again) == repr(result)
    assert content["intervals"]["semantic"]["mIoU"] == intervals["semantic"]["mIoU"].tolist()
    assert content["edges"]["F1"] == measures["edges"].pooled()["F1"]
    row = content["rows"][2]
    last = measures["depth"].of(measures["depth"].rows[2:])
    assert row["metrics"]["depth"] == last.pooled()
    assert content["rows"][1]["metrics"]["depth"]["rel"] is None
    assert "NaN" not in path.read_text() and len(path.read_text().splitlines()[-3]) > 1000


def test_a_file_is_compared_with_a_network_or_its_numbers(run, small_weights, other, tmp_path):
    """Both ways print the same; itself does not differ from itself."""
    path = tmp_path / "other.json"
    run(other, "--json", path)
    by_numbers = run(small_weights, "--against", path).split("image by image")[1]
    by_network = run(small_weights, "--against", other).split("image by image")[1]
    assert by_numbers == by_network and "difference" in by_network
    assert " * " in by_network.split("chance")[1]
    itself = run(other, "--against", path).split("chance")[1]
    assert "edges of 0.25 m, recall" in itself and "*" not in itself


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--cap", "3"], "cap is 3.0 there and None here; measure both alike"),
        (["--flip"], "flip is True there and False here"),
        (["--classes", "13"], "classes is 13 there and 40 here"),
        (
            ["--split", "train"],
            "it has 4 images where here are 2, and 0001 is in one",
        ),
    ],
)
def test_numbers_of_another_measurement_are_refused(
    run, small_weights, tmp_path, options, sentence
):
    """Naming what differs."""
    path = tmp_path / "other.json"
    run(small_weights, "--json", path, *options)
    with pytest.raises(ValueError, match=f"other.json cannot be compared .*{sentence}"):
        run(small_weights, "--against", path)


def test_the_same_images_in_another_order_are_refused():
    """Rows are paired by their place."""
    with pytest.raises(ValueError, match="it has 2 images where here are 2, in another order"):
        comparison.check_images("x.json", ["a", "b"], ["b", "a"])


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"conditions": {"a": 1}, "rows": []}', '{"semantic": {"mIoU": 0.5}}'],
)
def test_a_file_of_something_else_is_refused(run, small_weights, tmp_path, text):
    """So is one of a version that kept no rows."""
    path = tmp_path / "old.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"old.json is not what `python -m training.evaluate"):
        run(small_weights, "--against", path)


def test_damaged_rows_are_refused(run, small_weights, tmp_path):
    """Of another shape than the measure's."""
    path = tmp_path / "x.json"
    run(small_weights, "--json", path)
    content = json.loads(path.read_text())
    content["rows"][1]["sums"]["depth"].pop()
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"x.json is not what .* write it again"):
        run(small_weights, "--against", path)


def test_a_network_of_another_data_set_is_refused(run, small_weights, tmp_path):
    """Before anything is measured."""
    config = Config(
        data={"name": "cityscapes", "size": (64, 128)}, network={"backbone": SMALL.backbone}
    )
    path = write_small_weights(
        tmp_path / "city.safetensors", **vars(trained.training_manifest(config))
    )
    with pytest.raises(ValueError, match="data set is Cityscapes there and NYU Depth v2 here"):
        run(small_weights, "--against", path)
