"""Backbones of many families: each is built, learns, is the same from its file, and is exported.

All are small members with random weights; the larger of them are slow on one core.
"""

import dataclasses

import numpy as np
import pytest
import timm
import tiny_training
import torch
from safetensors.torch import save_file
from support import SMALL
from torch.nn import functional

from sosd_ros import weights
from sosd_ros.engine import Request, build
from sosd_ros.network import SOSDNet
from sosd_ros.network.backbone import Backbone
from training.config import Network
from training.learning.run import open_run
from training.learning.step import Trainer
from training.networks.imagenet import create_network, normalisation

TAPS = (4, 8, 16, 32)
PYRAMIDS = (
    *("resnet10t", "regnety_002", "mobilenetv4_conv_small", "tf_efficientnetv2_b0"),
    *("convnext_atto", "repvit_m0_9", "pvt_v2_b0", "swin_tiny_patch4_window7_224"),
)
TOKENS = ("vit_tiny_patch16_224", "vit_small_patch14_dinov2", "vit_small_patch16_dinov3")
FAMILIES = PYRAMIDS + TOKENS
LARGE = ("repvit_m0_9", "swin_tiny_patch4_window7_224", "vit_small_patch16_dinov3")


def learner(backbone):
    """A network on a backbone, to be trained."""
    network = {"variant": "sosd", "backbone": backbone, "taps": TAPS, "pretrained": False}
    settings = tiny_training.config(network=network, batch_size=2)
    torch.manual_seed(0)
    made = create_network(settings.network, 40, pretrained=False)
    return Trainer(settings, made, normalisation(backbone), "cpu")


def manifest(backbone):
    mean, std = normalisation(backbone)
    return dataclasses.replace(SMALL, backbone=backbone, taps=TAPS, mean=mean, std=std)


@pytest.mark.parametrize(
    "backbone",
    [pytest.param(f, marks=[pytest.mark.slow] * (f in LARGE)) for f in FAMILIES],
)
def test_a_family_learns_and_is_the_same_from_its_file(backbone, tmp_path):
    """Every parameter of the backbone has a gradient, as many GPUs need."""
    trainer = learner(backbone)
    trainer.step(tiny_training.batch(count=2), 0, 0, 1e-3)
    network = trainer.network.eval()
    unused = [n for n, p in network.backbone.named_parameters() if p.grad is None]
    assert not unused

    state = {n: t.half().float() if t.ndim > 1 else t for n, t in network.state_dict().items()}
    network.load_state_dict(state)
    weights.write(tmp_path / "w.safetensors", manifest(backbone), state)
    again = weights.build_network(weights.read(tmp_path / "w.safetensors"))
    images = torch.rand(1, 3, 64, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        for answer, expected in zip(again(images)[:2], network(images)[:2], strict=True):
            torch.testing.assert_close(answer, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", FAMILIES)
def test_a_family_runs_from_onnx(backbone, tmp_path):
    """The engine compares its answers with eager torch's, and refuses others."""
    torch.manual_seed(0)
    described = manifest(backbone)
    network = weights.create_network(described)
    weights.write(tmp_path / "w.safetensors", described, network.state_dict())
    frame = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    request = Request("onnxruntime", "fp32", tmp_path)
    file = weights.read(tmp_path / "w.safetensors")
    engine = build(file, frame, "cpu", request, [(64, 96)])
    assert engine.name == "onnxruntime fp32"


@pytest.mark.parametrize(
    ("name", "stride"), [("resnet10t", 8), ("tf_efficientnetv2_b0", 16), ("convnext_atto", 16)]
)
def test_dilated_convolutions_keep_the_stride(name, stride):
    """The deepest features are finer, with the same parameters."""
    dilated, plain = (Backbone(name, taps=TAPS, output_stride=s).eval() for s in (stride, 32))
    dilated.load_state_dict(plain.state_dict())
    with torch.inference_mode():
        for backbone, deepest in ((dilated, stride), (plain, 32)):
            sizes = {tap: (64 // min(tap, deepest), 96 // min(tap, deepest)) for tap in TAPS}
            maps = backbone(torch.rand(1, 3, 64, 96))
            assert {tap: features.shape[-2:] for tap, features in maps.items()} == sizes


@pytest.mark.parametrize(
    ("name", "patch", "stride", "grid"),
    [("vit_small_patch14_dinov2", 14, 16, 37), ("vit_small_patch32_224", 32, 32, 7)],
)
def test_tokens_lie_at_a_power_of_two(name, patch, stride, grid):
    """A patch of 14 is one of 16, of as many positions; what is too coarse is upsampled."""
    with torch.device("meta"):
        backbone = Backbone(name, taps=TAPS)
        maps = backbone(torch.rand(1, 3, 96, 160))
    assert backbone.multiple == stride
    sizes = {tap: (96 // min(tap, stride), 160 // min(tap, stride)) for tap in TAPS}
    assert {tap: features.shape[-2:] for tap, features in maps.items()} == sizes
    assert backbone.features.model.patch_embed.grid_size == (grid, grid)
    assert timm.get_pretrained_cfg(name).input_size[-1] == grid * patch


def test_sizes_are_multiples_of_the_patch(nyuv2_root, tmp_path):
    """Others are refused before the training begins."""
    settings = tiny_training.config(
        data={"name": "nyuv2", "size": (40, 64), "workers": 0},
        network={"backbone": "vit_tiny_patch16_224", "variant": "depth", "pretrained": False},
        batch_size=2,
    )
    sentence = r"data.size is \[40, 64\], but backbone vit_tiny_patch16_224 takes multiples of 16"
    with pytest.raises(ValueError, match=sentence):
        open_run(settings, tmp_path, "cpu", root=nyuv2_root)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"backbone": "resnet18.nothing"}, "names weights of resnet18 that timm .* does not know"),
        ({"backbone": "levit_128s"}, r"strides \[16, 32, 64\], but the network taps .*ConvNeXt"),
        ({"backbone": "mixer_s32_224"}, "does not take images of any size .*Swin and DINOv2 are"),
        ({"backbone": "halonet26t"}, "does not take images of any size .*ResNet, RegNet"),
        ({"backbone": "inception_v4"}, "does not take images of any size"),
        ({"backbone": "pvt_v2_b0", "output_stride": 16}, "cannot be built with output_stride 16"),
        ({"backbone": "resnet10t", "output_stride": 4}, "output_stride 4 is unknown; choose one"),
    ],
)
def test_what_does_not_fit_is_refused_with_families_that_do(settings, sentence):
    """Tags, strides, a fixed number of tokens, blocks that have to fit, dilation."""
    with pytest.raises(ValueError, match=sentence):
        SOSDNet("depth", **settings)


def of_file(backbone, path):
    return create_network(Network(backbone=backbone, pretrained=path), 40, pretrained=True)


def test_a_backbone_starts_from_a_file(tmp_path):
    """Of timm's own weights for the whole model."""
    whole = timm.create_model("resnet10t").state_dict()
    save_file(whole, tmp_path / "w.safetensors")
    features = of_file("resnet10t", tmp_path / "w.safetensors").backbone.features
    for name, tensor in features.state_dict().items():
        assert torch.equal(tensor, whole[name])


def test_patches_of_a_file_are_scaled(tmp_path):
    """A patch of 14 that is enlarged to 16 gives the token that it gave."""
    torch.manual_seed(1)
    whole = timm.create_model("eva02_tiny_patch14_224", dynamic_img_size=True)
    save_file(whole.state_dict(), tmp_path / "w.safetensors")
    features = of_file("eva02_tiny_patch14_224", tmp_path / "w.safetensors").backbone.features
    patches = features.model.patch_embed.proj
    small = torch.rand(1, 3, 14, 28)
    large = torch.cat(
        [
            functional.interpolate(part, (16, 16), mode="bicubic", antialias=True)
            for part in small.split(14, dim=3)
        ],
        dim=3,
    )
    with torch.no_grad():
        tokens, expected = patches(large), whole.patch_embed.proj(small).flatten(1)
    torch.testing.assert_close(tokens.flatten(1), expected, rtol=1e-3, atol=1e-4)


def test_a_file_of_another_model_is_refused(tmp_path):
    """So is one that lacks a layer, one that is none, and none."""
    path = tmp_path / "w.safetensors"
    with pytest.raises(ValueError, match=r"w\.safetensors, which does not exist"):
        of_file("resnet10t", path)
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="which does not fit the backbone"):
        of_file("resnet10t", path)
    state = timm.create_model("resnet10t").state_dict()
    del state["layer2.0.conv2.weight"]
    save_file(state, path)
    with pytest.raises(ValueError, match=r"has no layer2\.0\.conv2\.weight for the backbone"):
        of_file("resnet10t", path)
    with pytest.raises(ValueError, match="use the weights of this very model"):
        of_file("mobilenetv4_conv_small", path)


def test_weights_that_cannot_be_downloaded_are_refused(monkeypatch, tmp_path):
    """Without a connection, and where timm has none."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for backbone, sentence in (
        ("resnet10t", "could not be downloaded .* network.pretrained=false"),
        ("mobilenetv4_conv_aa_medium", "timm has no weights for mobilenetv4_conv_aa_medium"),
    ):
        with pytest.raises(ValueError, match=sentence):
            create_network(Network(backbone=backbone), 40, pretrained=True)
