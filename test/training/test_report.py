"""The report: its pictures are what the network computed, its numbers the evaluation's."""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from support import SMALL, run_here, write_sharp_weights, write_small_weights
from torch.nn import functional

from sosd_ros.labels import UNLABELLED
from sosd_ros.network import input_size, prepare
from sosd_ros.network.objectness import pixel_sqrt
from training.config import Config
from training.data import nyuv2
from training.data.sample import Sample
from training.measuring.colour_maps import UNKNOWN
from training.measuring.result import measure
from training.metrics import ConfusionMatrix, DepthErrors
from training.networks import trained
from training.report import __main__ as report
from training.report import figures
from training.report.answer import Answer, answer
from training.report.figures import ColourScale, Legend, Panel

NYU = nyuv2.data_set()
SIZE, TRAINED = (60, 80), (160, 96)


VOID = {"meta", "img"}
UNIT = [
    *("image", "semantics, truth", "depth, truth"),
    *("3D area, ~ ΔX ΔY", "2D area, ~ 1 / (Δu Δv)", "cue, √(3D area · 2D area)"),
    *("semantic-to-depth branch", "pure depth branch", "depth, answer"),
]


class Page(HTMLParser):
    """Every tag is closed in order; keeps the attributes, and the words in between."""

    def __init__(self, path):
        super().__init__()
        self.open, self.attributes, self.words = [], [], []
        self.source = path.read_text()
        self.feed(self.source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.attributes += attributes
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return "|".join(word.strip() for word in self.words if word.strip())


def run(*arguments):
    run_here(report, *arguments, "--workers", "0")


def titles(cells):
    return [cell.title if isinstance(cell, Panel) else "legend" for cell in cells]


@pytest.fixture(scope="module")
def lively(tmp_path_factory):
    """A network whose latent areas are not zero, trained at another aspect ratio."""
    path = tmp_path_factory.mktemp("lively") / "w.safetensors"
    loaded = trained.load(write_small_weights(path, input_size=TRAINED))
    unit = loaded.network.depth_head
    for name, weight in loaded.network.named_parameters():
        if weight.ndim == 4 and not name.startswith("backbone"):
            torch.nn.init.normal_(weight, std=0.03)
    for area in (unit.area_3d, unit.area_2d):
        for weight in area.parameters():
            weight.data.abs_()
    return loaded


@pytest.fixture(scope="module")
def samples(nyuv2_root):
    return NYU.open(nyuv2_root, "val")


@pytest.fixture(scope="module")
def written(small_weights, nyuv2_root, tmp_path_factory):
    """The folder that the command wrote."""
    out = tmp_path_factory.mktemp("report") / "new"
    run(small_weights, "--data", nyuv2_root, "--out", out)
    return out


@torch.inference_mode()
def test_the_maps_are_what_the_unit_computes(lively, samples):
    """Against a forward pass by hand; and the network is left as it was."""
    maps = answer(lively.predictor(), samples[0].image).unit
    network, unit = lively.network, lively.network.depth_head
    seen = input_size(SIZE, TRAINED)
    inputs = prepare(torch.from_numpy(samples[0].image)[None], seen, SMALL.mean, SMALL.std)
    refined, deepest = network.backbone(inputs).values()
    common = network.common(network.context(deepest), tuple(refined.shape[-2:]))
    area_3d = unit.area_3d(common)
    area_2d = unit.area_2d(network.semantic_feature(common, refined))
    cue = pixel_sqrt(area_3d, area_2d)
    for ours, theirs in ((maps.area_3d, area_3d), (maps.area_2d, area_2d), (maps.cue, cue)):
        assert ours.max() > 0.01
        np.testing.assert_array_equal(ours, theirs[0, 0].numpy())

    weight = unit.depth.weight
    from_cue = functional.conv2d(cue, weight[:, :1], padding=2)
    pure = functional.conv2d(
        network.depth_feature(common, refined), weight[:, 1:], unit.depth.bias, padding=2
    )
    factor = NYU.focal(seen) / NYU.focal(TRAINED)
    assert factor < 0.9
    for ours, part in ((maps.from_cue, from_cue), (maps.pure, pure)):
        full = functional.interpolate(part, SIZE, mode="bilinear")[0, 0].numpy()
        np.testing.assert_allclose(ours, full * factor, rtol=1e-4, atol=1e-5)
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("depth_form", ["linear", "log"])
def test_the_two_branches_add_up_to_the_answer(lively, samples, depth_form, monkeypatch):
    """In metres, whether the unit's last convolution answers these or their logarithm."""
    monkeypatch.setattr(lively.network, "depth_form", depth_form)
    said = answer(lively.predictor(), samples[0].image)
    assert np.ptp(said.unit.from_cue) > 0.01
    np.testing.assert_allclose(
        said.unit.from_cue + said.unit.pure, said.depth, rtol=1e-5, atol=1e-5
    )


def test_the_answers_are_those_that_the_evaluation_measures(lively, samples):
    """Measured frame by frame they give the same numbers, focal correction and all."""
    confusion, errors = ConfusionMatrix(40), DepthErrors("metres")
    for sample in (samples[0], samples[1]):
        said = answer(lively.predictor(), sample.image)
        confusion.add(said.labels, sample.labels)
        errors.add(said.depth, sample.depth)
    result = measure(lively.predictor(), samples, NYU, workers=0, batch_size=1)
    np.testing.assert_array_equal(result.confusion, confusion.total())
    assert errors.pooled() == result.depth


def test_figure_8_has_its_nine_panels(lively, samples):
    """A product in the second row and a sum in the third; one scale for all that is depth."""
    cells = figures.unit(samples[0], answer(lively.predictor(), samples[0].image), NYU)
    assert titles(cells) == UNIT
    panels = dict(zip(UNIT, cells, strict=True))
    assert (
        panels["depth, truth"].scale
        == panels["pure depth branch"].scale
        == panels["depth, answer"].scale
    )
    signed = panels["semantic-to-depth branch"].scale
    assert signed.low == -signed.high and signed.unit == "m"


@pytest.mark.parametrize(
    ("depth", "labels", "expected"),
    [
        (True, False, "image|depth, answer|depth, truth"),
        (False, True, "image|semantics, answer|semantics, truth|legend"),
        (True, True, "image|semantics, answer|semantics, truth|legend|depth, answer|depth, truth"),
    ],
)
def test_figures_9_and_10_show_each_task_beside_its_truth(depth, labels, expected):
    """What the network lacks has no panel."""
    shape = (4, 6)
    sample = Sample(np.zeros((*shape, 3), np.uint8), np.ones(shape), np.zeros(shape, np.uint8))
    said = Answer(
        depth=np.ones(shape, np.float32) if depth else None,
        labels=np.zeros(shape, np.uint8) if labels else None,
    )
    assert "|".join(titles(figures.answers(sample, said, NYU))) == expected
    assert figures.unit(sample, said, NYU) == []


def test_a_network_that_tells_how_unsure_it_is_has_a_panel_of_it(samples, tmp_path):
    """In metres, one standard deviation: here about a seventh of depth."""
    sharp = trained.load(write_sharp_weights(tmp_path / "w.safetensors"))
    said = answer(sharp.predictor(), samples[0].image)
    assert np.median(said.uncertainty / said.depth) == pytest.approx(1 / 7, rel=0.4)
    panel = figures.answers(samples[0], said, NYU)[-1]
    assert panel.title == "uncertainty, one standard deviation"
    assert (panel.scale.low, panel.scale.unit) == (0, "m")


def test_unknown_truth_has_no_panel():
    """As in the hard views, of which nobody knows the labels; nor does the legend speak of it."""
    shape = (4, 6)
    unlabelled = np.full(shape, UNLABELLED, np.uint8)
    sample = Sample(np.zeros((*shape, 3), np.uint8), np.ones(shape), unlabelled)
    said = Answer(depth=np.ones(shape, np.float32), labels=np.zeros(shape, np.uint8))
    cells = figures.answers(sample, said, NYU)
    assert "|".join(titles(cells)) == "image|semantics, answer|legend|depth, answer|depth, truth"
    assert [name for name, _ in cells[2].entries] == ["wall"]


def test_the_hard_views_are_read_as_a_prepared_data_set():
    """With depth at every pixel, the corridor's 23 m as well, and no labels."""
    views = nyuv2.NYUv2(Path(__file__).parents[2] / "resource" / "hard", "val")
    assert list(views.names) == ["mirror", "glass", "corridor", "unknown", "low"]
    for view in map(views.__getitem__, range(len(views))):
        assert view.image.shape == (480, 640, 3)
        assert np.isfinite(view.depth).all() and (view.labels == UNLABELLED).all()
    assert views[2].depth.max() == pytest.approx(23.4, abs=0.1)


def test_the_legend_has_the_classes_that_occur_most_frequent_first():
    """In the answer or in the truth, in the colours of the label set; unlabelled is black."""
    truth = np.array([[1, 1, 1, UNLABELLED]], np.uint8)
    said = Answer(labels=np.array([[1, 2, 2, 3]], np.uint8))
    sample = Sample(np.zeros((1, 4, 3), np.uint8), np.full((1, 4), np.nan), truth)
    _, _, drawn, legend = figures.answers(sample, said, NYU)
    assert isinstance(legend, Legend)
    names = [name for name, _ in legend.entries]
    assert names == ["floor", "cabinet", "bed", "unlabelled"]
    assert legend.entries[0] == ("floor", NYU.labels.palette[1])
    assert tuple(drawn.pixels[0, 0]) == NYU.labels.palette[1]
    assert tuple(drawn.pixels[0, 3]) == (0, 0, 0)


def test_a_scale_paints_from_end_to_end_and_the_unknown_grey():
    """What lies beyond an end has its colour."""
    scale = ColourScale(1, 3, "m", "viridis")
    values = np.array([[1, 3, np.nan, -9, 99, np.inf]], np.float32)
    low, high, unknown, below, beyond, infinite = scale.paint(values)[0]
    assert tuple(low) == tuple(below) == (68, 1, 84)
    assert tuple(high) == tuple(beyond) == (253, 231, 36)
    assert tuple(unknown) == tuple(infinite) == UNKNOWN


@pytest.mark.parametrize("truth", [2.0, np.nan])
def test_a_map_that_is_the_same_everywhere_has_a_scale(truth):
    """Even one without any truth, and one that is not finite."""
    shape = (4, 6)
    sample = Sample(np.zeros((*shape, 3), np.uint8), np.full(shape, truth), np.zeros(shape))
    said = Answer(depth=np.full(shape, truth, np.float32))
    scale = figures.answers(sample, said, NYU)[1].scale
    assert scale.high > scale.low


def test_the_folder_holds_the_page_and_two_pictures_a_frame(written):
    """And nothing else; the pictures decode, three panels wide and as many rows as they need."""
    names = {path.name for path in written.iterdir()}
    pictures = {f"{n}_{figure}.png" for n in ("0005", "0006") for figure in ("answers", "unit")}
    assert names == pictures | {"index.html"}
    heights = {}
    for name in pictures:
        pixels = cv2.imread(str(written / name))
        assert 1900 < pixels.shape[1] < 2200
        heights[name] = pixels.shape[0]
    assert heights["0005_unit.png"] > 1.3 * heights["0005_answers.png"]


def test_the_page_needs_nothing_but_itself(written):
    """It is well formed; every picture is in it; it runs nothing and fetches nothing."""
    page = Page(written / "index.html")
    sources = [value for name, value in page.attributes if name == "src"]
    assert len(sources) == 2 * (5 + 9)
    assert all(re.match(r"data:image/(png|jpeg);base64,", source) for source in sources)
    assert not {"href", "srcset", "onclick"} & {name for name, _ in page.attributes}
    rest = re.sub(r'src="data:[^"]*"', "", page.source)
    assert not re.search(r"https?:|//|url\(|@import|<script|<link|<iframe|file:", rest)
    assert "prefers-color-scheme: dark" in rest and "width=device-width" in rest


def test_the_page_says_what_was_measured_and_the_evaluations_numbers(
    written, small_weights, samples
):
    """File and hash, network, data, protocol; each metric beside the paper's; each class."""
    loaded = trained.load(small_weights)
    result = measure(loaded.predictor(), samples, NYU, workers=0)
    text = Page(written / "index.html").text
    assert f"{small_weights.name}, {loaded.origin}" in text
    assert "esosd on mobilenetv4_conv_small, input near 64x96" in text
    assert "val, 2 images at 60x80, 40 classes, in-painted depth" in text
    assert "full frame, single scale" in text
    assert f"mean IoU|{result.semantic['mIoU']:.3f}|0.450" in text
    rms, mean = result.depth["rms"], result.depth_per_image["rms"]
    assert f"root mean square error, m|{rms:.3f}|{mean:.3f}|0.514" in text
    for name in NYU.labels.names:
        assert name in text
    for name, iou in zip(NYU.labels.names, result.iou, strict=True):
        assert np.isnan(iou) or f"|{name}|{iou:.3f}" in text


def test_what_a_page_names_is_text(small_weights, nyuv2_root, tmp_path):
    """Whatever the file is called."""
    path = shutil.copy(small_weights, tmp_path / '<b>a&amp;b".safetensors')
    run(path, "--data", nyuv2_root, "--out", tmp_path / "out", "--frames", "1")
    page = Page(tmp_path / "out" / "index.html")
    assert f"{path.name}, sha256" in page.text and "<b>" not in page.source


def test_the_confusion_matrix_is_normalised_by_truth(written, small_weights, samples):
    """The share of every true class that was answered as each class, in words too."""
    result = measure(trained.load(small_weights).predictor(), samples, NYU, workers=0)
    tips = {value for name, value in Page(written / "index.html").attributes if name == "title"}
    shares = result.confusion / np.maximum(result.confusion.sum(1, keepdims=True), 1)
    expected = {
        f"{NYU.labels.names[i]} answered as {NYU.labels.names[j]}: {shares[i, j]:.1%}"
        for i, j in np.argwhere(shares >= 0.005)
    }
    assert tips == expected and expected


def test_the_same_again_gives_the_same_bytes(written, small_weights, nyuv2_root, tmp_path):
    """All files, also in the place of older ones."""
    for name in ("index.html", "0005_unit.png"):
        (tmp_path / name).write_text("old")
    run(small_weights, "--data", nyuv2_root, "--out", tmp_path)
    files = sorted(written.iterdir())
    assert [path.name for path in files] == sorted(path.name for path in tmp_path.iterdir())
    for path in files:
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name


@pytest.mark.parametrize("variant", ["semantic", "depth", "mtl"])
def test_a_network_without_the_unit_has_no_figure_8(variant, nyuv2_root, tmp_path):
    """The page says so, and has no table for a task that the network lacks."""
    path = write_small_weights(tmp_path / "w.safetensors", variant=variant)
    run(path, "--data", nyuv2_root, "--out", tmp_path / "out", "--frames", "1")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"index.html", "0005_answers.png"}
    text = Page(tmp_path / "out" / "index.html").text
    assert "a network of this variant has none" in text
    assert ("mIoU" in text) == ("Confusion matrix" in text) == (variant != "depth")
    assert ("relative error" in text) == (variant != "semantic")


def test_cityscapes_is_shown_in_pixels_of_disparity(cityscapes_root, tmp_path):
    """Near is bright there too, which is the other end; a frame's name may hold its folder."""
    data = {"name": "cityscapes", "size": (64, 128)}
    manifest = trained.training_manifest(Config(data=data, network={"backbone": SMALL.backbone}))
    path = write_small_weights(tmp_path / "w.safetensors", **vars(manifest))
    frame = "frankfurt/frankfurt_000000_000001"
    out = tmp_path / "out"
    run(path, "--data", cityscapes_root, "--out", out, "--frames", frame)
    assert {path.name for path in out.iterdir()} == {
        "index.html",
        "frankfurt_frankfurt_000000_000001_answers.png",
        "frankfurt_frankfurt_000000_000001_unit.png",
    }
    text = Page(out / "index.html").text
    assert "absolute disparity error, px" in text and "|2.41" in text
    assert "disparity, answer" in text and "\u00a0px" in text and "depth, answer" not in text
    assert "traffic light" in text


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        ("1", [0]),
        ("3", [0, 4, 9]),
        ("99", [*range(10)]),
        ("0003", [3]),
        ("0009,0001", [9, 1]),
    ],
)
def test_frames_are_chosen_by_number_or_by_name(wanted, places):
    """A number is spread evenly from the first to the last."""
    assert report.choose([f"{i:04d}" for i in range(10)], wanted) == places


@pytest.mark.parametrize("wanted", ["0", "-1", "1.5", "", "0003,kitchen"])
def test_frames_that_are_not_there_are_named(wanted):
    """With what would be one."""
    with pytest.raises(ValueError, match=r"--frames is .* such as 0000, nor a positive number"):
        report.choose([f"{i:04d}" for i in range(10)], wanted)
