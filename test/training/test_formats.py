"""A weights file in other runtimes' forms: real files, which answer as the network does."""

import importlib.util
import json
import math
from functools import cache

import numpy as np
import pytest
import torch

from sosd_ros import weights
from sosd_ros.engine.exchange import Exported
from sosd_ros.network import upsample
from sosd_ros.weights import Weights
from training import export, formats, quantise

SIZE = (64, 96)


@pytest.fixture(scope="module")
def exported(file, tmp_path_factory):
    """Makes a file of a kind, once; its path and what the comparison with the network said."""

    @cache
    def make(kind):
        needs(kind)
        out = tmp_path_factory.mktemp(kind) / f"network{formats.SUFFIXES[kind]}"
        return out, formats.export(file, kind, SIZE, out)

    return make


def needs(kind):
    for name in formats._NEEDS[kind]:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")


def expected(file: Weights, images):
    with torch.inference_mode():
        return [answer.numpy() for answer in Exported(file).eval()(torch.from_numpy(images))]


@pytest.mark.parametrize("kind", ["onnx", "openvino", "torch-export"])
def test_a_file_answers_as_the_network_does(kind, file, exported):
    """For batches of lengths that it was not tried with, read back from the file alone."""
    out, agreement = exported(kind)
    assert agreement.suffices
    run = formats._RUNNERS[kind](out)
    for batch in (1, 3):
        images = np.random.default_rng(batch).normal(size=(batch, 3, *SIZE)).astype(np.float32)
        for ours, theirs in zip(run(images), expected(file, images), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)
    beside = {".xml": {"network.xml", "network.bin"}}.get(out.suffix, {out.name})
    assert {path.name for path in out.parent.iterdir()} == beside


@pytest.mark.parametrize("kind_of_weights", ["file", "sharp"])
def test_onnx_of_any_size(kind_of_weights, request, tmp_path):
    """Other multiples of 32 than the one it was made with."""
    needs("onnx")
    file = request.getfixturevalue(kind_of_weights)
    out = tmp_path / "network.onnx"
    formats.export(file, "onnx", SIZE, out, dynamic_size=True)
    images = np.random.default_rng(0).normal(size=(2, 3, 128, 32)).astype(np.float32)
    for ours, theirs in zip(formats._run_onnx(out)(images), expected(file, images), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


def test_a_model_of_openvino_stands_in_for_the_network(sharp):
    """In the evaluation: all that the network answers, at the size that it is asked for."""
    needs("openvino")
    network = weights.build_network(sharp)
    model = formats.openvino_model(sharp, SIZE, dynamic_size=True)  # which is made sooner
    stand_in = quantise.OpenVinoNetwork(model, sharp.manifest)
    images = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, *SIZE))).float()
    with torch.inference_mode():
        ours, theirs = (
            stand_in(images, size=(71, 107)),
            network(images, size=network.answer_size(images)),
        )
    assert stand_in.tasks == network.tasks
    for name in ("depth", "spread", "logits"):
        one, other = getattr(ours, name), getattr(theirs, name)
        other = upsample(other if other.ndim == 4 else other[:, None], (71, 107))
        torch.testing.assert_close(one, other.view_as(one), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", ["onnx", "openvino", "torch-export"])
def test_the_manifest_travels(kind, file, exported):
    """With the SHA-256 of the weights file, where each form has room for such things."""
    out, _ = exported(kind)
    if kind == "onnx":
        import onnx

        (text,) = (p.value for p in onnx.load(out).metadata_props if p.key == "sosd_ros")
    elif kind == "openvino":
        import openvino

        text = openvino.Core().read_model(out).get_rt_info(["sosd_ros", "manifest"]).astype(str)
    else:
        extra = {"sosd_ros.json": ""}
        torch.export.load(out, extra_files=extra)
        text = extra["sosd_ros.json"]
    content = json.loads(text)
    assert content["sha256"] == file.sha256
    assert weights.Manifest.from_json(json.dumps(content["manifest"])) == file.manifest


def test_a_file_that_answers_otherwise_never_appears(file, tmp_path, monkeypatch):
    """Nothing of it is left, and what was there before stays."""
    out = tmp_path / "network.onnx"
    out.write_text("before")
    monkeypatch.setitem(formats._WRITERS, "onnx", lambda *arguments: arguments[-1].touch())
    monkeypatch.setitem(
        formats._RUNNERS, "onnx", lambda path: lambda images: [-a for a in expected(file, images)]
    )
    monkeypatch.setattr(formats, "check_request", lambda *_: None)
    with pytest.raises(ValueError, match=r"network\.onnx was not written, as .* 1 images of 64x96"):
        formats.export(file, "onnx", SIZE, out)
    assert out.read_text() == "before" and list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    ("kind", "size", "name", "sentence"),
    [
        ("onnx", SIZE, "network.pt", r"--out is .*network.pt, expected a name that ends in .onnx"),
        ("torch-export", (60, 96), "network.pt2", "--size is 60x96, expected multiples of 32"),
        ("torch-export", (0, 96), "network.pt2", "--size is 0x96"),
        ("tensorrt", SIZE, "network.plan", "is not installed; pip install onnxscript tensorrt"),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence(kind, size, name, sentence, file, tmp_path):
    """Before anything is loaded or written."""
    if kind == "tensorrt" and importlib.util.find_spec("tensorrt") is not None:
        pytest.skip("tensorrt is installed")
    with pytest.raises(ValueError, match=sentence):
        formats.export(file, kind, size, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_losses_are_relative_and_positive_where_it_is_worse():
    """mIoU should be high, and rel low."""
    lost = quantise.losses({"mIoU": 0.5, "rel": 0.2}, {"mIoU": 0.4, "rel": 0.19})
    assert lost["mIoU"] == pytest.approx((0.5, 0.4, 0.2))
    assert lost["rel"] == pytest.approx((0.2, 0.19, -0.05))
    assert quantise.losses({"rel": 0.2}, {"rel": 0.2}) == {"rel": (0.2, 0.2, 0.0)}
    assert quantise.losses({"px": 2.0}, {"px": 3.0}) == {"px": (2.0, 3.0, 0.5)}
    assert quantise.losses({"mIoU": 0.0}, {"mIoU": 0.0}) == {"mIoU": (0.0, 0.0, 0.0)}
    assert quantise.losses({"rel": 0.0}, {"rel": 0.1})["rel"].worse == math.inf


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--int8"], "--int8 is for --format openvino and a fixed size"),
        (["--int8", "--format", "openvino", "--dynamic-size"], "--int8 is for --format openvino"),
        (["--format", "openvino", "--limit", "3"], "--limit is for --int8"),
        (["--size", "64x96"], "--size and --dynamic-size are for another --format"),
        (["--dynamic-size"], "--size and --dynamic-size are for another --format"),
    ],
)
def test_options_that_would_mean_nothing_are_refused(arguments, sentence, small_weights, tmp_path):
    """Rather than ignored."""
    out = tmp_path / "x.safetensors"
    given = [str(small_weights), "--out", str(out), *arguments]
    with pytest.raises(ValueError, match=sentence):
        export.run(export._parser().parse_args(given))
    assert not out.exists()
