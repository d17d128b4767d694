"""What is installed of the built backends: the same answers as eager torch, from built files."""

import importlib.util
import shutil

import numpy as np
import pytest
import torch
from support import FROM_ONNX, write_sharp_weights, write_small_weights
from torch.nn import functional

from sosd_ros import weights
from sosd_ros.engine import EngineError, Range, Request, build, load
from sosd_ros.engine.agreement import agreement_of, answers
from sosd_ros.engine.answers import answer_names
from sosd_ros.engine.compile_backend import CompileBackend
from sosd_ros.engine.exchange import Exported, exported_program
from sosd_ros.engine.openvino_backend import OpenVinoBackend
from sosd_ros.engine.stock import Candidate, Stock
from sosd_ros.engine.torch_backend import TorchBackend
from sosd_ros.network import prepare

ALL = ["depth", "semantic", "confidence", "uncertainty"]
CPU = torch.device("cpu")


def needs(*modules):
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")


def eager(file, picture):
    return load(file, picture, "cpu", Request("torch", "fp32"))


def assert_agree(engine, reference, images, focal=100.0):
    """Depth to a ten-thousandth of it, and all but a few labels, which are near a tie."""
    focals = [focal] * len(images)
    ours, theirs = (e(images, focals, ALL) for e in (engine, reference))
    for one, other in zip(ours, theirs, strict=True):
        assert (one is None) == (other is None)
    if theirs.depth is not None:
        np.testing.assert_allclose(ours.depth, theirs.depth, rtol=1e-4)
    if theirs.uncertainty is not None:
        np.testing.assert_allclose(ours.uncertainty, theirs.uncertainty, rtol=3e-4)
    if theirs.labels is not None:
        assert (ours.labels == theirs.labels).mean() > 0.995
        assert np.abs(ours.confidence.astype(int) - theirs.confidence).max() <= 1


@pytest.mark.parametrize("backend", FROM_ONNX)
def test_a_built_backend_answers_as_eager_torch_does(backend, built, file, picture, random):
    """Batches of one and of two, in turn, though it was built with one of them."""
    needs(backend, "onnxscript")
    engine = load(file, picture, "cpu", Request(backend, "fp32", built))
    assert engine.name == f"{backend} fp32"
    assert engine.why.startswith(f"{backend} fp32: ")
    reference = eager(file, picture)
    for count in (1, 2, 1):
        images = random.integers(0, 256, (count, 64, 96, 3), dtype=np.uint8)
        assert_agree(engine, reference, images)


@pytest.mark.parametrize("backend", FROM_ONNX)
def test_a_built_backend_brings_images_to_the_scale_of_the_training(
    backend, built, file, picture, random
):
    """It answers the parts itself, and the fall-back an input that is smaller."""
    needs(backend, "onnxscript")
    told = []
    engine = load(file, picture, "cpu", Request(backend, "fp32", built), told.append)
    reference = eager(file, picture)
    engine.fit = reference.fit = 4
    images = random.integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)
    told.clear()
    assert_agree(engine, reference, images, 60.0)
    assert not told
    assert_agree(engine, reference, images, 200.0)
    [fallen] = told
    assert "was not built for inputs of 32x64" in fallen


@pytest.mark.parametrize("backend", FROM_ONNX)
def test_answers_of_a_built_backend_stay_as_they_were_given(backend, built, file, picture, random):
    """Whatever memory of its own it answers into."""
    needs(backend, "onnxscript")
    engine = load(file, picture, "cpu", Request(backend, "fp32", built))
    answer = engine(picture[None], [100.0], ALL)
    copies = [np.copy(values) for values in answer[:3]]
    engine(random.integers(0, 256, (1, 64, 96, 3), dtype=np.uint8), [50.0], ALL)
    for values, copy in zip(answer[:3], copies, strict=True):
        np.testing.assert_array_equal(values, copy)


@pytest.mark.parametrize("backend", FROM_ONNX)
def test_other_sizes_run_by_eager_torch_and_are_told_once(backend, built, file, picture, random):
    """One sentence a size of the inputs, whatever is asked for and however often."""
    needs(backend, "onnxscript")
    told = []
    engine = load(file, picture, "cpu", Request(backend, "fp32", built), told.append)
    assert not told
    reference = eager(file, picture)
    for size in ((96, 64), (192, 128), (60, 240), (96, 64)):
        assert_agree(engine, reference, random.integers(0, 256, (1, *size, 3), dtype=np.uint8))
        engine(np.zeros((1, *size, 3), np.uint8), [100.0], ["depth"])
    assert len(told) == 2
    assert told[0].startswith(f"{backend} fp32 was not built for inputs of 96x64")
    assert told[1].startswith(f"{backend} fp32 was not built for inputs of 32x160")


@pytest.mark.parametrize(
    ("backend", "variant"), [("onnxruntime", "semantic"), ("openvino", "depth")]
)
def test_a_network_of_one_task_is_built(backend, variant, tmp_path, picture):
    """It answers that task, and None for the other."""
    needs(backend, "onnxscript")
    file = weights.read(write_small_weights(tmp_path / "one.safetensors", variant=variant))
    request = Request(backend, "fp32", tmp_path / "cache")
    engine = build(file, picture, "cpu", request, [(64, 96)])
    assert engine.name == f"{backend} fp32"
    assert_agree(engine, eager(file, picture), picture[None])


def test_a_damaged_file_is_an_account_and_no_crash(file, picture, built, tmp_path):
    """What lies in the cache may have been cut short by a full disk; it is built again."""
    needs("onnxruntime", "onnxscript")
    shutil.copytree(built, tmp_path / "cache")
    for path in (tmp_path / "cache").rglob("*.onnx"):
        path.write_bytes(path.read_bytes()[:1000])
    request = Request("onnxruntime", "fp32", tmp_path / "cache")
    with pytest.raises(EngineError, match=r"no engine can be used .*onnxruntime fp32: "):
        load(file, picture, "cpu", request)
    engine = build(file, picture, "cpu", request, [(64, 96)])
    assert_agree(engine, eager(file, picture), picture[None])


@pytest.mark.parametrize("backend", ["torch", *FROM_ONNX])
def test_a_sharp_network_answers_as_the_network_itself(
    backend, built_sharp, sharp, picture, random
):
    """All of it at full size: depth, its uncertainty, and the labels of the best scores."""
    if backend != "torch":
        needs(backend, "onnxscript")
    engine = load(sharp, picture, "cpu", Request(backend, "fp32", built_sharp))
    manifest = sharp.manifest
    network = weights.build_network(sharp)
    for shape in ((2, 64, 96), (1, 128, 192), (1, 71, 107)):
        images = random.integers(0, 256, (*shape, 3), dtype=np.uint8)
        focal = 100.0 * (shape[1] * shape[2] / (64 * 96)) ** 0.5  # as in training
        answer = engine(images, [focal] * shape[0], ALL, Range(0, 1e9))
        inputs = prepare(torch.from_numpy(images), (64, 96), manifest.mean, manifest.std)
        assert network.answer_size(inputs) == (16, 24)
        with torch.inference_mode():
            expected = network(inputs, size=(16, 24))
        full = functional.interpolate(expected.logits.double(), shape[1:], mode="bilinear")
        best, second = full.topk(2, dim=1).values.unbind(1)
        is_clear = (best - second > 1e-3).numpy()
        assert is_clear.mean() > 0.9 and len(full.argmax(1).unique()) > 5
        assert (answer.labels == full.argmax(1).numpy())[is_clear].all()
        depth, spread = (
            functional.interpolate(values[:, None], shape[1:], mode="bilinear")[:, 0].numpy()
            for values in (expected.depth, expected.spread)
        )
        np.testing.assert_allclose(answer.depth, depth, rtol=1e-3)
        np.testing.assert_allclose(answer.uncertainty, 2**0.5 * spread * depth, rtol=2e-3)
        assert depth.std() > 0.1 * depth.mean() and spread.std() > 0.1 * spread.mean()


@pytest.mark.parametrize(
    ("changes", "names", "answers"),
    [
        ({"spread": False}, ["depth", "logits"], {"depth", "semantic", "confidence"}),
        ({}, ["depth", "logits", "spread"], set(ALL)),
        ({"variant": "depth"}, ["depth", "spread"], {"depth", "uncertainty"}),
        ({"variant": "semantic", "spread": False}, ["logits"], {"semantic", "confidence"}),
    ],
)
def test_a_network_has_the_answers_of_its_manifest(changes, names, answers, tmp_path, picture):
    """In files as on the robot; without a spread there is nothing more than there always was."""
    file = weights.read(write_sharp_weights(tmp_path / "w.safetensors", **changes))
    assert answer_names(file.manifest) == names
    assert len(Exported(file).eval()(torch.zeros(1, 3, 64, 96))) == len(names)
    engine = eager(file, picture)
    given = engine(picture[None], [100.0], ALL)
    assert engine.answers == answers
    assert sum(answer is not None for answer in given) == len(answers)


def test_a_sharp_network_in_bfloat16(built_sharp, sharp, picture):
    """OpenVINO is as near as torch to float32; random weights make much of rounding."""
    needs("openvino", "onnxscript")
    theirs = answers(eager(sharp, picture), picture[None])
    torchs, openvinos = (
        agreement_of(answers(engine, picture[None]), theirs).mean
        for kind in (TorchBackend, OpenVinoBackend)
        for engine in [Stock(sharp, CPU, built_sharp).open(Candidate(kind, "bf16"), pytest.fail)]
    )
    assert 0 < openvinos.depth < 1.5 * torchs.depth < 0.05
    assert 0 < openvinos.uncertainty < 1.5 * torchs.uncertainty < 0.06
    assert 1 - openvinos.labels < 1.5 * (1 - torchs.labels) < 0.4


@pytest.mark.slow
def test_compiled_code_answers_as_eager_torch_does(file, picture, tmp_path):
    """Ahead of time by inductor, for batches of any length."""
    if missing := CompileBackend.missing():
        pytest.skip(missing)
    engine = build(file, picture, "cpu", Request("compile", "fp32", tmp_path), [(64, 96)])
    assert engine.name == "compile fp32"
    assert_agree(engine, eager(file, picture), picture[None])
    assert_agree(engine, eager(file, picture), np.stack([picture, picture[::-1]]))


def test_the_graph_in_half_precision_needs_no_autocast(file):
    """Its casts are its own, so that a compiler may take it apart; answers are float32."""
    program = exported_program(file, (64, 96), dtype=torch.bfloat16)
    generator = torch.Generator().manual_seed(20240607)
    inputs = torch.randn(1, 3, 64, 96, generator=generator)
    with torch.inference_mode():
        ours = program.run_decompositions().module()(inputs)
        theirs = Exported(file)(inputs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other, rtol=0.02, atol=1e-3)


def test_an_engine_of_another_aspect_is_tried_at_its_own(file, picture, tmp_path):
    """The trial's picture is brought to the size; the first one stays when another is built."""
    needs("onnxruntime", "onnxscript")
    told = []
    for image_size, inputs in (((96, 96), [(64, 64)]), ((64, 96), [(64, 64), (64, 96)])):
        request = Request("onnxruntime", "fp32", tmp_path)
        engine = build(file, picture, "cpu", request, [image_size], told.append)
        assert sorted(engine.backend.sizes) == inputs
    engine.warm_up()
    assert not any("slower" in sentence for sentence in told)
