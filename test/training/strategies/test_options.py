"""Strategies by name, as a configuration gives them, and what they leave in a checkpoint."""

import pytest
import torch
from pydantic import ValidationError

from training import strategies
from training.config import Config


def test_every_file_is_a_strategy(request):
    """Adding one is adding a file."""
    files = (request.config.rootpath / "training" / "strategies").glob("*.py")
    assert {*strategies.NAMES} == {path.stem for path in files} - {"__init__", "base"}
    for name in strategies.NAMES:
        assert strategies.options(name).name == name


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"name": "em", "every": 0}, ("strategy", "every")),
        ({"name": "em", "alpha": [1, 1]}, ("strategy", "alpha")),
        ({"name": "gradnorm", "alpha": -1}, ("strategy", "alpha")),
        ({"name": "mgda", "normalise": "l1"}, ("strategy", "normalise")),
        ({"name": "joint", "alpha": 1}, ("strategy", "alpha")),
    ],
)
def test_a_wrong_option_is_named(value, where):
    """By pydantic, as if the options stood in the configuration itself."""
    with pytest.raises(ValidationError) as error:
        Config(strategy=value)
    assert all(problem["loc"][:2] == where for problem in error.value.errors())


@pytest.mark.parametrize("name", strategies.NAMES)
def test_a_restored_strategy_goes_on_as_if_nothing_had_happened(
    name, make_network, make_strategy, batch, step, tmp_path
):
    """Three steps, and two with one more after a checkpoint, give the same numbers."""
    one, other = (make_strategy(make_network(), name) for _ in range(2))
    for iteration in range(2):
        step(one, batch, iteration)
    torch.save(
        [
            one.network.state_dict(),
            one.state_dict(),
            [optimiser.state_dict() for optimiser in one.optimisers],
        ],
        tmp_path / "state.pt",
    )
    network, state, optimisers = torch.load(tmp_path / "state.pt", weights_only=True)
    other.network.load_state_dict(network)
    other.load_state_dict(state)
    for optimiser, content in zip(other.optimisers, optimisers, strict=True):
        optimiser.load_state_dict(content)

    for strategy in (one, other):
        step(strategy, batch, 2)
    pairs = zip(one.network.parameters(), other.network.parameters(), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)
    assert all(torch.equal(*pair) for pair in zip(one.own, other.own, strict=True))
