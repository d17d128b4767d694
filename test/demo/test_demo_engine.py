"""Whether the demo has an engine built, and what it says when there is none."""

import importlib.util

import pytest
import torch

from sosd_ros import weights
from sosd_ros.demo.engine import build_once, has_bfloat16
from sosd_ros.engine import EngineError, Request, cache, is_built
from sosd_ros.engine.openvino_backend import OpenVinoBackend
from sosd_ros.engine.stock import Candidate, Stock

CPU = torch.device("cpu")
PRECISION = "bf16" if has_bfloat16() else "fp32"
NEEDS_OPENVINO = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="openvino is not installed"
)


@pytest.fixture
def built(small_weights, tmp_path, monkeypatch):
    """The user's cache, with something for inputs of 64x96."""
    monkeypatch.setenv("SOSD_CACHE", str(tmp_path))
    stock = Stock(weights.read(small_weights), CPU, tmp_path)
    key = stock.key(Candidate(OpenVinoBackend, PRECISION))
    cache.store(tmp_path, key, lambda folder: (folder / "64x96.onnx").write_text("a network"))
    return tmp_path


@NEEDS_OPENVINO
def test_what_is_built_is_not_built_again(small_weights, built, capfd):
    """For all sizes of images that the network sees alike; and never for a GPU."""
    assert build_once(small_weights, "cpu", {(480, 720), (64, 96)}) == ""
    assert build_once(small_weights, "cuda", {(720, 480)}) == ""
    assert capfd.readouterr() == ("", "")


@NEEDS_OPENVINO
def test_an_engine_is_built_if_all_sizes_are(small_weights, built):
    """One of several that is missing, other weights, or another precision: it is not."""
    file = weights.read(small_weights)

    def there(precision, *sizes):
        return is_built(file, CPU, Request("openvino", precision, built), sizes)

    assert there(PRECISION, (480, 720))
    assert not there(PRECISION, (480, 720), (720, 480))
    assert not there("fp32" if PRECISION == "bf16" else "bf16", (480, 720))
    with pytest.raises(EngineError, match="does not exist on cpu"):
        there("fp16", (480, 720))


@pytest.mark.slow
@NEEDS_OPENVINO
@pytest.mark.skipif(not has_bfloat16(), reason="this processor has no bfloat16")
def test_weights_that_lose_too_much_in_bfloat16_run_in_float32(
    small_weights, tmp_path, monkeypatch, capfd
):
    """Random ones, whose classes are all about equally likely."""
    monkeypatch.setenv("SOSD_CACHE", str(tmp_path))
    assert build_once(small_weights, "cpu", {(64, 96)}) == ""
    said = capfd.readouterr()
    assert "openvino bf16: refused" in said.out + said.err
    assert "the fastest that agrees: openvino fp32" in said.out
    assert build_once(small_weights, "cpu", {(64, 96)}) == ""
    assert capfd.readouterr() == ("", "")


@NEEDS_OPENVINO
def test_a_build_that_fails_is_said_and_is_not_the_end(small_weights, monkeypatch, capfd):
    """With the reason, by the command that builds: here the cache cannot be written."""
    monkeypatch.setenv("SOSD_CACHE", "/dev/null/cache")
    assert build_once(small_weights, "cpu", {(480, 720)}) == "no engine could be built, see above"
    said = capfd.readouterr()
    assert "building an engine for this machine" in said.out and "NotADirectory" in said.out
    assert said.err.endswith("going on without it: torch runs the network\n")
    assert "Traceback" not in said.err


def test_a_runtime_that_is_not_installed_is_named(small_weights, monkeypatch, capfd):
    """With where it says what installs it: a bare pip would move a robot's NumPy."""
    monkeypatch.setattr(OpenVinoBackend, "module", "not_there")
    said = build_once(small_weights, "cpu", {(480, 720)})
    assert said == "not_there is not installed; README says how, under Fast"
    assert capfd.readouterr().out == ""
