"""What is wrong with a request is said first: before data is looked for, or anything is loaded.

No test here has data or weights within reach, but those that have to be whole to be refused.
"""

import pytest
import tiny_training
from support import run_here, write_small_weights

from sosd_ros.labels import NYU13
from training import evaluate, export, prepare, quantise, train
from training.config import Config
from training.networks import checkpoint
from training.report import __main__ as report_command

COMMANDS = {
    "train": train,
    "evaluate": evaluate,
    "export": export,
    "quantise": quantise,
    "report": report_command,
    "prepare": prepare,
}


@pytest.fixture
def config(tmp_path):
    return tiny_training.write_config(tmp_path, batch_size=16)


@pytest.fixture
def refusal(tmp_path, monkeypatch):
    """The sentence in which a command refuses its arguments, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOSD_NYUV2", str(tmp_path / "nowhere"))
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()

    def refusal(command, *arguments):
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(ValueError) as error:
            run_here(COMMANDS[command], *arguments, *CPU.get(command, ()))
        assert sorted(tmp_path.rglob("*")) == before, "nothing is left behind"
        return str(error.value)

    return refusal


CPU = dict.fromkeys(("train", "evaluate", "export", "report"), ("--device", "cpu"))
OFFICIAL = ("nyuv2", "--mat", "no.mat", "--splits", "no.mat")


@pytest.mark.parametrize(
    ("command", "option", "arguments"),
    [
        ("train", "--out", ("small.yaml",)),
        ("report", "--out", ("no.pt",)),
        ("prepare", "--out", OFFICIAL),
        ("prepare", "--out", ("cityscapes", "--root", "nowhere")),
    ],
)
def test_a_folder_that_cannot_be_written_is_refused_first(
    command, option, arguments, refusal, config
):
    """A file in its place or above it, or a folder of the system's."""
    said = refusal(command, *arguments, option, "file")
    assert said == f"{option} is file, which is a file; name a folder"
    said = refusal(command, *arguments, option, "file/below")
    assert f"{option} is file/below, but nothing can be written to " in said
    assert said.endswith("/file: Not a directory; choose another place")
    said = refusal(command, *arguments, option, "/proc/runs/1")
    assert f"{option} is /proc/runs/1, but nothing can be written to /proc: " in said


@pytest.mark.parametrize(
    ("command", "option", "arguments"),
    [
        ("evaluate", "--json", ("no.pt",)),
        ("export", "--out", ("no.pt",)),
        ("quantise", "--out", ("no.pt",)),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_first(
    command, option, arguments, refusal, config
):
    """Its folder is not there or the system's, or it is a folder itself."""
    said = refusal(command, *arguments, option, "nowhere/x")
    assert said == f"{option} is nowhere/x, but the folder does not exist; make it first"
    said = refusal(command, *arguments, option, "folder")
    assert said == f"{option} is folder, which is a folder; name a file"
    said = refusal(command, *arguments, option, "/proc/x")
    assert f"{option} is /proc/x, but nothing can be written to /proc: " in said


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["--set", "network.start=no.pt"], "checkpoint no.pt does not exist"),
        (["--set", "best=px"], "best is 'px', but sosd on NYU Depth v2 has the metrics mIoU"),
        (["--set", "accumulate=3"], "batch_size is 16, which 1 processes with accumulate 3 cannot"),
        (["--set", "sync_batch_norm=true"], "sync_batch_norm works between GPUs only"),
        (["--set", "network.backbone=x"], "backbone 'x' is not a model that timm"),
    ],
)
def test_a_training_hears_first_what_it_asks_for_in_vain(settings, sentence, refusal, config):
    """The data, which is not there either, comes after."""
    assert sentence in refusal("train", config, "--out", "x", *settings)
    assert "train.txt cannot be read; point --data" in refusal("train", config, "--out", "x")


def test_a_checkpoint_from_before_there_was_a_chance_was_of_one_half(tmp_path):
    """It goes on as it was, and its file says so."""
    settings = Config().model_dump(mode="json")
    del settings["data"]["chance"]
    checkpoint.save({"config": settings, "network": {}}, tmp_path / "last.pt")
    assert checkpoint.load(tmp_path / "last.pt")["config"]["data"]["chance"] == 0.5


def test_going_on_with_other_settings_is_refused_before_data_is_read(refusal, config, tmp_path):
    """The checkpoint says what they were."""
    settings = tiny_training.config(batch_size=7).model_dump(mode="json")
    content = {"config": settings, "network": {}, "progress": {}}
    checkpoint.save(content, tmp_path / "last.pt")
    said = refusal("train", config, "--out", ".", "--resume")
    assert (
        "these settings differ from those of the run to resume: batch_size was 7 and is 16" in said
    )


@pytest.mark.parametrize(
    ("command", "arguments", "sentence"),
    [
        ("export", ["--out", "x.pt"], "--out is x.pt, expected a name that ends in .safetensors"),
        ("export", ["--out", "x.onnx"], "by `python -m sosd_ros.build --weights FILE.safetensors"),
        ("quantise", ["--out", "x.onnx"], "--out is x.onnx, expected a name that ends in .xml"),
        ("quantise", ["--size", "33x64", "--out", "x.xml"], "--size is 33x64, expected multiples"),
    ],
)
def test_an_export_hears_first_what_it_asks_for_in_vain(command, arguments, sentence, refusal):
    """The checkpoint, which is not there either, comes after."""
    assert sentence in refusal(command, "no.pt", *arguments)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--flat-cues"], "a network of variant 'mtl' has no units, and so no cues"),
        (["--depth-cue"], "a network of variant 'mtl' has no units, and so no cues"),
        (["--cap", "-1"], "cap is -1, expected a positive number of metres"),
    ],
)
def test_an_evaluation_hears_first_what_it_asks_for_in_vain(arguments, sentence, refusal, tmp_path):
    """The data, which is not there either, comes after."""
    path = write_small_weights(tmp_path / "w.safetensors", variant="mtl")
    assert sentence in refusal("evaluate", path, *arguments)


def test_a_truth_of_other_classes_is_refused_before_data_is_read(refusal, tmp_path):
    """Groups cannot be told apart again."""
    path = write_small_weights(tmp_path / "w.safetensors", labels=NYU13)
    said = refusal("evaluate", path, "--classes", "40")
    assert "the network answers 13 classes, but the truth of NYU Depth v2 has 40 here" in said


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [
        ("evaluate", "--batch-size", "0"),
        ("evaluate", "--workers", "-1"),
        ("report", "--batch-size", "-2"),
        ("report", "--workers", "x"),
    ],
)
def test_numbers_of_nothing_are_refused_with_the_option(command, option, value, capsys):
    """As every option is, and not by torch, later."""
    with pytest.raises(SystemExit):
        run_here(COMMANDS[command], "x", option, value)
    assert f"argument {option}: is {value!r}, expected a whole number" in capsys.readouterr().err
