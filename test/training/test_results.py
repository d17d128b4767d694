"""Runs as rows beside the paper's, from folders made by hand."""

import numpy as np
import pytest
from support import run_here

from training import results
from training.config import Config, dump
from training.measuring import bootstrap, json_record, seeds
from training.measuring.finished_runs import read, table
from training.measuring.result import Result
from training.metrics import DepthErrors

HEAD = "epoch,depth_loss,mIoU,rel,rms\n"


@pytest.fixture
def folder(tmp_path):
    """Makes the folder of a run: its configuration, and the rows of its log."""

    def make(name, *rows, **changes):
        made = tmp_path / name
        made.mkdir()
        values = {"network": {"variant": "sosd"}, "strategy": "joint", "epochs": 2, **changes}
        (made / "config.yaml").write_text(dump(Config.model_validate(values)))
        (made / "log.csv").write_text(HEAD + "".join(f"{row}\n" for row in rows))
        return made

    return make


def test_seeds_are_one_row_and_the_last_epoch_counts(folder):
    """0.3 and 0.32 are 0.31 ± 0.01, though an epoch before was better."""
    one = read(folder("one", "1,5,0.5,0.1,0.5", "2,4,0.30,0.2,0.7"))
    other = read(folder("other", "2,4,0.32,0.2,0.7", seed=1))
    row = table([one, other]).splitlines()[2]
    assert row.startswith(
        "| sosd | one, other | 2 | 0.310 ± 0.010 |  |  | 0.200 ± 0.000 | 0.700 ± 0.000 |"
    )


def test_the_papers_row_follows(folder):
    """Another strategy makes another row; Algorithm 1 shows each image to one task at a time."""
    runs = [folder("sosd", "2,4,0.3,0.2,0.7"), folder("em", "2,4,0.3,0.2,0.7", strategy="em")]
    lines = table(map(read, runs)).splitlines()
    assert _names(lines[2:6]) == ["sosd", "*the paper's sosd*", "esosd", "*the paper's esosd*"]
    assert lines[4].startswith("| esosd | em | 1 | 0.300 |")
    assert "0.433 | 0.625 | 0.722 | 0.149 | 0.527" in lines[3]
    assert "654 test images" in lines[-1]


def test_what_was_measured_on_held_back_scenes_says_so(folder):
    """The paper's numbers are of the test set, and stand apart from it."""
    fit = read(folder("fit", "2,4,0.3,0.2,0.7", data={"split": "fit"}))
    assert _names(table([fit]).splitlines()[2:-2]) == ["sosd, on held_back"]


def test_the_papers_row_stands_once_under_all_runs_of_its_method(folder):
    runs = [folder("short", "2,4,0.3,0.2,0.7"), folder("long", "4,4,0.3,0.2,0.7", epochs=4)]
    assert _names(table(map(read, runs)).splitlines()[2:5]) == [
        "sosd",
        "sosd",
        "*the paper's sosd*",
    ]


@pytest.mark.parametrize(
    ("data", "variant", "strategy", "names"),
    [
        ("nyuv2", "mtl", "mgda", ["mtl, mgda"]),
        ("nyuv2", "mtl", "em", ["mtl, em"]),
        ("nyuv2", "esosd", "joint", ["sosd", "*the paper's sosd*"]),
        ("cityscapes", "mtl", "mgda", ["mgda", "*the paper's mgda*"]),
        ("cityscapes", "sosd", "mgda", ["sosd, mgda"]),
    ],
)
def test_what_the_paper_has_no_row_for_is_named_by_variant_and_strategy(
    folder, data, variant, strategy, names
):
    """Table 4 balances MTL's losses, on Cityscapes; Algorithm 1 is the paper's for the units."""
    changes = {"data": {"name": data}, "network": {"variant": variant}, "strategy": strategy}
    lines = table([read(folder("one", "2,4,0.3,0.2,0.7", **changes))]).splitlines()
    assert _names(lines[2:-2]) == names


def test_a_run_that_is_not_finished_is_refused(folder):
    with pytest.raises(ValueError, match="has done 1 of 2 epochs; go on with --resume"):
        read(folder("one", "1,5,0.5,0.1,0.5"))
    with pytest.raises(ValueError, match="has done 0 of 2 epochs"):
        read(folder("none"))


def test_runs_of_two_data_sets_have_no_common_table(folder):
    runs = [
        read(folder("nyu", "2,4,0.3,0.2,0.7")),
        read(folder("city", "2,4,0.3,0.2,0.7", data={"name": "cityscapes"})),
    ]
    with pytest.raises(ValueError, match="runs of cityscapes, nyuv2, expected one data set"):
        table(runs)
    with pytest.raises(ValueError, match="runs of nothing"):
        table([])


@pytest.fixture
def measured(folder):
    """Makes a run of a seed whose one-pixel images have these depths; all truth is 1 m."""

    def make(name, seed, *answers, **changes):
        made = folder(name, seed=seed, **changes)
        errors = DepthErrors()
        for answer in answers:
            errors.add(np.array([answer]), np.array([1.0]))
        names = tuple(map(str, range(len(answers))))
        result = Result(names, {"depth": errors})
        facts = {"conditions": {"crop": "none"}}
        record = json_record.text(facts, result, bootstrap.intervals(result.measures), ())
        (made / "val.json").write_text(record)
        return made

    return make


def test_settings_are_compared_seed_by_seed(measured, capsys):
    """Differences of .1, .2 and .3 have the mean .2, and Student's interval is 4.30 * .1 / 3^.5;
    all images of a seed differ alike, so that other images would say the same.
    """
    here = [measured(f"here_{i}", i, 1.3 + i / 10, 1.3 + i / 10) for i in (2, 0, 1)]
    other = {"network": {"variant": "mtl"}}
    there = [measured(f"there_{i}", i, 1.2, 1.2, **other) for i in (0, 1, 2)]
    run_here(results, *here, "--against", *there)
    lines = capsys.readouterr().out.splitlines()
    [rel] = [line for line in lines if line.startswith("| rel |")]
    reach = 4.3027 * 0.1 / 3**0.5
    assert rel == (
        f"| rel | 0.400 | 0.200 | +0.2000 | {0.2 - reach:+.4f} to {0.2 + reach:+.4f} | "
        "**+0.2000 to +0.2000** |"
    )
    assert lines[-1] == "Seeds 0, 1, 2; 2 images. Bold is beyond chance."


def test_what_cannot_be_paired_is_refused(measured, tmp_path):
    """One seed says nothing of others; settings do not mix; images and runs must be there."""
    one = [seeds.read(measured(f"one_{i}", i, 1.0)) for i in (0, 1)]
    with pytest.raises(ValueError, match=r"1 seeds are on both sides \(\[0, 1\] and \[1\]\)"):
        seeds.text(one, one[1:])
    mixed = [one[0], seeds.read(measured("mixed", 1, 1.0, epochs=3))]
    with pytest.raises(ValueError, match="mixed differ in more than their seed"):
        seeds.text(one, mixed)
    more = [seeds.read(measured(f"more_{i}", i, 1.0, 2.0)) for i in (0, 1)]
    with pytest.raises(ValueError, match="it has 2 images where here are 1"):
        seeds.text(one, more)
    (tmp_path / "one_0" / "val.json").unlink()
    with pytest.raises(ValueError, match=r"one_0 has no val.json; write it with `python -m train"):
        seeds.read(tmp_path / "one_0")


def _names(lines):
    """Of the rows of a table."""
    return [line.split(" | ")[0].removeprefix("| ") for line in lines]
