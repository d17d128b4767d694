"""The weights file: what is written is read, and what is damaged is refused in a sentence."""

import dataclasses
import gzip
import hashlib
import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from support import SHARP, SMALL

from sosd_ros import weights
from sosd_ros.labels import LabelSet
from sosd_ros.network import SOSDNet


def tiny_file(path):
    """A real weights file of a few hundred bytes of tensors."""
    state = {"a.weight": torch.randn(4, 5), "a.bias": torch.randn(4), "steps": torch.tensor(3)}
    manifest = dataclasses.replace(SMALL, labels=LabelSet(("wall",), ((1, 2, 3),)))
    weights.write(path, manifest, state)
    return path


def write_by_hand(path, manifest, version="1"):
    """A file of one tensor whose hash is in order: an attacker can hash as well."""
    w = torch.zeros(2)
    digest = hashlib.sha256(f"{manifest}w torch.float32 (2,)".encode() + w.numpy().tobytes())
    metadata = {"sosd_ros": version, "manifest": manifest, "sha256": digest.hexdigest()}
    save_file({"w": w}, path, metadata=metadata)


def test_what_is_written_is_read(tmp_path):
    """The manifest comes back equal; matrices at half precision, vectors untouched."""
    manifest = dataclasses.replace(
        SMALL,
        depth=weights.DepthKind("disparity", 2262.5, 0.209),
        metrics={"mIoU": 0.3, "data": "nyuv2 val.txt"},
        training={"epochs": 1},
        licence="research only",
    )
    torch.manual_seed(0)
    state = {"w": torch.randn(3, 4, 1, 1), "b": torch.tensor([1e-7, 1 / 3]), "n": torch.tensor(7)}
    digest = weights.write(tmp_path / "w.safetensors", manifest, state)
    file = weights.read(tmp_path / "w.safetensors")
    assert file.manifest == manifest
    assert file.sha256 == digest
    torch.testing.assert_close(file.tensors["w"], state["w"].half(), rtol=0, atol=0)
    assert torch.equal(file.tensors["b"], state["b"])
    assert torch.equal(file.tensors["n"], state["n"])


def test_the_network_of_a_file_answers_as_the_one_that_was_written(tmp_path):
    """Half precision costs less than a thousandth of the answers' spread."""
    torch.manual_seed(0)
    network = SOSDNet(SMALL.variant, SMALL.backbone, 40)
    network(torch.randn(4, 3, 64, 96))  # gives batch norm something to remember
    weights.write(tmp_path / "w.safetensors", SMALL, network.state_dict())
    loaded = weights.build_network(weights.read(tmp_path / "w.safetensors"))
    image = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        expected, got = network.eval()(image), loaded(image)
    for a, b in ((expected.depth, got.depth), (expected.logits, got.logits)):
        assert (a - b).abs().max() < 1e-3 * max(1.0, a.std().item())


VERSION_1 = Path(__file__).with_name("version1.safetensors.gz")


def test_a_file_of_version_1_is_read_and_answers_as_it_did(tmp_path):
    """Written, and what it answers noted, by the code of commit 77460bc, the last of version 1.

    Its matrices are waves, so that it is small when it is compressed::

        network = SOSDNet("depth", "mobilenetv4_conv_small", 40)
        for tensor in network.state_dict().values():
            if tensor.ndim > 1:
                waves = np.random.default_rng(0).choice(np.float32([-1, -0.5, 0.5, 1]), 1021)
                size = 2.0 ** round(np.log2(1.2 / tensor[0].numel() ** 0.5))
                waves = np.resize(waves, tensor.shape)
                tensor.copy_(torch.from_numpy(size * waves))
        network.depth_head.conv.bias.data.fill_(2.0)
        weights.write(path, manifest, network.state_dict())
    """
    path = tmp_path / "w.safetensors"
    path.write_bytes(gzip.decompress(VERSION_1.read_bytes()))
    file = weights.read(path)
    assert file.sha256 == "b47b42c8ad8082e246daeb5c17cd5ab2aa323af38bcdcb58756134d1a58590ee"
    assert file.manifest == dataclasses.replace(
        SMALL,
        variant="depth",
        mean=(0.4, 0.5, 0.6),
        std=(0.2, 0.25, 0.3),
        rates=(3, 6, 9),
        taps=(8, 32),
        padding="zeros",
        depth_form="linear",
        spread=False,
        temperature=1.0,
        spread_factor=1.0,
        metrics={"rel": 0.5, "data": "none"},
        training={"epochs": 0},
        licence="none needed",
    )
    y, x = torch.meshgrid(torch.arange(64), torch.arange(96), indexing="ij")
    image = torch.stack([x / 48 - 1, y / 32 - 1, (x - y).abs() / 48 - 1])[None]
    with torch.inference_mode():
        output = weights.build_network(file)(image)
    assert output.logits is None and output.spread is None
    expected = [
        [2.4192450, 4.2282882, 4.3018999, 4.5789318],
        [3.8330281, 7.5507178, 7.8281822, 8.1061602],
        [4.2656493, 8.2999334, 8.7403297, 8.9401360],
        [4.1539898, 7.6378717, 8.1548252, 8.3077135],
    ]
    torch.testing.assert_close(
        output.depth[0, ::16, ::24], torch.tensor(expected), rtol=1e-4, atol=0
    )
    weights.write(path, file.manifest, file.tensors)  # now of version 2
    again = weights.read(path)
    assert again.manifest == file.manifest and again.sha256 != file.sha256


def test_a_file_of_version_2_keeps_all_that_is_new(tmp_path):
    """Taps, padding, form of depth, spread, temperature and factor; and its network is built."""
    manifest = dataclasses.replace(SHARP, temperature=1.7, spread_factor=0.8)
    network = weights.create_network(manifest)
    path = tmp_path / "w.safetensors"
    weights.write(path, manifest, network.state_dict())
    with safe_open(path, framework="pt") as opened:
        assert opened.metadata()["sosd_ros"] == "2"
    file = weights.read(path)
    assert file.manifest == manifest
    assert (file.manifest.taps, file.manifest.padding) == ((4, 8, 16, 32), "replicate")
    built = weights.build_network(file)
    assert (built.taps, built.depth_form, built.spread) == ((4, 8, 16, 32), "log", True)
    assert built.state_dict().keys() == network.state_dict().keys()


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_field_that_is_not_known_is_refused(tmp_path, version):
    """It might change what the answers mean; the sentence names it."""
    text = json.dumps(json.loads(SHARP.to_json()) | {"depth_bins": 64})
    write_by_hand(tmp_path / "w.safetensors", text, version)
    with pytest.raises(
        weights.WeightsError, match=r"it has depth_bins, which .* update sosd_ros\); export"
    ):
        weights.read(tmp_path / "w.safetensors")


def test_every_flipped_byte_is_found(tmp_path):
    """Whichever byte of the file is changed, reading it is refused; all bytes are tried."""
    path = tiny_file(tmp_path / "w.safetensors")
    good = path.read_bytes()
    for position in range(len(good)):
        bad = bytearray(good)
        bad[position] ^= 0x10
        path.write_bytes(bad)
        with pytest.raises(weights.WeightsError):
            weights.read(path)


def test_a_flipped_byte_in_the_tensors_is_named(tmp_path):
    """The sentence has both hashes and what to do."""
    path = tiny_file(tmp_path / "w.safetensors")
    bad = bytearray(path.read_bytes())
    bad[-1] ^= 1
    path.write_bytes(bad)
    with pytest.raises(weights.WeightsError, match=r"is damaged: its SHA-256 is .*; copy it again"):
        weights.read(path)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 100, -1])
def test_a_truncated_file_is_refused(tmp_path, length):
    """Cut anywhere, down to nothing."""
    path = tiny_file(tmp_path / "w.safetensors")
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(weights.WeightsError, match=r"is damaged or cut short .*; copy it again"):
        weights.read(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_is_refused_without_being_opened(tmp_path, zipped):
    """Both of torch's pickle formats; the sentence says how to export."""
    path = tmp_path / "model.safetensors"
    torch.save({"w": torch.zeros(2)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(weights.WeightsError, match=r"is a pickle .*python -m training\.export"):
        weights.read(path)


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("protocol", [*range(pickle.HIGHEST_PROTOCOL + 1), "torch"])
def test_code_in_a_file_is_not_run(tmp_path, protocol):
    """A pickle that would act when it is loaded, in every format, under the name of weights."""
    path, trace = tmp_path / "model.safetensors", tmp_path / "trace"
    if protocol == "torch":
        torch.save(Payload(trace), path)
    else:
        path.write_bytes(pickle.dumps(Payload(trace), protocol))
    with pytest.raises(weights.WeightsError, match=r"is a pickle|is damaged"):
        weights.read(path)
    assert not trace.exists()


@pytest.mark.parametrize("length", [2**64 - 1, 2**63, 10**9, 10**8, 10**4, 2, 0])
def test_a_header_that_lies_about_its_length_is_refused(tmp_path, length):
    """Up to 16 EiB in a file of some bytes."""
    path = tmp_path / "w.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b'{"__metadata__": {}}')
    with pytest.raises(weights.WeightsError, match="is damaged or cut short"):
        weights.read(path)


@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_what_is_no_file_is_refused_unread(tmp_path, kind):
    """Reading a pipe or /dev/zero would wait or go on for ever."""
    path = tmp_path / "w.safetensors"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(weights.WeightsError, match=r"is a folder, a pipe or a device"):
        weights.read(path)


def test_a_missing_file_is_named(tmp_path):
    """The path is in the sentence."""
    with pytest.raises(weights.WeightsError, match=r"nowhere\.safetensors does not exist"):
        weights.read(tmp_path / "nowhere.safetensors")


def test_a_plain_safetensors_file_is_refused(tmp_path):
    """Tensors without a manifest say nothing about cameras and classes."""
    save_file({"w": torch.zeros(2)}, tmp_path / "w.safetensors")
    with pytest.raises(weights.WeightsError, match="without a manifest"):
        weights.read(tmp_path / "w.safetensors")


def test_a_newer_version_names_those_that_can_be_read(tmp_path):
    """All versions are in the sentence."""
    save_file({"w": torch.zeros(2)}, tmp_path / "w.safetensors", metadata={"sosd_ros": "3"})
    with pytest.raises(weights.WeightsError, match=r"version 3, but .* reads versions 1 and 2"):
        weights.read(tmp_path / "w.safetensors")


@pytest.mark.parametrize("key", [f.name for f in dataclasses.fields(weights.Manifest)][:7])
def test_a_missing_key_of_the_manifest_is_named(tmp_path, key):
    """A manifest without one of the required keys."""
    values = json.loads(SMALL.to_json())
    del values[key]
    write_by_hand(tmp_path / "w.safetensors", json.dumps(values))
    with pytest.raises(weights.WeightsError, match=f"unusable manifest .*{key}"):
        weights.read(tmp_path / "w.safetensors")


@pytest.mark.parametrize("text", ["", "null", "[]", "3", "{}", '{"labels": 3}', "[" * 100_000])
def test_a_manifest_that_is_none_is_refused(tmp_path, text):
    """Whatever JSON, or none."""
    write_by_hand(tmp_path / "w.safetensors", text)
    with pytest.raises(weights.WeightsError, match="unusable manifest"):
        weights.read(tmp_path / "w.safetensors")


@pytest.mark.parametrize("backbone", ["hf-hub:timm/resnet18.a1_in1k", "local-dir:/tmp", "../x"])
def test_a_manifest_cannot_name_a_backbone_elsewhere(tmp_path, backbone):
    """timm would download the first and read the second: only its built-in models are built."""
    manifest = dataclasses.replace(SMALL, backbone=backbone)
    weights.write(tmp_path / "w.safetensors", manifest, {"w": torch.zeros(2)})
    with pytest.raises(weights.WeightsError, match="is not a model that timm"):
        weights.build_network(weights.read(tmp_path / "w.safetensors"))


def test_a_missing_tensor_is_named(tmp_path):
    """A file that lacks a parameter of its network."""
    state = SOSDNet(SMALL.variant, SMALL.backbone, 40).state_dict()
    del state["depth_head.depth.weight"]
    weights.write(tmp_path / "w.safetensors", SMALL, state)
    file = weights.read(tmp_path / "w.safetensors")
    with pytest.raises(weights.WeightsError, match=r"do not fit .*depth_head\.depth\.weight"):
        weights.build_network(file)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"variant": "x"}, "variant 'x' is unknown"),
        ({"focal_length": 0.0}, "focal_length is 0.0, expected a positive number"),
        ({"input_size": (64,)}, "input_size has 1 numbers, not 2"),
        ({"std": (0.0, 1.0, 1.0)}, "input_size and std is 0.0"),
        ({"taps": (4, 8)}, r"taps are \[4, 8\], expected strides of \[4, 8, 16, 32\] in that"),
        ({"padding": "reflect"}, "padding 'reflect' is unknown; choose one of zeros, replicate"),
        ({"depth_form": "bins"}, "depth_form 'bins' is unknown; choose one of linear, log"),
        ({"variant": "semantic", "spread": True}, "has no depth that could have a spread"),
        ({"output_stride": 4}, "output_stride 4 is unknown; choose one of 8, 16, 32"),
        ({"temperature": 0.0}, "temperature is 0.0, expected a positive number"),
        ({"spread_factor": -1.0}, "spread_factor is -1.0, expected a positive number"),
    ],
)
def test_a_senseless_manifest_is_refused(change, sentence):
    """Before it is written."""
    with pytest.raises(ValueError, match=sentence):
        dataclasses.replace(SMALL, **change)


def test_disparity_needs_its_camera():
    """Without focal length and baseline, disparity is no depth."""
    with pytest.raises(ValueError, match="depth focal_length is None"):
        weights.DepthKind("disparity")


def test_a_failed_write_leaves_the_old_file(tmp_path):
    """Nothing half-written takes the place of what was there."""
    path = tiny_file(tmp_path / "w.safetensors")
    before = path.read_bytes()
    shared = torch.zeros(4, 4)
    with pytest.raises(TypeError):
        weights.write(path, SMALL, {"a": shared, 3: shared})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]
