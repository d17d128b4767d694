"""SOSD-Net against the paper: strides, contents of the variants, parameter counts, gradients.

Random weights and small images are enough: all facts here hold for any parameters.
"""

import pytest
import torch

from sosd_ros.network import VARIANTS, SOSDNet
from sosd_ros.network.__main__ import BACKBONES, parameters

COMPACT = "mobilenetv4_conv_small"


def network(variant="esosd", backbone=COMPACT, classes=40):
    torch.manual_seed(0)
    return SOSDNet(variant, backbone, classes)


@pytest.mark.parametrize("size", [(256, 512), (480, 640)])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_stride_table(backbone, size):
    """Backbone and context end at stride 32; refined and decoder maps lie at stride 8."""
    with torch.device("meta"):  # shapes alone, no arithmetic
        net = network(backbone=backbone).eval()
    shapes = {}
    for name in ("backbone", "context", "common", "semantic_feature", "depth_feature"):
        getattr(net, name).register_forward_hook(
            lambda _m, _i, out, name=name: shapes.__setitem__(name, out)
        )
    with torch.inference_mode():
        output = net(torch.zeros(1, 3, *size, device="meta"))

    refined, deepest = shapes["backbone"].values()
    at_8, at_32 = (size[0] // 8, size[1] // 8), (size[0] // 32, size[1] // 32)
    assert refined.shape[-2:] == at_8
    assert deepest.shape[-2:] == at_32
    assert shapes["context"].shape[-2:] == at_32
    assert shapes["common"].shape == (1, 256, *at_8)
    assert shapes["semantic_feature"].shape == (1, 256, *at_8)
    assert shapes["depth_feature"].shape == (1, 64, *at_8)
    assert output.depth.shape == (1, *size)
    assert output.logits.shape == (1, 40, *size)


@pytest.mark.parametrize(
    ("backbone", "variant", "millions"),
    [
        # The page on the paper: 41.5 M in all on xception65, 24.4 M on the original Xception.
        ("xception65", "esosd", 41.5),
        ("legacy_xception", "semantic", 24.0),
        ("legacy_xception", "depth", 24.1),
        ("legacy_xception", "mtl", 24.2),
        ("legacy_xception", "sosd", 24.4),
        ("legacy_xception", "esosd", 24.4),
        ("tf_efficientnet_lite0", "esosd", 4.3),
        ("mobilenetv4_conv_small", "esosd", 3.4),
    ],
)
def test_parameter_count(backbone, variant, millions):
    """Parameters, to the digit that Table 1 prints; it has 23.4, 23.4, 23.6, 24.0, 24.0."""
    assert round(parameters(variant, backbone) / 1e6, 1) == millions


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_contain_what_the_tables_say(variant):
    """Single paths are alone, mtl has no unit, sosd and esosd have both."""
    children = dict(network(variant).named_children())
    kinds = {name: type(child).__name__ for name, child in children.items()}
    assert ("semantic_feature" in kinds) == (variant != "depth")
    assert ("depth_feature" in kinds) == (variant != "semantic")
    has_units = variant in ("sosd", "esosd")
    assert (kinds.get("depth_head") == "SemanticToDepth") == has_units
    assert (kinds.get("semantic_head") == "DepthToSemantic") == has_units


@pytest.mark.parametrize("variant", VARIANTS)
def test_only_what_is_asked_for_is_answered(variant):
    """A task that was not asked for, or that the variant lacks, is None."""
    net = network(variant).eval()
    images = torch.zeros(1, 3, 64, 64)
    with torch.inference_mode():
        for asked in (["depth"], ["semantic"], ["depth", "semantic"]):
            output = net(images, tasks=asked)
            assert (output.depth is not None) == ("depth" in asked and "depth" in net.tasks)
            assert (output.logits is not None) == ("semantic" in asked and "semantic" in net.tasks)


def test_one_task_alone_gives_the_same_answer():
    """Asking for one task changes nothing in its answer."""
    net = network().eval()
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        both = net(images)
        assert torch.equal(net(images, tasks=["depth"]).depth, both.depth)
        assert torch.equal(net(images, tasks=["semantic"]).logits, both.logits)


def test_any_image_size_is_answered_at_any_size():
    """Sizes that are no multiple of 32 work, and so does another output size."""
    net = network().eval()
    with torch.inference_mode():
        assert net(torch.zeros(1, 3, 100, 130)).depth.shape == (1, 100, 130)
        assert net(torch.zeros(1, 3, 64, 64), size=(48, 200)).logits.shape == (1, 40, 48, 200)


def test_a_batch_of_one_can_be_trained():
    """The full-image extractor's single value per channel does not stop batch norm."""
    output = network().train()(torch.randn(1, 3, 64, 64))
    (output.depth.mean() + output.logits.mean()).backward()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"variant": "sosdd"}, "variant 'sosdd' is unknown; choose one of semantic, depth, mtl"),
        ({"backbone": "resnet5"}, "backbone 'resnet5' is not a model that timm"),
        ({"backbone": "levit_128s"}, "taps strides 8 and 32; ResNet, .* are families that do"),
    ],
)
def test_what_cannot_be_built_is_refused_in_a_sentence(arguments, sentence):
    """Unknown names and backbones without the two strides are named."""
    with pytest.raises(ValueError, match=sentence):
        network(**arguments)


def test_blocks_are_left_out_in_training_alone():
    """Other ones in every pass; on the robot it is the network without that option."""
    torch.manual_seed(0)
    net = SOSDNet("esosd", COMPACT, drop_path=0.5)
    images = torch.rand(2, 3, 64, 64)
    for module in net.modules():  # else batch norm's statistics differ as well
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
            module.train = lambda mode=True, module=module: module
    with torch.no_grad():
        assert not torch.equal(net.train()(images).depth, net(images).depth)
        plain = SOSDNet("esosd", COMPACT)
        plain.load_state_dict(net.state_dict())
        assert torch.equal(net.eval()(images).depth, plain.eval()(images).depth)


def test_a_backbone_whose_blocks_cannot_be_left_out_is_refused():
    """With the sentence of timm's model."""
    with pytest.raises(ValueError, match=r"legacy_xception' cannot be built with drop_path 0\.2"):
        SOSDNet("esosd", "legacy_xception", drop_path=0.2)


@pytest.mark.parametrize(
    ("backbone", "first"),
    [
        (COMPACT, "blocks.1.0.conv"),
        ("tf_efficientnet_lite0", "blocks.2.0.conv_pw"),
        ("xception65", "blocks_1.stack.conv3.conv_dw"),
        ("legacy_xception", "body.block2.rep.1.conv1"),
    ],
)
def test_frozen_layers_stay_and_all_others_learn(backbone, first):
    """Parameters and batch norm statistics, up to the features at stride 4 as timm lists layers."""
    torch.manual_seed(0)
    net = SOSDNet("sosd", backbone)
    net.backbone.freeze(4)
    net.train()
    before = {name: value.clone() for name, value in net.backbone.features.state_dict().items()}
    optimiser = torch.optim.SGD(net.parameters(), lr=1.0)
    answer = net(torch.rand(2, 3, 64, 64))
    (answer.depth.square().sum() + answer.logits.square().sum()).backward()
    optimiser.step()
    names = [name for name in before if name.endswith(("weight", "bias", "running_mean"))]
    after = net.backbone.features.state_dict()
    moved = [not torch.equal(before[name], after[name]) for name in names]
    [start] = {number for number, name in enumerate(names) if name == f"{first}.weight"}
    assert not any(moved[:start]) and all(moved[start:])


def test_only_strides_that_the_backbone_has_are_frozen():
    """Others are refused with those, and so is a backbone whose taps are no modules of its."""
    with pytest.raises(ValueError, match=r"strides \[2, 4, 8, 16, 32\], but .* ends at stride 3"):
        SOSDNet("sosd", COMPACT).backbone.freeze(3)
    net = SOSDNet("sosd", COMPACT)
    net.backbone.features.feature_info.info[1]["module"] = "stage1"
    with pytest.raises(ValueError, match="does not say which of its modules is 'stage1'"):
        net.backbone.freeze(4)
    assert all(parameter.requires_grad for parameter in net.parameters())
