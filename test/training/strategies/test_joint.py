"""Joint training, which every strategy is a change of."""

import pytest
import torch

from training import strategies
from training.config import Config


def test_one_step_moves_everything(make_network, make_strategy, batch, step):
    """The sum of both losses reaches both paths and what they share."""
    network = make_network("sosd")
    before = {name: value.clone() for name, value in network.named_parameters()}
    assert list(step(make_strategy(network, "joint"), batch)) == ["depth", "semantic"]
    moved = {n for n, value in network.named_parameters() if not torch.equal(value, before[n])}
    for part in {name.split(".")[0] for name in before}:
        names = {name for name in before if name.startswith(part)}
        assert len(moved & names) > 0.5 * len(names), part


@pytest.mark.parametrize("variant", ["depth", "semantic"])
def test_a_single_path_has_a_single_loss(variant, make_network, make_strategy, batch, step):
    """The variants of Tables 1 to 3 that know one task."""
    assert list(step(make_strategy(make_network(variant), "joint"), batch)) == [variant]


@pytest.mark.parametrize(
    "name", [name for name in strategies.NAMES if strategies.kind(name).needs_both_tasks]
)
def test_what_balances_tasks_needs_two(name):
    """The sentence says what to use instead."""
    with pytest.raises(ValueError, match=f"{name} needs two tasks.*'depth' has one; use .* joint"):
        Config.model_validate({"network": {"variant": "depth"}, "strategy": name})
