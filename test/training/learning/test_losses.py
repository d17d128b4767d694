"""Eq. 6 and 7 with numbers worked out by hand."""

import math

import pytest
import torch

from sosd_ros.network import Output
from training.config import Loss
from training.data.loader import Batch
from training.learning.losses import (
    gradient_sum,
    known_pixels,
    losses,
    scale_invariant_sum,
    spread_sum,
)

NAN = float("nan")
NOTHING = (torch.empty(0), torch.empty(0))


def depth_loss(depth, truth, pixels=None):
    batch = Batch(torch.empty(0), truth, torch.full(truth.shape, 255, dtype=torch.uint8))
    return losses(Output(depth, None, NOTHING), batch, pixels)["depth"]


def semantic_loss(logits, labels, pixels=None):
    batch = Batch(torch.empty(0), torch.full(labels.shape, NAN), labels)
    return losses(Output(None, logits, NOTHING), batch, pixels)["semantic"]


def test_depth_loss_is_the_mean_error_over_valid_pixels():
    """|1 - 2| and |5 - 2| over two valid pixels: 2; the invalid one gives no gradient."""
    depth = torch.tensor([[[1.0, 5.0, 9.0]]], requires_grad=True)
    loss = depth_loss(depth, torch.tensor([[[2.0, 2.0, NAN]]]))
    loss.backward()
    assert loss.item() == 2.0
    assert depth.grad.tolist() == [[[-0.5, 0.5, 0.0]]]


def test_semantic_loss_averages_over_labelled_pixels():
    """Scores (0, 0) cost log 2, scores (log 3, 0) for class 0 cost log 4/3; 255 costs nothing."""
    logits = torch.tensor([[0.0, math.log(3), 9.0], [0.0, 0.0, -9.0]]).view(1, 2, 1, 3)
    loss = semantic_loss(logits, torch.tensor([[[1, 0, 255]]], dtype=torch.uint8))
    assert math.isclose(loss.item(), (math.log(2) + math.log(4 / 3)) / 2, rel_tol=1e-6)


def test_a_batch_without_truth_costs_nothing_and_breaks_nothing():
    """No valid pixel at all: zero loss, zero and finite gradients."""
    depth = torch.ones(1, 2, 2, requires_grad=True)
    logits = torch.ones(1, 3, 2, 2, requires_grad=True)
    loss = depth_loss(depth, torch.full((1, 2, 2), NAN))
    loss = loss + semantic_loss(logits, torch.full((1, 2, 2), 255, dtype=torch.uint8))
    loss.backward()
    assert loss.item() == 0
    assert not depth.grad.any() and not logits.grad.any()


def test_parts_of_a_batch_add_up_to_the_whole():
    """Parts with one and with three known pixels, each averaged over all four."""
    depth, truth = torch.zeros(2, 1, 3), torch.tensor([[[NAN, 4.0, NAN]], [[1.0, 2.0, 5.0]]])
    labels = torch.tensor([[[255, 0, 255]], [[1, 1, 0]]], dtype=torch.uint8)
    batch = Batch(torch.empty(2), truth, labels)
    pixels = known_pixels(batch)
    assert {task: count.item() for task, count in pixels.items()} == {"depth": 4, "semantic": 4}
    parts = [depth_loss(depth[i : i + 1], truth[i : i + 1], pixels).item() for i in (0, 1)]
    assert parts == [1.0, 2.0]
    assert sum(parts) == depth_loss(depth, truth).item()

    logits = torch.arange(12.0).view(2, 2, 1, 3)
    parts = [semantic_loss(logits[i : i + 1], labels[i : i + 1], pixels).item() for i in (0, 1)]
    assert sum(parts) == pytest.approx(semantic_loss(logits, labels).item())


def test_log_depth_weighs_errors_by_the_distance():
    """1 for 2 and 8 for 4 metres: log 2 each; an answer below the least counts as the least."""
    depth = torch.tensor([[[1.0, 8.0, -3.0, 5.0]]], requires_grad=True)
    truth = torch.tensor([[[2.0, 4.0, 0.2, NAN]]])
    batch = Batch(torch.empty(0), truth, torch.full(truth.shape, 255, dtype=torch.uint8))
    output = Output(depth, None, NOTHING)
    plain = losses(output, batch)["depth"]
    loss = losses(output, batch, weights=Loss(log_depth=0.5))["depth"]
    assert (loss - plain).item() == pytest.approx(0.5 * math.log(2), rel=1e-6)
    loss.backward()
    assert depth.grad[0, 0, 2].item() == pytest.approx(-1 / 3)  # of eq. 7 alone
    assert depth.grad[0, 0, 3].item() == 0


def test_squared_depth_adds_the_mean_squared_error():
    """Errors of 1 and 3 metres: 5 square metres; a pixel without truth counts for nothing."""
    depth = torch.tensor([[[1.0, 7.0, 5.0]]], requires_grad=True)
    truth = torch.tensor([[[2.0, 4.0, NAN]]])
    batch = Batch(torch.empty(0), truth, torch.full(truth.shape, 255, dtype=torch.uint8))
    output = Output(depth, None, NOTHING)
    loss = losses(output, batch, weights=Loss(squared_depth=0.5))["depth"]
    assert loss.item() == pytest.approx((1 + 3) / 2 + 0.5 * 5)
    loss.backward()
    assert depth.grad[0, 0, 2].item() == 0


def test_one_factor_costs_what_it_may_not_take_away():
    """Two images whose every known pixel is e times too far: 1 - share for each pixel."""
    truth = torch.tensor([[[1.0, 2.0, NAN]], [[4.0, 4.0, 4.0]]])
    depth = math.e * truth.nan_to_num(1)
    for share, wanted in ((0.0, 5.0), (0.85, 0.75), (1.0, 0.0)):
        total = scale_invariant_sum(depth, truth, share)
        torch.testing.assert_close(total, torch.tensor(wanted), atol=1e-5, rtol=0)


def test_a_part_of_a_mini_batch_has_its_share_of_the_scale_invariant_error():
    """The sum over parts is that of the whole, since each image stands for itself."""
    random = torch.Generator().manual_seed(0)
    depth, truth = torch.rand(2, 4, 5, 6, generator=random) + 0.5
    whole = scale_invariant_sum(depth, truth, 0.85)
    parts = sum(scale_invariant_sum(depth[n : n + 1], truth[n : n + 1], 0.85) for n in range(4))
    torch.testing.assert_close(whole, parts)


def test_a_missing_edge_costs_its_height():
    """A step of e between two columns, answered as flat, over each distance that crosses it."""
    truth = torch.tensor([[[1.0, 1.0, math.e, math.e]] * 2])
    flat = torch.ones(1, 2, 4)
    # One pair 1 apart and two pairs 2 apart in each row; none 4 or 8 apart. Mean of four scales.
    torch.testing.assert_close(gradient_sum(flat, truth), torch.tensor(2 * (1 + 2) / 4))
    assert gradient_sum(3 * truth, truth) == pytest.approx(0, abs=1e-6)
    truth[0, :, 2:] = NAN
    assert gradient_sum(flat, truth) == 0


def test_the_spread_learns_how_much_the_answer_errs():
    """Its loss is least where it is the mean |log error|; the answer itself learns nothing."""
    truth = torch.tensor([[[2.0, 2.0, NAN]]])
    depth = torch.tensor([[[2 * math.exp(0.1), 2 * math.exp(-0.3), 7.0]]], requires_grad=True)
    spread = torch.tensor(0.2, requires_grad=True)
    spread_sum(spread.expand(1, 1, 3), depth, truth).backward()
    assert spread.grad == pytest.approx(0, abs=1e-5)
    assert depth.grad is None
    both = [spread_sum(torch.full((1, 1, 3), b), depth, truth) for b in (0.1, 0.2, 0.4)]
    assert both[1] < both[0] and both[1] < both[2]


@pytest.mark.parametrize("name", ["scale_invariant", "gradient"])
def test_what_is_added_to_eq_7_has_its_weight(name):
    """Twice the weight, twice the addition."""
    truth = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    output = Output(torch.full((1, 2, 2), 2.0), None, NOTHING)
    batch = Batch(torch.empty(0), truth, torch.full(truth.shape, 255, dtype=torch.uint8))
    plain, once, twice = (
        losses(output, batch, weights=Loss(**{name: weight}))["depth"] for weight in (0, 1, 2)
    )
    assert once > plain
    torch.testing.assert_close(twice - plain, 2 * (once - plain))
