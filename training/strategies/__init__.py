"""How the losses of the tasks move the parameters: one strategy a file.

A file ``NAME.py`` here with a class ``STRATEGY`` is the strategy ``NAME``; nothing else has to
know of it.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from sosd_ros.network import SOSDNet

from .base import MakeOptimiser, Options, Strategy

DEFAULT = "em"
NAMES = tuple(sorted({module.name for module in pkgutil.iter_modules(__path__)} - {"base"}))


def options(value: Any) -> Options:
    """The options of the strategy that ``value`` names: a name, or a mapping.

    Without a ``name`` in it, a mapping has the options of ``DEFAULT``.

    Raises:
        ValueError: on an unknown name; pydantic's ValidationError on a wrong option.
    """
    if isinstance(value, Options):
        return value
    values = {"name": DEFAULT, **value} if isinstance(value, Mapping) else {"name": value}
    name = values["name"]
    if name not in NAMES:
        raise ValueError(f"strategy {name!r} is unknown; choose one of {', '.join(NAMES)}")
    return kind(name).Options.model_validate(values)


def create(options: Options, network: SOSDNet, make_optimiser: MakeOptimiser) -> Strategy:
    """The strategy with these options, for a network; a configuration has seen that they fit."""
    return kind(options.name)(network, options, make_optimiser)


def kind(name: str) -> type[Strategy]:
    """The class of a strategy, by the name of its module."""
    strategy: type[Strategy] = import_module(f".{name}", __package__).STRATEGY
    return strategy
