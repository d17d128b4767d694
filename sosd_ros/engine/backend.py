"""What runs the network itself: the interface that all backends share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from ..weights import Weights
from .answers import Answers

Tell = Callable[[str], None]  # where progress and reasons go, sentence by sentence
Files = Mapping[tuple[int, int], Path]  # built ones by (height, width) of the inputs


class EngineError(RuntimeError):
    """An engine that cannot be made; the message says why and what to do."""


@dataclass(frozen=True)
class Deployment:
    """What is to run where, and how exactly.

    Attributes:
        weights: a verified weights file.
        device: where the network runs; its inputs and answers lie there.
        precision: of the backend's ``precisions``.
    """

    weights: Weights
    device: torch.device
    precision: str


class Backend(ABC):
    """Runs the network of a weights file on a device, at a precision.

    A new one is a subclass with a ``name``, its ``precisions``, ``__init__`` and ``__call__``, that
    stands in ``stock.BACKENDS``. One that runs from files has a ``suffix`` and a ``build`` as well.

    Args:
        deployment: of which weights, where, at which precision.
        files: that ``build`` has made, by (height, width) of the inputs; none where nothing needs
            to be built.

    Attributes:
        name: as the node's parameter ``backend`` has it.
        precisions: that it offers, by type of device, fastest first as a rule.
        suffix: of the files that it runs from, such as ``.onnx``; empty if it needs none.
        libraries: distributions whose versions the built files depend on.
        uses_graph: whether all work on a frame is to be captured as one CUDA graph.
    """

    name: ClassVar[str]
    precisions: ClassVar[Mapping[str, Sequence[str]]]
    suffix: ClassVar[str] = ""
    libraries: ClassVar[Sequence[str]] = ("torch",)
    uses_graph: bool = False

    @abstractmethod
    def __init__(self, deployment: Deployment, files: Files) -> None: ...

    @abstractmethod
    def __call__(self, inputs: torch.Tensor, tasks: Collection[str]) -> Answers:
        """Run the network.

        Args:
            inputs: (N, 3, h, w) float32, prepared images.
            tasks: that are wanted. What is built answers all it has.
        """

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        """The (height, width) that inputs may be of; any, if there are none."""
        return ()

    def accepts(self, size: tuple[int, int]) -> bool:
        """Whether inputs may be of this (height, width)."""
        return not self.sizes or size in self.sizes

    @classmethod
    def missing(cls) -> str:
        """What to install, in words, before this can be used; empty if nothing."""
        return ""

    @classmethod
    def build(cls, deployment: Deployment, size: tuple[int, int], path: Path) -> None:
        """Write the file that inputs of a (height, width) need.

        Raises:
            Exception: of a compiler or an exporter.
        """
        raise NotImplementedError(f"backend {cls.name} needs nothing to be built")
