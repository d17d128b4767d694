"""The command that measures a file, and the paper's rows beside it."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from support import SMALL, run_here, write_small_weights

from sosd_ros.labels import LabelSet
from sosd_ros.network import SOSDNet
from sosd_ros.share import DEFAULT_WEIGHTS, share
from training import evaluate
from training.config import Config
from training.data import cityscapes, nyuv2
from training.data.sample import Part
from training.data.zoomed import Zoomed
from training.measuring import in_manifest, paper, tables
from training.measuring.cues import DepthCue, flatten_cues
from training.measuring.result import measure
from training.networks import trained

PAPER_ROWS = [
    ("nyuv2", "semantic", "joint", "semantic"),
    ("nyuv2", "esosd", "em", "esosd"),
    ("nyuv2", "sosd", {"name": "em", "every": 2}, "esosd"),
    ("nyuv2", "esosd", "joint", "sosd"),
    ("nyuv2", "mtl", {"name": "mgda"}, "mtl"),
    ("cityscapes", "mtl", {"name": "mgda"}, "mgda"),
    ("cityscapes", "sosd", {"name": "uncertainty"}, "uncertainty"),
    ("cityscapes", "depth", {"name": "joint"}, "depth"),
    ("cityscapes", "esosd", None, "esosd"),
]


@pytest.fixture
def run(capsys):
    """The command in this process; what it printed."""

    def run(*arguments):
        run_here(evaluate, *arguments, "--workers", "0")
        return capsys.readouterr().out

    return run


def row(printed, title):
    """The numbers of a line of the table."""
    [line] = [line for line in printed.splitlines() if line.startswith(f"{title}  ")]
    return line.removeprefix(title).split()


def test_what_is_printed_says_what_was_measured_and_how(run, small_weights, nyuv2_root):
    """File, data and protocol above the numbers, the paper's row under them."""
    printed = run(small_weights, "--data", nyuv2_root, "--flip", "--scales", "1,0.5", "--cap", "4")
    file = trained.load(small_weights)
    samples = nyuv2.NYUv2(nyuv2_root, "val")
    result = measure(file.predictor(), samples, nyuv2.data_set(), workers=0)
    assert f"file      {small_weights}, {file.origin}" in printed
    assert "network   esosd on mobilenetv4_conv_small, input near 64x96" in printed
    assert "val, 2 images at 60x80, 40 classes, in-painted depth" in printed
    assert "full frame, depth up to 4 m, scales 1+0.5 with mirror images" in printed
    assert row(printed, "mIoU")[-1] == "0.450" and row(printed, "rel")[-1] == "0.145"
    assert row(printed, "rms")[0] != f"{result.depth['rms']:.3f}"
    plain = run(small_weights, "--data", nyuv2_root)
    assert row(plain, "rms")[0] == f"{result.depth['rms']:.3f}"
    assert row(plain, "rms")[-2] == f"{result.depth_per_image['rms']:.3f}"
    assert "full frame, single scale" in plain


def test_flat_cues_are_said_with_the_network(run, small_weights, nyuv2_root):
    """What is measured is another network than the file's."""
    plain = run(small_weights, "--data", nyuv2_root)
    flat = run(small_weights, "--data", nyuv2_root, "--flat-cues")
    assert "input near 64x96, flat cues" in flat and "flat" not in plain


def test_flat_cues_change_what_the_cues_say_and_nothing_else():
    """With a cue that is the same everywhere already, the answers stay; else they do not."""
    torch.manual_seed(0)
    network = SOSDNet("sosd", SMALL.backbone).eval()
    images = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        before = network(images)
        flatten_cues(network)
        after = network(images)
        assert not torch.equal(before.depth, after.depth)
        assert not torch.equal(before.logits, after.logits)
        for unit in (network.depth_head.area_3d, network.semantic_head.cue):
            unit.register_forward_hook(lambda _, __, maps: torch.ones_like(maps))
        network.depth_head.area_2d.register_forward_hook(lambda _, __, maps: torch.ones_like(maps))
        flat = network(images)
        for hooks in (network.depth_head.depth, network.semantic_head.semantic):
            hooks._forward_pre_hooks.clear()
        torch.testing.assert_close(network(images)[:2], flat[:2])


@pytest.mark.parametrize(
    ("news", "cut_off", "known"),
    [(0.0, 0.0, 1.0), (1.0, 0.0, 0.5), (None, 1.0, 1.0)],
    ids=["none", "half", "cut off"],
)
def test_of_a_cue_it_is_known_what_the_depth_feature_says_too(news, cut_off, known):
    """A cue of one of its channels and of as much noise again is half known."""
    seed = 0
    print("seed", seed)
    maps = 10 + torch.randn(66, 8192, generator=torch.Generator().manual_seed(seed))
    said = torch.full_like(maps[1], 1e-3) if news is None else maps[1] + news * maps[65]
    cue = watched(torch.cat([said[None], maps[1:65]]).split(4096, dim=1))
    assert cue.cut_off == cut_off
    assert cue.known == pytest.approx(known, abs=0.02)


def watched(maps):
    """A cue's watcher that has seen pieces of (65 channels, positions): the cue comes first."""
    network = SOSDNet("sosd", SMALL.backbone).eval()
    cue = DepthCue(network)
    for piece in maps:
        network.depth_head.depth(piece.reshape(1, 65, 1, -1))
    return cue


def test_of_a_cue_that_is_no_number_nothing_is_known():
    """A network that has diverged is not one whose cue is known by heart."""
    maps = torch.randn(65, 100, generator=torch.Generator().manual_seed(0))
    maps[0, 3] = math.nan
    assert math.isnan(watched([maps]).known)


@pytest.mark.parametrize("value", [0.1, 1e-3, 3.3e4, -7.7e6])
def test_a_constant_does_not_vary_however_large(random, value):
    """Not by the rounding of its sums, whatever it lies beside; nor does a channel that is one."""
    maps = torch.from_numpy(random.standard_normal((65, 4097)).astype(np.float32))
    maps[0] = value
    assert watched([maps]).known == 1.0
    assert watched(maps.split(1000, dim=1)).known == 1.0
    maps[[0, 1]] = maps[[1, 0]]
    assert 0 <= watched(maps.split(1000, dim=1)).known < 0.1
    maps[1:] = value
    assert watched([maps]).known == 0.0


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e5])
def test_an_offset_changes_nothing_of_what_is_known(random, offset):
    """Half of the cue is news, as in whole and so in pieces of any length."""
    maps = torch.from_numpy(random.standard_normal((65, 8000)).astype(np.float32))
    maps[0] += maps[1]
    maps += offset
    whole = watched([maps]).known
    assert whole == pytest.approx(0.5, abs=0.03)
    assert watched(maps.split([1, 999, 7000], dim=1)).known == pytest.approx(whole, rel=1e-9)


def test_the_depth_cue_is_accounted_for(run, small_weights, nyuv2_root, tmp_path):
    """In words, and for JSON."""
    path = tmp_path / "report.json"
    out = run(small_weights, "--data", nyuv2_root, "--depth-cue", "--json", path)
    numbers = json.loads(path.read_text())["depth_cue"]
    assert f"cut off at {numbers['cut_off']:.0%} of positions" in out
    assert f"gives {numbers['known']:.0%} of its variance" in out
    assert 0 <= numbers["cut_off"] <= 1 and 0 <= numbers["known"] <= 1


def test_json_holds_every_number(run, small_weights, nyuv2_root, tmp_path):
    """Strict JSON: what does not occur is null; each class by its name."""
    path = tmp_path / "report.json"
    run(small_weights, "--data", nyuv2_root, "--json", path, "--cap", "3", "--split", "train")

    def refuse(name):
        raise AssertionError(name)

    content = json.loads(path.read_text(), parse_constant=refuse)
    assert content["origin"] == trained.load(small_weights).origin
    assert content["protocol"] == {
        **{"crop": "none", "cap": 3.0, "flip": False, "scales": [1.0]},
        **{"focal_length": 1.0, "corrects": True, "fit": 0},
    }
    assert (content["split"], content["images"]) == ("train", 4)
    assert set(content["semantic"]) == {"mIoU", "mAcc", "pAcc"}
    assert set(content["depth"]) == set(content["depth_per_image"])
    assert list(content["iou"]) == list(SMALL.labels.names)
    assert sum(map(sum, content["confusion"])) > 0
    assert content["paper"] == {"method": "esosd", **paper.PAPER["nyuv2"]["esosd"]}
    assert [file.name for file in tmp_path.iterdir()] == ["report.json"]


def test_ways_to_answer_for_another_camera_are_compared(run, small_weights, nyuv2_root, tmp_path):
    """Through twice the focal length, what is not corrected is half as far."""
    path, data = tmp_path / "corrected.json", ("--data", nyuv2_root, "--focal-length", "2")
    printed = run(small_weights, *data, "--json", path, "--every", "2")
    assert "1 images at 30x40" in printed and "2 times the focal length\n" in printed
    against = ("--every", "2", "--against", path)
    printed = run(small_weights, *data, "--uncorrected", *against)
    assert "2 times the focal length, depth not corrected\n" in printed
    file = trained.load(small_weights)
    samples = Zoomed(nyuv2.NYUv2(nyuv2_root, "val"), 2)
    errors = measure(file.predictor(), Part(samples, range(1)), nyuv2.data_set(), workers=0)
    assert row(printed.split("Against")[0], "rel")[0] == f"{errors.depth['rel']:.3f}"
    printed = run(small_weights, *data, "--fit", "4", *against)
    assert "2 times the focal length, fitted by up to 4 inputs\n" in printed
    with pytest.raises(ValueError, match="fit is 4, but without a correction"):
        run(small_weights, *data, "--fit", "4", "--uncorrected")
    with pytest.raises(ValueError, match="focal_length is 0, expected a positive number"):
        run(small_weights, "--data", nyuv2_root, "--focal-length", "0")


def test_40_classes_are_measured_as_13(run, small_weights, nyuv2_root):
    """The truth is grouped as well as the answer, and the output says so."""
    printed = run(small_weights, "--data", nyuv2_root, "--classes", "13", "--by-class")
    assert "13 classes grouped from 40" in printed
    assert "furniture" in printed and "night stand" not in printed


def test_errors_are_told_by_distance(run, small_weights, nyuv2_root, tmp_path):
    """The ramp of 1 to 5 m has a fifth of its pixels in each metre; JSON has the same rows."""
    path = tmp_path / "report.json"
    printed = run(small_weights, "--data", nyuv2_root, "--by-distance", "--json", path)
    table = printed.split("Depth by true distance\n")[1].splitlines()
    assert table[0].split()[:6] == ["metres", "share", "rel", "rms", "d1", "bias"]
    assert [line[:8].strip() for line in table[1:5]] == ["1 to 2", "2 to 3", "3 to 4", "4 to 5"]
    content = json.loads(path.read_text())
    answered = printed.split("Depth by answered distance\n")[1].splitlines()[1:]
    assert sum(row["share"] for row in content["by_answer"]) == pytest.approx(1)
    for told, kept in zip(answered, content["by_answer"], strict=True):
        assert f"{kept['bias']:+.3f}" in told
    rows = content["by_distance"]
    assert [(row["from"], row["to"]) for row in rows[:4]] == [(1, 2), (2, 3), (3, 4), (4, 5)]
    assert all(row["share"] == pytest.approx(0.25, abs=0.02) for row in rows[:4])


def test_confidence_is_told_beside_how_often_it_is_right(run, small_weights, nyuv2_root, tmp_path):
    """In bins, whose shares are of all pixels; what is printed fits a terminal."""
    path = tmp_path / "report.json"
    options = ("--reliability", "--by-distance", "--against", small_weights, "--json", path)
    printed = run(small_weights, "--data", nyuv2_root, *options)
    table = printed.split("Reliability\n")[1].split("\n\n")[0].splitlines()
    assert table[0].split() == ["confidence", "share", "said", "right"]
    assert sum(float(line.split()[3]) for line in table[1:]) == pytest.approx(1, abs=0.01)
    content = json.loads(path.read_text())
    assert row(printed.split("Against")[0], "ECE, calibration error")[0] == (
        f"{content['calibration']['ECE']:.3f}"
    )
    body = printed.split("protocol")[1].replace(str(small_weights), "FILE")
    assert max(map(len, body.splitlines())) <= 100


def test_cityscapes_is_measured_in_pixels_beside_table_1(run, cityscapes_root, tmp_path):
    """The data set comes from the file; the disparity error has the paper's two decimals."""
    data = {"name": "cityscapes", "size": (64, 128)}
    network = {"backbone": SMALL.backbone, "variant": "mtl"}
    manifest = trained.training_manifest(Config(data=data, network=network, strategy="gradnorm"))
    path = write_small_weights(tmp_path / "w.safetensors", **vars(manifest))
    printed = run(path, "--data", cityscapes_root, "--against", path)
    assert "Cityscapes val, 2 images at 64x128, 19 classes, disparity in pixels" in printed
    assert "paper's gradnorm" in printed and "edges" not in printed
    assert row(printed.split("Against")[0], "px")[-1] == "2.57"
    with pytest.raises(ValueError, match="--classes and --raw-depth are for nyuv2, but"):
        run(path, "--data", cityscapes_root, "--raw-depth")
    with pytest.raises(ValueError, match="crop, cap and focal_length are for depth in metres"):
        run(path, "--data", cityscapes_root, "--crop", "eigen")


@pytest.mark.parametrize(
    ("variant", "said"),
    [
        ("depth", "'metres' where the truth of Cityscapes has 'disparity'"),
        ("semantic", "'lane' where the truth of Cityscapes has 'road'"),
    ],
)
def test_another_data_set_must_mean_the_same(run, cityscapes_root, tmp_path, variant, said):
    """Not only have as many classes."""
    known = cityscapes.CITYSCAPES19
    changes = {
        "labels": LabelSet(("lane", *known.names[1:]), known.palette),
        "training": {"data": {"name": "nyuv2"}},
    }
    path = write_small_weights(tmp_path / "w.safetensors", variant=variant, **changes)
    with pytest.raises(ValueError, match=f"the network answers {said}"):
        run(path, "--on", "cityscapes", "--data", cityscapes_root)


def test_raw_depth_is_read_from_where_it_lies(run, small_weights, nyuv2_root):
    """A folder without it is refused by its name."""
    with pytest.raises(ValueError, match=r"depth_raw does not exist"):
        run(small_weights, "--data", nyuv2_root, "--raw-depth")


@pytest.mark.parametrize("text", ["a", "1,,2", ""])
def test_scales_that_are_no_numbers_are_refused(run, capsys, text):
    """As every option is, with how to write them."""
    with pytest.raises(SystemExit):
        run("w.safetensors", "--scales", text)
    assert f"argument --scales: {text!r} is not like 0.75,1,1.25" in capsys.readouterr().err


@pytest.mark.parametrize(("data", "variant", "strategy", "expected"), PAPER_ROWS)
def test_the_papers_row_is_that_of_the_method(data, variant, strategy, expected):
    """The variant's; Table 4's for its strategies on Cityscapes; ESOSD-Net is SOSD-Net by EM."""
    training = {} if strategy is None else {"strategy": strategy}
    manifest = dataclasses.replace(SMALL, variant=variant, training=training)
    assert paper.method(data, manifest) == expected


def test_the_tables_are_the_papers():
    """Rows as printed there, in the order of its columns."""
    assert list(paper.PAPER["nyuv2"]["esosd"].values()) == [
        *(0.450, 0.647, 0.733),
        *(0.145, 0.514, 0.062, 0.805, 0.962, 0.992),
    ]
    assert list(paper.PAPER["nyuv2"]["semantic"]) == ["mIoU", "mAcc", "pAcc"]
    assert paper.PAPER["cityscapes"]["depth"] == {"px": 2.47}
    assert paper.PAPER["cityscapes"]["uncertainty"] == {"mIoU": 0.642, "px": 2.65}


def test_classes_are_listed_best_first():
    """With a bar each; one that does not occur is left out."""
    assert tables.by_class([0.25, math.nan, 0.5], ("floor", "cat", "door")) == (
        "  door   0.500  ####################\n  floor  0.250  ##########"
    )


def test_the_shipped_file_says_of_itself_what_is_measured(real_nyuv2):
    """Its first images, measured again; the whole set is the command's, not a test's."""
    file = trained.load(share("weights", DEFAULT_WEIGHTS))
    samples = nyuv2.NYUv2(real_nyuv2, "val")
    if len(samples) != file.manifest.metrics["images"]:
        pytest.skip(f"{real_nyuv2} has another val.txt than the one that the file was measured on")
    said = dict(file.manifest.metrics["first"])
    first = Part(samples, range(said.pop("images")))
    result = measure(file.predictor(), first, nyuv2.data_set(), workers=0)
    assert in_manifest.numbers(result) == pytest.approx(said, abs=5e-4)
