"""What goes beyond the paper's network: answers at stride 4, log depth, and its spread."""

import math

import pytest
import torch
from torch.nn import functional

from sosd_ros.network import VARIANTS, SOSDNet
from sosd_ros.network.decoder import CommonRepresentation
from sosd_ros.network.layers import DepthConv
from sosd_ros.network.sharp import ConvexUpsampling, Detail

COMPACT = "mobilenetv4_conv_small"
ALL = {
    "taps": (4, 8, 16, 32),
    "padding": "replicate",
    "depth_form": "log",
    "spread": True,
    "dropout": 0.1,
}


def network(variant="sosd", **changes):
    torch.manual_seed(0)
    return SOSDNet(variant, COMPACT, **(ALL | changes))


def upsampling(channels=64):
    torch.manual_seed(0)
    return ConvexUpsampling(channels).eval()


def maps(channels=64, size=(6, 8)):
    random = torch.Generator().manual_seed(0)
    return [torch.rand(2, c, *size, generator=random) for c in (3, channels, Detail.out_channels)]


def test_upsampling_starts_as_bilinear_interpolation():
    """Where the features say nothing, but for the small weights that let all nine be learned."""
    coarse, *_ = maps()
    nothing = [torch.zeros(2, channels, 6, 8) for channels in (64, Detail.out_channels)]
    bilinear = functional.interpolate(coarse, scale_factor=2, mode="bilinear")
    with torch.no_grad():
        fine = upsampling()(coarse, *nothing)
    torch.testing.assert_close(fine, bilinear, rtol=0, atol=0.01)


def test_what_is_upsampled_lies_between_its_neighbours():
    """With any weights, each fine value is a mean of the nine coarse ones around it."""
    module = upsampling()
    torch.nn.init.normal_(module.weigh.weight, std=3.0)
    coarse, feature, detail = maps()
    with torch.no_grad():
        fine = module(coarse, feature, detail)
    around = functional.pad(coarse, (1, 1, 1, 1), mode="replicate")
    most, less = (functional.max_pool2d(sign * around, 3, stride=1) for sign in (1, -1))
    most, less = (m.repeat_interleave(2, 2).repeat_interleave(2, 3) for m in (most, less))
    assert (fine <= most + 1e-5).all() and (fine >= -less - 1e-5).all()
    bilinear = functional.interpolate(coarse, scale_factor=2, mode="bilinear")
    assert (fine - bilinear).abs().max() > 0.1


def test_details_stay_where_they_are():
    """A bright pixel at stride 4 lights up its own position at stride 8, in one of four places."""
    module = Detail(1).eval()
    torch.nn.init.zeros_(module.conv.conv.weight)
    module.conv.conv.weight.data[0, 0, 1, 1] = 1
    fine = torch.zeros(1, 1, 12, 16)
    fine[0, 0, 5, 8] = 1
    with torch.no_grad():
        folded = module(fine, (6, 8))
    assert folded.shape == (1, Detail.out_channels, 6, 8)
    assert folded.nonzero().tolist() == [[0, 2, 2, 4]]  # odd row, even column


@pytest.mark.parametrize("size", [(64, 96), (100, 130), (97, 129)])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_answers_images_of_any_size(variant, size):
    """At the images' own size, and with what belongs to its tasks."""
    changes = {"spread": False} if variant == "semantic" else {}
    net = network(variant, **changes).eval()
    with torch.inference_mode():
        output = net(torch.rand(1, 3, *size))
    assert (output.logits is None) == (variant == "depth")
    for answer in (output.depth, output.spread):
        assert (answer is None) == (variant == "semantic")
        assert answer is None or (answer.shape == (1, *size) and (answer > 0).all())


@pytest.mark.parametrize(("taps", "stride"), [((8, 32), 8), ((8, 16, 32), 8), ((4, 8, 32), 4)])
def test_the_finest_tap_gives_the_stride_of_the_answers(taps, stride):
    """Asked for answers of that size, the network upsamples no further."""
    net = network(taps=taps).eval()
    images = torch.rand(1, 3, 64, 96)
    assert net.answer_size(images) == (64 // stride, 96 // stride)
    with torch.inference_mode():
        own = net(images, size=net.answer_size(images))
        full = net(images)
    for small, large in ((own.depth[:, None], full.depth[:, None]), (own.logits, full.logits)):
        upsampled = functional.interpolate(small, size=(64, 96), mode="bilinear")
        torch.testing.assert_close(upsampled, large)


def test_features_at_stride_16_reach_the_common_representation():
    """And are not there in the paper's."""
    common = CommonRepresentation(32, 12).eval()
    middle = torch.rand(1, 12, 4, 6, requires_grad=True)
    common(torch.rand(1, 32, 2, 3), (8, 12), middle).sum().backward()
    assert middle.grad.abs().sum() > 0
    assert not hasattr(CommonRepresentation(32), "fuse")


def test_log_depth_begins_where_it_is_told_to():
    """At every position, up to what random features add; the spread begins at a fifth."""
    net = network().eval()
    net.begin_at(2.5)
    with torch.inference_mode():
        output = net(torch.rand(1, 3, 64, 96))
    assert output.depth.log().sub(math.log(2.5)).abs().max() < 0.05
    assert output.spread.log().sub(math.log(0.2)).abs().max() < 0.05


def test_a_border_is_no_edge_with_replicate_padding():
    """The same features everywhere give the same depth everywhere; zeros beyond do not."""
    torch.manual_seed(0)
    flat = torch.ones(1, 65, 6, 8)
    for padding, varies in (("replicate", False), ("zeros", True)):
        with torch.no_grad():
            depth = DepthConv(65, 1, 5, padding)(flat)
        assert (depth.std() > 1e-4) == varies


def test_depth_keeps_its_digits_under_autocast():
    """The last convolution runs in float32, and so its answers are no numbers of bfloat16."""
    torch.manual_seed(0)
    conv = DepthConv(8, 1, 5)
    features = torch.rand(1, 8, 6, 8).bfloat16()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        depth = conv(features)
    assert depth.dtype == torch.float32
    assert not torch.equal(depth, depth.bfloat16().float())


def test_features_are_dropped_in_training_alone():
    """Another answer in every pass then, and the same one on the robot."""
    net = network().train()
    images = torch.rand(2, 3, 64, 64)
    for module in net.modules():  # else batch norm's statistics differ as well
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
    with torch.no_grad():
        assert not torch.equal(net(images).depth, net(images).depth)
        net.eval()
        assert torch.equal(net(images).depth, net(images).depth)


def test_every_parameter_of_a_task_is_its_own_or_shared():
    """What sharpens a task's answers is its own, what finds details is shared."""
    net = network()
    own = {task: {*net.task_parameters(task)} for task in net.tasks}
    assert {*net.depth_upsampling.parameters()} <= own["depth"]
    assert {*net.semantic_upsampling.parameters()} <= own["semantic"]
    assert not own["depth"] & own["semantic"]
    assert not {*net.detail.parameters()} & (own["depth"] | own["semantic"])
    output = net(torch.rand(2, 3, 64, 64))
    (output.depth.sum() + output.logits.sum() + output.spread.sum()).backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"taps": (8, 16)}, r"taps are \[8, 16\], expected strides of \[4, 8, 16, 32\] in that"),
        ({"taps": (32, 8)}, r"taps are \[32, 8\]"),
        ({"taps": (2, 8, 32)}, r"taps are \[2, 8, 32\]"),
        ({"padding": "reflect"}, "padding 'reflect' is unknown; choose one of zeros, replicate"),
        ({"depth_form": "bins"}, "depth_form 'bins' is unknown; choose one of linear, log"),
        ({"variant": "semantic"}, "has no depth that could have a spread"),
    ],
)
def test_what_no_network_can_be_built_of_is_refused(changes, sentence):
    """With the setting, its value and what was expected."""
    with pytest.raises(ValueError, match=sentence):
        network(**changes)


def test_where_nothing_is_known_nothing_becomes_nan():
    """No truth holds the answers there: they may go beyond what a float32 can be the exp of."""
    learner = network().train()
    bias = learner.depth_head.depth.bias
    torch.nn.init.constant_(bias, 200.0)
    output = learner(torch.randn(2, 3, 64, 96))
    known = torch.zeros_like(output.depth, dtype=torch.bool)
    known[:, :8] = True
    unknown = torch.where(known, output.depth.log() + output.spread.log(), 0)
    unknown.sum().backward()
    assert all(p.grad.isfinite().all() for p in learner.parameters() if p.grad is not None)
    assert (bias.grad > 0).all()  # what is known still brings them back
