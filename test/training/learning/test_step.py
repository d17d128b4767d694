"""A mini-batch's way through the trainer: parts, precision, averages, and what it refuses."""

import functools
import itertools
import warnings

import pytest
import torch
from tiny_training import SIZE, batch, trainer
from torch import nn

from sosd_ros.network import prepare
from training import distributed
from training.learning.losses import losses
from training.learning.step import NotFiniteError


def steps(learner, count=3, rate=1e-2):
    return [learner.step(batch(seed), seed, 0, rate) for seed in range(count)]


def parameters(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def floating(net):
    """Parameters and the statistics of batch norms."""
    values = [v for v in net.state_dict().values() if v.is_floating_point()]
    return torch.cat([value.detach().flatten() for value in values])


@pytest.mark.parametrize("strategy", ["joint", "em", "uncertainty"])
def test_a_batch_in_parts_is_the_batch(strategy):
    """Losses and parameters are those of the whole, although the parts' known pixels differ."""
    whole, parts = (trainer(batch_norm=False, strategy=strategy, accumulate=n) for n in (1, 4))
    for one, other in zip(steps(whole), steps(parts), strict=True):
        assert other == pytest.approx(one, rel=1e-4)
    # Adam divides by the gradient's size, and so makes much of a rounding of a gradient near 0.
    difference = (parameters(whole.network) - parameters(parts.network)).abs()
    assert difference.median() < 1e-6 and difference.mean() < 1e-4


def test_truth_of_every_other_pixel_is_learned_from():
    """Its loss is that of the network's answers there, whatever the other pixels' truth is."""
    small = batch(0)
    small = small._replace(depth=small.depth[:, ::2, ::2], labels=small.labels[:, ::2, ::2])
    learner = trainer()
    seen = learner.step(small, 0, 0, 1e-2)
    assert small.depth.shape[1:] == (SIZE[0] // 2, SIZE[1] // 2)
    fresh = trainer().network.train()
    images = prepare(small.images, SIZE, *learner.normalisation)
    expected = losses(fresh(images, size=small.depth.shape[1:]), small)
    assert seen == pytest.approx({task: loss.item() for task, loss in expected.items()}, rel=1e-4)


def test_gradients_are_clipped_to_the_norm():
    """The norm over all parameters is the limit, where it was beyond."""
    learner = trainer(optimiser={"clip": 0.5})
    learner.step(batch(), 0, 0, 1e-2)
    gradients = [p.grad for p in learner.network.parameters() if p.grad is not None]
    assert torch.nn.utils.get_total_norm(gradients) == pytest.approx(0.5, rel=1e-3)


@pytest.mark.parametrize(("decay", "kept"), [(0.125, 0.125), (0.998, 2 / 11)])
def test_the_moving_average_is_what_is_measured(decay, kept):
    """After the first step it is the network; then a decayed mean of the networks that followed,
    which soon forgets the untrained one.

    Of their batch norms' statistics as well; whole numbers have no mean, and are the network's.
    """
    learner = trainer(ema=decay)
    learner.step(batch(0), 0, 0, 1e-2)
    first = floating(learner.network)
    learner.step(batch(1), 1, 0, 1e-2)
    expected = kept * first + (1 - kept) * floating(learner.network)
    assert learner.measured is not learner.network
    assert torch.allclose(floating(learner.measured), expected, atol=1e-6)
    averages = learner.measured.state_dict()
    counts = {n: v for n, v in learner.network.state_dict().items() if not v.is_floating_point()}
    assert counts and all(torch.equal(averages[name], count) for name, count in counts.items())
    assert trainer().measured.tasks == learner.measured.tasks


@pytest.mark.parametrize(
    ("precision", "strategy"), itertools.product(("bfloat16", "float16"), ("joint", "em"))
)
def test_half_precision_learns(precision, strategy):
    """The first loss agrees to the digits that half precision has, and the depth's falls.

    The first steps of float16 are none, while the scaler finds a factor that does not overflow.
    """
    learner = trainer(precision=precision, strategy=strategy)
    seen = [learner.step(batch(0), number, 0, 1e-3) for number in range(16)]
    exact = trainer(strategy=strategy).step(batch(0), 0, 0, 1e-3)
    assert seen[0] == pytest.approx(exact, rel=0.01)
    depth = [losses["depth"] for losses in seen if "depth" in losses]
    assert depth[-1] < 0.6 * depth[0]


def test_float16_scales_the_loss():
    """Its smallest gradients would otherwise be zero."""
    assert trainer(precision="float16").scaler.is_enabled()
    assert not trainer(precision="bfloat16").scaler.is_enabled()


@pytest.mark.parametrize("strategy", ["joint", "em"])
def test_a_compiled_network_learns_the_same(strategy, monkeypatch):
    """Through torch.compile with its plainest backend; the others take minutes to compile."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    plain, compiled = (trainer(strategy=strategy, compile=c) for c in (False, True))
    assert compiled.model is not compiled.network
    for one, other in zip(steps(plain, rate=1e-3), steps(compiled, rate=1e-3), strict=True):
        assert other == pytest.approx(one, rel=1e-3)


def test_a_loss_that_is_not_finite_moves_nothing_and_names_the_samples():
    """The sentence says which pictures it was, and what to do."""
    learner = trainer()
    before = parameters(learner.network).clone()
    bad = batch(7)
    bad.depth[2, 20, 20] = 3e38
    bad.depth[3, 20, 20] = 3e38
    with pytest.raises(
        NotFiniteError, match=r"the depth loss is inf on the samples 7-0, 7-1, 7-2, 7-3"
    ):
        learner.step(bad, 0, 0, 1e-2)
    assert torch.equal(parameters(learner.network), before)


def test_a_gradient_that_is_not_finite_moves_nothing():
    """To clip it would make NaN of all parameters, which the next checkpoint would keep."""
    learner = trainer(optimiser={"clip": 0.5})
    before = parameters(learner.network).clone()
    next(learner.network.depth_head.parameters()).register_hook(lambda grad: grad / 0)
    with pytest.raises(NotFiniteError, match=r"a gradient is not finite on the samples 7-0, 7-1"):
        learner.step(batch(7), 0, 0, 1e-2)
    assert torch.equal(parameters(learner.network), before)


def test_the_weights_of_uncertainty_learn_faster_than_the_network():
    """Adam's first step is one learning rate long, and theirs is ten times the network's."""
    learner = trainer(strategy="uncertainty")
    learner.step(batch(), 0, 0, 1e-3)
    assert [s.abs().item() for s in learner.strategy.own] == pytest.approx([1e-2, 1e-2], rel=1e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_step_waits_for_the_gpu_once(precision):
    """For the losses and the norm together; averages and the scaler stay on the GPU."""
    changes = {"optimiser": {"clip": 1.0}, "ema": 0.9, "precision": precision}
    learner = trainer(device="cuda", **changes)
    pinned = [batch(seed)._each(torch.Tensor.pin_memory, ()) for seed in range(4)]
    for number, given in enumerate(pinned):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            learner.step(given, number, 0, 1e-3)
            torch.cuda.set_sync_debug_mode("default")
    waits = [str(one.message) for one in caught if "called a synchronizing" in str(one.message)]
    assert len(waits) == 1, waits


def test_batch_norm_over_all_processes_keeps_the_activations():
    """It changes what is normalised by, and so nothing where nothing is normalised by a batch."""
    net = trainer().network.eval()
    images = torch.randn(1, 3, *SIZE)
    before = net(images)
    distributed.synchronise_batch_norm(net)
    norms = [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert norms and all(isinstance(norm, nn.SyncBatchNorm) for norm in norms)
    after = net(images)
    assert torch.equal(before.depth, after.depth) and torch.equal(before.logits, after.logits)


def test_frozen_batch_norms_stay_so_over_all_processes():
    """Those that take their places do not learn from batches, either."""
    net = trainer().network
    net.backbone.freeze(4)
    distributed.synchronise_batch_norm(net)
    first, *_, last = (m for m in net.train().modules() if isinstance(m, nn.SyncBatchNorm))
    assert not first.training and last.training


def test_state_goes_from_one_trainer_to_another():
    """Both then take the same next step, bit for bit."""
    one = trainer(strategy="em", ema=0.9, precision="float16")
    steps(one)
    other = trainer(strategy="em", ema=0.9, precision="float16")
    other.load_state_dict(one.state_dict())
    for learner in (one, other):
        learner.step(batch(9), 3, 0, 1e-2)
    assert torch.equal(parameters(one.network), parameters(other.network))
    assert torch.equal(parameters(one.measured), parameters(other.measured))


def test_new_layers_may_learn_faster_and_weights_may_decay():
    """Of a gradient of nothing, only decay moves a weight: by rate x factor x decay of itself."""
    options = {"learning_rate": 1e-2, "head_factor": 10, "weight_decay": 0.5}
    learner = trainer(optimiser=options)
    before = {name: p.detach().clone() for name, p in learner.network.named_parameters()}
    nothing = batch()
    nothing.depth.fill_(torch.nan)
    nothing.labels.fill_(255)
    learner.step(nothing, 0, 0, 1e-2)
    for name, parameter in learner.network.named_parameters():
        factor = 1 if name.startswith("backbone.") else 10
        decay = 0.5 if parameter.ndim > 1 else 0
        expected = before[name] * (1 - 1e-2 * factor * decay)
        torch.testing.assert_close(parameter.detach(), expected, msg=name)
