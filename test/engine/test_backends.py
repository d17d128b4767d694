"""What is installed of the built backends: the same answers as eager torch, from built files."""

import importlib.util
import shutil

import numpy as np
import pytest
import torch
from support import write_small_weights

from sosd_ros import weights
from sosd_ros.engine import EngineError, build, load
from sosd_ros.engine.compile_backend import CompileBackend, exported_program
from sosd_ros.engine.exchange import Exported

ALL = ["depth", "semantic", "confidence"]
FROM_ONNX = ["onnxruntime", "openvino"]


def needs(*modules):
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")


def eager(file, picture):
    return load(file, picture, "cpu", backend="torch", precision="fp32")


def assert_agree(engine, reference, images):
    """Depth to a ten-thousandth, and all but a few labels, which are near a tie."""
    focals = [100.0] * len(images)
    ours, theirs = (e(images, focals, ALL) for e in (engine, reference))
    for one, other in zip(ours, theirs, strict=True):
        assert (one is None) == (other is None)
    if theirs.depth is not None:
        np.testing.assert_allclose(ours.depth, theirs.depth, rtol=1e-4)
    if theirs.labels is not None:
        assert (ours.labels == theirs.labels).mean() > 0.995
        assert np.abs(ours.confidence.astype(int) - theirs.confidence).max() <= 1


@pytest.mark.parametrize("backend", FROM_ONNX)
def test_a_built_backend_answers_as_eager_torch_does(backend, built, file, picture, random):
    """Batches of one and of two, in turn, though it was built with one of them."""
    needs(backend, "onnxscript")
    engine = load(file, picture, "cpu", backend=backend, precision="fp32", folder=built)
    assert engine.name == f"{backend} fp32"
    assert engine.why.startswith(f"{backend} fp32: ")
    reference = eager(file, picture)
    for count in (1, 2, 1):
        images = random.integers(0, 256, (count, 64, 96, 3), dtype=np.uint8)
        assert_agree(engine, reference, images)


@pytest.mark.parametrize("backend", FROM_ONNX)
def test_answers_of_a_built_backend_stay_as_they_were_given(backend, built, file, picture, random):
    """Whatever memory of its own it answers into."""
    needs(backend, "onnxscript")
    engine = load(file, picture, "cpu", backend=backend, precision="fp32", folder=built)
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
    engine = load(
        file, picture, "cpu", backend=backend, precision="fp32", folder=built, tell=told.append
    )
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
    engine = build(
        file, picture, "cpu", backend, "fp32", [(64, 96)], tmp_path / "cache", tell=print
    )
    assert engine.name == f"{backend} fp32"
    assert_agree(engine, eager(file, picture), picture[None])


def test_a_damaged_file_is_an_account_and_no_crash(file, picture, built, tmp_path):
    """What lies in the cache may have been cut short by a full disk; it is built again."""
    needs("onnxruntime", "onnxscript")
    shutil.copytree(built, tmp_path / "cache")
    for path in (tmp_path / "cache").rglob("*.onnx"):
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(EngineError, match=r"no engine can be used .*onnxruntime fp32: "):
        load(
            file, picture, "cpu", backend="onnxruntime", precision="fp32", folder=tmp_path / "cache"
        )
    engine = build(
        file, picture, "cpu", "onnxruntime", "fp32", [(64, 96)], tmp_path / "cache", tell=print
    )
    assert_agree(engine, eager(file, picture), picture[None])


@pytest.mark.slow
def test_compiled_code_answers_as_eager_torch_does(file, picture, tmp_path):
    """Ahead of time by inductor, for batches of any length."""
    if missing := CompileBackend.missing():
        pytest.skip(missing)
    engine = build(file, picture, "cpu", "compile", "fp32", [(64, 96)], tmp_path, tell=print)
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
        engine = build(
            file, picture, "cpu", "onnxruntime", "fp32", [image_size], tmp_path, told.append
        )
        assert sorted(engine.backend.sizes) == inputs
    engine.warm_up()
    assert not any("slower" in sentence for sentence in told)
