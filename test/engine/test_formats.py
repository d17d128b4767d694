"""A weights file in other runtimes' forms: real files, which answer as the network does."""

import importlib.util
import json
from functools import cache

import numpy as np
import pytest
import torch

from sosd_ros import weights
from sosd_ros.engine import formats
from sosd_ros.engine.answers import Answers
from sosd_ros.engine.backend import Deployment
from sosd_ros.engine.exchange import Exported
from sosd_ros.engine.formats import FORMATS, Order, export

SIZE = (64, 96)
KINDS = [".onnx", ".xml", ".pt2"]
CPU = torch.device("cpu")


def needs(kind):
    for name in FORMATS[kind].needs:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")


@pytest.fixture(scope="module")
def frame():
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def exported(file, frame, tmp_path_factory):
    """Makes a file of a kind, once; its path and what the comparison with the network said."""

    @cache
    def make(kind):
        needs(kind)
        out = tmp_path_factory.mktemp("exported") / f"network{kind}"
        return out, export(file, frame, Order(out, SIZE))

    return make


def assert_answers_as_the_network(file, out, size, *batches):
    """The file alone, as the backend runs it that is for such files."""
    backend = FORMATS[out.suffix].backend(Deployment(file, CPU, "fp32"), {size: out})
    network = Exported(file).eval()
    for batch in batches:
        images = np.random.default_rng(batch).normal(size=(batch, 3, *size)).astype(np.float32)
        with torch.inference_mode():
            expected = network(torch.from_numpy(images))
            answers = backend(torch.from_numpy(images), network.network.tasks)
        answers = [answer for answer in answers if answer is not None]
        for ours, theirs in zip(answers, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_answers_as_the_network_does(kind, file, exported):
    """For batches of lengths that it was not tried with, read back from the file alone."""
    out, agreed = exported(kind)
    assert agreed.suffices
    assert_answers_as_the_network(file, out, SIZE, 1, 3)
    beside = {".xml": {"network.xml", "network.bin"}}.get(out.suffix, {out.name})
    assert {path.name for path in out.parent.iterdir()} == beside


@pytest.mark.parametrize("kind_of_weights", ["file", "sharp"])
def test_onnx_of_any_size(kind_of_weights, frame, request, tmp_path):
    """Other multiples of 32 than those that it was made and tried with."""
    needs(".onnx")
    file = request.getfixturevalue(kind_of_weights)
    out = tmp_path / "network.onnx"
    agreed = export(file, frame, Order(out, SIZE, dynamic_size=True))
    assert agreed.images == 2 * 3  # at either size one, and a batch of two
    assert_answers_as_the_network(file, out, (128, 32), 2)


@pytest.mark.parametrize("kind", KINDS)
def test_the_manifest_travels(kind, file, exported):
    """With the SHA-256 of the weights file, where each form has room for such things."""
    out, _ = exported(kind)
    if kind == ".onnx":
        import onnx

        (text,) = (p.value for p in onnx.load(out).metadata_props if p.key == "sosd_ros")
    elif kind == ".xml":
        import openvino

        text = openvino.Core().read_model(out).get_rt_info(["sosd_ros", "manifest"]).astype(str)
    else:
        extra = {"sosd_ros.json": ""}
        torch.export.load(out, extra_files=extra)
        text = extra["sosd_ros.json"]
    content = json.loads(text)
    assert content["sha256"] == file.sha256
    assert weights.Manifest.from_json(json.dumps(content["manifest"])) == file.manifest


class Recorder:
    """Stands in for what runs a file: answers as eager torch, until it is told to spoil that."""

    spoil = staticmethod(lambda answers: answers)

    def __init__(self, deployment, files):
        self.sizes, self.network = list(files), Exported(deployment.weights).eval()
        self.accepts = self.sizes.__contains__

    def __call__(self, inputs, tasks):
        self.seen.add(tuple(inputs.shape))
        return Answers(*self.spoil(self.network(inputs)))


@pytest.fixture
def recorder(monkeypatch):
    """The kind of file that is run so; a set of the shapes that it was tried with is its own."""
    kind = type("Kind", (Recorder,), {"name": "recorder", "seen": set()})
    entry = formats.Format(lambda *arguments: arguments[-1].touch(), kind)
    monkeypatch.setitem(FORMATS, ".onnx", entry)
    return kind


@pytest.mark.parametrize("dynamic", [False, True])
def test_a_file_is_tried_with_one_image_and_two_and_if_it_may_at_two_sizes(
    recorder, file, frame, tmp_path, dynamic
):
    """Whatever size the images have; the one that was asked for need not be the training's."""
    size, other = (96, 64), (128, 128)
    agreed = export(file, np.stack([frame] * 3), Order(tmp_path / "x.onnx", size, dynamic))
    sizes = [size, other] if dynamic else [size]
    assert recorder.seen == {(batch, 3, *s) for batch in (1, 2) for s in sizes}
    assert agreed.images == 5 * len(sizes) and agreed.suffices


@pytest.mark.parametrize(
    "spoil",
    [
        lambda answers: (1.05 * answers[0], answers[1]),
        lambda answers: (answers[0], -answers[1]),
        lambda answers: answers if len(answers[0]) == 1 else (-answers[0], answers[1]),
    ],
)
def test_a_file_that_answers_otherwise_never_appears(recorder, spoil, file, frame, tmp_path):
    """Or otherwise for a batch; nothing of it is left, and what was there before stays."""
    out = tmp_path / "network.onnx"
    out.write_text("before")
    recorder.spoil = staticmethod(spoil)
    with pytest.raises(ValueError, match=r"network\.onnx was not written, as it does not answer"):
        export(file, frame, Order(out, SIZE))
    assert out.read_text() == "before" and list(tmp_path.iterdir()) == [out]


def test_depth_beyond_any_usual_range_is_compared_as_well(recorder, file, frame, tmp_path):
    """A file knows no range; of an outdoor network most may lie beyond a node's."""
    tensors = {
        name: tensor + 60 if name == "depth_head.depth.bias" else tensor
        for name, tensor in file.tensors.items()
    }
    far = weights.Weights(file.manifest, tensors, "far")
    recorder.spoil = staticmethod(lambda answers: (1.05 * answers[0], answers[1]))
    with pytest.raises(ValueError, match=r"depth differs by 5\.00%"):
        export(far, frame, Order(tmp_path / "network.onnx", SIZE))


@pytest.mark.parametrize(
    ("order", "sentence"),
    [
        (Order("network.pt", SIZE), r"--out is .*network.pt, expected a name that ends in .onnx"),
        (Order("network.pt2", (60, 96)), "--size is 60x96, expected multiples of 32"),
        (Order("network.pt2", (0, 96)), "--size is 0x96"),
        (Order("network.plan", SIZE), "tensorrt is not installed; README says how, under"),
        (Order("network.plan", SIZE, True), r"--dynamic-size is not available for \.plan"),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence(order, sentence, file, frame, tmp_path):
    """Before anything is loaded or written."""
    if "tensorrt" in sentence and importlib.util.find_spec("tensorrt") is not None:
        pytest.skip("tensorrt is installed")
    with pytest.raises(ValueError, match=sentence):
        export(file, frame, Order(tmp_path / order.out, order.size, order.dynamic_size))
    assert not list(tmp_path.iterdir())
