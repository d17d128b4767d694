"""The point of least norm, and what the network learns from it."""

import pytest
import torch

from training.learning.losses import losses
from training.strategies.mgda import least_norm


@pytest.mark.parametrize(
    ("a", "b", "weights"),
    [
        ([1.0, 0.0], [0.0, 1.0], [0.5, 0.5]),  # at right angles, equally long
        ([1.0, 0.0], [0.0, 2.0], [0.8, 0.2]),  # |b|^2 / (|a|^2 + |b|^2)
        ([1.0, 0.0], [-3.0, 0.0], [0.75, 0.25]),  # opposed: they cancel
        ([1.0, 0.0], [2.0, 1.0], [1.0, 0.0]),  # b is longer along a than a: a alone
        ([5.0, 1.0], [1.0, 0.0], [0.0, 1.0]),  # and the other way round
        ([1.0, 2.0], [1.0, 2.0], [0.5, 0.5]),  # equal: any
        ([0.0, 0.0], [1.0, 0.0], [1.0, 0.0]),  # one is stationary already
    ],
)
def test_least_norm_by_hand(a, b, weights):
    """Of two vectors in the plane."""
    pair = torch.tensor([a, b])
    assert least_norm(pair @ pair.T).tolist() == pytest.approx(weights)


@pytest.mark.parametrize("ulps", [-2, -1, 0, 1, 2])
@pytest.mark.parametrize("size", [1e-20, 1.0, 1e20])
def test_of_vectors_that_differ_by_rounding_alone_each_counts_half(size, ulps):
    """Whatever the sums of their products say of the last digits."""
    gram = torch.tensor([[1.0, 1.0], [1.0, 1.0 + ulps * torch.finfo().eps]])
    assert least_norm(size * gram).tolist() == [0.5, 0.5]


def test_least_norm_against_every_point_between():
    """No point of the segment, at steps of 1/1000, is shorter."""
    torch.manual_seed(0)
    gamma = torch.linspace(0, 1, 1001)[:, None]
    for _ in range(100):
        pair = torch.randn(2, 5) * torch.rand(2, 1) + torch.randn(5)
        answer = (least_norm(pair @ pair.T) @ pair).norm()
        assert answer <= (gamma * pair[0] + (1 - gamma) * pair[1]).norm(dim=1).min() + 1e-5


def by_representation(by_task, shared):
    """The gradient of each loss, as the rows of a matrix."""
    return torch.stack(
        [
            torch.cat([part.flatten() for part in torch.autograd.grad(loss, shared, None, True)])
            for loss in by_task.values()
        ]
    )


@pytest.mark.parametrize("variant", ["mtl", "sosd"])
def test_what_comes_before_the_representation_learns_from_the_point_of_least_norm(
    variant, make_network, make_strategy, batch
):
    """The tasks' own parts learn from the sum of the losses; the direction is downhill for both."""
    network = make_network(variant)
    strategy = make_strategy(network, "mgda")
    output = network(batch.images)
    by_task = losses(output, batch)
    rows = by_representation(by_task, output.shared)
    weights = least_norm(rows @ rows.T)
    assert (weights > 0).all()
    direction = weights @ rows
    assert (rows @ direction >= 0.999 * direction.square().sum()).all()

    parameters = list(network.parameters())
    depth, semantic = (
        torch.autograd.grad(loss, parameters, None, True, materialize_grads=True)
        for loss in by_task.values()
    )
    strategy.combine(by_task, output.shared).backward()
    own = {p for task in network.tasks for p in network.task_parameters(task)}
    for parameter, d, s in zip(parameters, depth, semantic, strict=True):
        expected = d + s if parameter in own else weights[0] * d + weights[1] * s
        assert (parameter.grad - expected).norm() <= 1e-3 * expected.norm() + 1e-5


def test_the_refined_features_stand_apart_from_the_common_representation(
    make_network, make_strategy, batch
):
    """The backbone makes one from the other, but their gradients are of the direct use alone."""
    network = make_network("mtl")
    before = network.eval()(batch.images)
    make_strategy(network, "mgda")
    after = network(batch.images)
    assert torch.equal(before.depth, after.depth)
    for output, is_apart in ((before, False), (after, True)):
        common, refined = output.shared
        (gradient,) = torch.autograd.grad(common.sum(), refined, allow_unused=True)
        assert (gradient is None) == is_apart


@pytest.mark.parametrize("normalise", ["none", "l2", "loss", "loss+"])
def test_normalisation_changes_the_weights_alone(normalise, make_network, make_strategy, batch):
    """They are those of the gradients divided by norm, loss, or both."""
    network = make_network("mtl")
    strategy = make_strategy(network, "mgda", normalise=normalise)
    output = network(batch.images)
    by_task = losses(output, batch)
    rows = by_representation(by_task, output.shared)
    values = torch.stack([loss.detach() for loss in by_task.values()])
    if "l2" in normalise or "+" in normalise:
        rows = rows / rows.norm(dim=1, keepdim=True)
    if "loss" in normalise:
        rows = rows / values[:, None]
    weights = least_norm(rows @ rows.T)

    layer = network.get_parameter("common.conv.conv.weight")
    alone = [torch.autograd.grad(loss, layer, None, True)[0] for loss in by_task.values()]
    strategy.combine(by_task, output.shared).backward()
    expected = weights[0] * alone[0] + weights[1] * alone[1]
    torch.testing.assert_close(layer.grad, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("normalise", ["none", "loss+"])
def test_a_task_without_truth_breaks_nothing(normalise, make_network, make_strategy, batch, step):
    """Its gradient is zero, and so is the point of least norm: what is shared does not move."""
    strategy = make_strategy(make_network("mtl"), "mgda", normalise=normalise)
    step(strategy, batch._replace(depth=torch.full_like(batch.depth, torch.nan)))
    assert not strategy.network.get_parameter("common.conv.conv.weight").grad.any()
    head = strategy.network.semantic_head.conv.weight
    assert head.grad.any() and head.isfinite().all()
