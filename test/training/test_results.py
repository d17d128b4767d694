"""Runs as rows beside the paper's, from folders made by hand."""

import pytest

from training.config import Config, dump
from training.measuring.finished_runs import read, table

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


def _names(lines):
    """Of the rows of a table."""
    return [line.split(" | ")[0].removeprefix("| ") for line in lines]
