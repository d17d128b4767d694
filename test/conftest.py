"""Fixtures for all tests: small weights, and a generator whose seed is printed."""

from __future__ import annotations

import numpy as np
import pytest
from support import write_small_weights

_left_out = pytest.StashKey[int]()


def pytest_deselected(items):
    config = items[0].config
    slow = sum(item.get_closest_marker("slow") is not None for item in items)
    config.stash[_left_out] = config.stash.get(_left_out, 0) + slow
    if hasattr(config, "workeroutput"):  # of pytest-xdist, whose controller has no items
        config.workeroutput["left out"] = config.stash[_left_out]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    node.config.stash[_left_out] = getattr(node, "workeroutput", {}).get("left out", 0)


def pytest_terminal_summary(terminalreporter, config):
    """Say what the run has not tested."""
    if count := config.stash.get(_left_out, 0):
        terminalreporter.write_line(f"{count} slow tests left out; `make test-all` runs them")


@pytest.fixture(scope="session")
def small_weights(tmp_path_factory):
    """Path of a weights file that is quick to run."""
    return write_small_weights(tmp_path_factory.mktemp("weights") / "small.safetensors")


@pytest.fixture
def random(request):
    """A seeded generator; pytest shows the seed of a test that fails."""
    seed = 20240607
    print(f"seed {seed}")
    return np.random.default_rng(seed)
