"""Configurations: what is wrong is named with its place, and the shipped ones are the paper's."""

import re
from pathlib import Path

import pytest
import yaml

from training import strategies
from training.config import Config, ConfigError, dump, load
from training.data.sets import data_set

ROWS = {
    "semantic": ("semantic", "joint"),
    "depth": ("depth", "joint"),
    "mtl": ("mtl", "joint"),
    "sosd": ("sosd", "joint"),
    "esosd": ("esosd", "em"),
    **{
        f"{variant}_{strategy}": (variant, strategy)
        for variant in ("mtl", "sosd")
        for strategy in ("uncertainty", "gradnorm", "mgda")
    },
}
# Ours: the shipped weights, and what the rows of docs/results.md share.
OURS = (
    "nyuv2_sosd_lite2_stage1",
    "nyuv2_sosd_lite2_stage2",
    "nyuv2_sharp_stage1",
    "nyuv2_sharp_stage2",
    "nyuv2_sharp_stage3",
    "nyuv2_sharp_stage4",
    "nyuv2_ablation",
    "nyuv2_ablation_gpu",
    "nyuv2_disjoint",
    "nyuv2_depth_camvid_labels",
)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text("data:\n  size: [32, 64]\nepochs: 2\nstrategy: em\n")
    return path


@pytest.fixture
def shipped(request):
    return request.config.rootpath / "config" / "training"


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("epochs=0", "--set epochs=0: epochs = 0: Input should be greater than 0"),
        ("data.colour=red", "data.colour = 'red': Extra inputs are not permitted"),
        ("strategy=magic", f"'magic' is unknown; choose one of {', '.join(strategies.NAMES)}"),
        ("strategy.size=3", "size = 3: Extra inputs are not permitted"),
        ("data.disparity_divisor=4", "nyuv2 has no option disparity_divisor"),
        ("data.split=val", "Input should be 'train' or 'fit'"),
        ("network.variant=x", "network.variant = 'x': Input should be 'semantic', 'depth', 'mtl'"),
        ("epochs", "'epochs' is not of the form section.key=value"),
        ("epochs.x=1", "epochs is a value, not a section"),
        ("epochs=[1", "'epochs=[1' is not YAML"),
    ],
)
def test_a_wrong_override_is_named(config, override, sentence):
    """Key, value and what was expected."""
    with pytest.raises(ConfigError) as error:
        load(config, [override])
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("epochs: 3\nepochz: 4\n", "line 2: epochz = 4: Extra inputs are not permitted"),
        ("data:\n  size: [0, 64]\n", "line 2: data.size.0 = 0: Input should be greater than 0"),
        ("strategy:\n  name: em\n  x: 1\n", "line 3: strategy.x = 1: Extra inputs"),
        ("epochs: 3\nepochs: 4\n", "line 2: epochs is already set in line 1"),
        (
            "network:\n  variant: mtl\n  area_shift: 2\n",
            "line 3: network.area_shift = 2: a network of variant 'mtl' has no units",
        ),
        (
            "network:\n  frozen_stride: 4\n  pretrained: false\n",
            "line 2: network.frozen_stride = 4: with network.pretrained=false and no network.start",
        ),
        (
            "network:\n  backbone: xception66\n",
            "line 2: network.backbone = 'xception66': backbone 'xception66' is not a model that",
        ),
        ("network:\n  variant: depth\n", "strategy em needs two tasks, but variant 'depth' has"),
        (
            "strategy: mgda\naccumulate: 2\n",
            "line 2: accumulate = 2: strategy mgda weighs the gradients of the whole mini-batch",
        ),
        (
            "strategy: mgda\ncompile: true\n",
            "line 2: compile = True: strategy mgda takes gradients inside of what torch.compile",
        ),
        (
            "strategy: gradnorm\nprecision: float16\n",
            "line 2: precision = 'float16': strategy gradnorm weighs gradients, which float16",
        ),
        ("- epochs\n", "is not of the form key: value"),
        ("data: [\n", "cannot read configuration"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, text, sentence):
    """With the file and the line."""
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load(path)
    assert sentence in str(error.value) and str(path) in str(error.value)


def test_what_is_held_may_come_from_another_file(config):
    """Of three ways in which a backbone starts, only random numbers are not to be held."""
    for start in (
        ["network.pretrained=true"],
        ["network.pretrained=false", "network.start=last.pt"],
    ):
        load(config, [*start, "network.frozen_stride=4"])
    with pytest.raises(ConfigError, match=r"--set network\.frozen_stride=2: network"):
        load(config, ["network.pretrained=false", "network.frozen_stride=2"])


def test_older_files_say_imagenet(config, tmp_path):
    """The newer name overrides it, also from the command line."""
    base = tmp_path / "older.yaml"
    base.write_text("network:\n  imagenet: false\n")
    assert load(base).network.pretrained is False
    assert load(base, ["network.pretrained=true"]).network.pretrained is True
    assert load(base, ["network.pretrained=w.safetensors"]).network.pretrained == Path(
        "w.safetensors"
    )
    with pytest.raises(ConfigError, match=r"network\.pretrained = 'w\.bin': expected true, false"):
        load(config, ["network.pretrained=w.bin"])


def test_every_problem_is_named_at_once(config):
    """So that nobody mends them one by one."""
    with pytest.raises(ConfigError) as error:
        load(config, ["epochs=0", "batch_size=0"])
    assert len(str(error.value).splitlines()) == 2


def test_a_strategys_options_are_reached_from_the_command_line(config):
    """Also where the file gives nothing but its name."""
    assert load(config, ["strategy.every=epoch"]).strategy.every == "epoch"


def test_what_is_written_beside_the_results_reads_back(config, tmp_path):
    """The resolved configuration is a configuration, and the same one."""
    whole = load(config, ["strategy.every=3", "optimiser.clip=2"])
    again = tmp_path / "config.yaml"
    again.write_text(dump(whole))
    assert load(again) == whole


def test_every_shipped_configuration_is_one_of_the_papers_rows_or_ours(shipped):
    """No file more, no file less."""
    names = {f"{data}_{row}" for data in ("nyuv2", "cityscapes") for row in ROWS}
    assert {path.stem for path in shipped.glob("*.yaml")} == names | {*OURS}
    for name in OURS:
        load(shipped / f"{name}.yaml")


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize(
    ("data", "size", "epochs"), [("nyuv2", (480, 640), 60), ("cityscapes", (256, 512), 40)]
)
def test_the_rows_differ_only_in_what_the_paper_varies(shipped, data, size, epochs, row):
    """Variant and strategy; the rest is the paper's setting for the data set."""
    variant, strategy = ROWS[row]
    assert load(shipped / f"{data}_{row}.yaml") == Config.model_validate(
        {
            "data": {"name": data, "size": size},
            "network": {"variant": variant, "backbone": "xception65"},
            "strategy": strategy,
            "optimiser": {"learning_rate": 1e-4, "schedule": "constant"},
            "epochs": epochs,
            "batch_size": 16,
        }
    )


def test_the_papers_settings_are_the_defaults():
    """NYU Depth v2, Algorithm 1, Adam at 1e-4, 60 epochs of batches of 16."""
    values = yaml.safe_load(dump(Config()))
    assert values["strategy"]["name"] == "em"
    assert (values["epochs"], values["batch_size"]) == (60, 16)


@pytest.mark.parametrize("name", ["nyuv2", "cityscapes"])
def test_every_data_set_opens_by_its_name(name):
    """With the classes and the unit of depth that belong to it."""
    data = data_set(Config(data={"name": name}).data)
    assert (len(data.labels.names), data.depth.kind) == {
        "nyuv2": (40, "metres"),
        "cityscapes": (19, "disparity"),
    }[name]


def leaves(values, prefix=""):
    for key, value in values.items():
        if isinstance(value, dict) and key != "strategy":
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def test_the_documentation_has_every_setting_and_no_other(request):
    """The table of docs/training.md, key by key."""
    page = (request.config.rootpath / "docs" / "training.md").read_text()
    table = page[page.index("### Settings") : page.index("### Strategies")]
    keys = {key for row in table.splitlines() for key in re.findall(r"`([\w.]+)`", row[:40])}
    assert {*leaves(yaml.safe_load(dump(Config())))} - keys == {"optimiser.poly_power"}
    assert "`optimiser.poly_power`" in table


def test_the_documentation_has_every_option_of_every_strategy(request):
    """By its name, in the table of strategies."""
    page = (request.config.rootpath / "docs" / "training.md").read_text()
    table = page[page.index("### Strategies") :]
    for name in strategies.NAMES:
        assert f"| `{name}` |" in table
        for option in type(strategies.options(name)).model_fields.keys() - {"name"}:
            assert f"`{option}`" in table


def test_the_truth_has_whole_pixels(config):
    """A stride that leaves a part of a pixel over is refused."""
    assert data_set(load(config, ["data.truth_stride=2"]).data).truth_stride == 2
    with pytest.raises(ConfigError, match=r"truth_stride 7 does not divide size \[288, 384\]"):
        load(config, ["data.truth_stride=7", "data.size=[288, 384]"])


def test_scales_of_the_augmentation_may_be_others(config):
    """The data set's own unless they are given; none at all are refused."""
    assert data_set(load(config).data).scales == (1.0, 1.2, 1.5)
    assert data_set(load(config, ["data.scales=[1, 2]"]).data).scales == (1, 2)
    with pytest.raises(ConfigError, match=r"data\.scales"):
        load(config, ["data.scales=[]"])


def test_what_the_paper_does_not_do_is_off_unless_it_is_asked_for(config):
    """Turns and tints reach the data set that augmentation goes by."""
    data = data_set(load(config).data)
    assert (data.chance, data.rotation, data.tint, data.truth_stride) == (1, 0, 0, 1)
    data = data_set(load(config, ["data.rotation=5", "data.tint=0.1"]).data)
    assert (data.rotation, data.tint) == (5, 0.1)


def test_a_file_has_the_settings_of_its_base_but_for_its_own(config, tmp_path):
    """Parts of a section, and of a base's base; a strategy is taken whole."""
    middle, top = tmp_path / "middle.yaml", tmp_path / "sub" / "top.yaml"
    middle.write_text("base: small.yaml\ndata:\n  workers: 0\nstrategy:\n  name: em\n  every: 3\n")
    top.parent.mkdir()
    top.write_text("base: ../middle.yaml\nepochs: 5\nstrategy: joint\n")
    loaded = load(top)
    assert (loaded.data.size, loaded.data.workers, loaded.epochs) == ((32, 64), 0, 5)
    assert loaded.strategy.name == "joint"
    assert load(middle).strategy.every == 3
    (tmp_path / "whole.yaml").write_text(dump(loaded))
    assert load(tmp_path / "whole.yaml") == loaded


def test_what_is_wrong_in_a_base_is_told_with_its_own_place(config, tmp_path):
    """The base's file and line, unless the value is from the file above."""
    config.write_text("epochs: 2\nbatch_size: -1\n")
    top = tmp_path / "top.yaml"
    top.write_text("base: small.yaml\ndata:\n  size: [0, 64]\n")
    with pytest.raises(ConfigError) as error:
        load(top)
    assert "small.yaml, line 2: batch_size = -1" in str(error.value)
    assert "top.yaml, line 3: data.size.0 = 0" in str(error.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("base: none.yaml\n", r"none\.yaml \(the base of .*top\.yaml\): .*No such file"),
        (
            "base: top.yaml\n",
            r"the base of .*top\.yaml\) is its own base; take one",
        ),
        ("epochs: 3\nbase: [1]\n", r"line 2: base = \[1\]: expected the name of a file"),
    ],
)
def test_a_base_that_is_none_is_refused(tmp_path, text, sentence):
    """With the file that names it."""
    top = tmp_path / "top.yaml"
    top.write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        load(top)
