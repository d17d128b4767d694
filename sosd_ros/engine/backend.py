"""What runs the network itself: the interface that all backends share."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import torch

from ..weights import Weights

Tell = Callable[[str], None]  # where progress and reasons go, sentence by sentence


class Answers(NamedTuple):
    """The network's answers at its stride; ``None`` for what was not asked for.

    Attributes:
        depth: (N, h/8, w/8) float32 in the unit that the network was trained in. Of a network that
            answers at stride 4, all are (h/4, w/4).
        logits: (N, classes, h/8, w/8) float32 class scores.
        spread: (N, h/8, w/8) float32, the scale of a Laplace distribution over log depth; comes
            with depth, and is ``None`` of a network that has none.
    """

    depth: torch.Tensor | None
    logits: torch.Tensor | None
    spread: torch.Tensor | None = None


class Backend(ABC):
    """Runs the network of a weights file on a device, at a precision.

    Args:
        weights: a verified weights file.
        device: where the network runs; its inputs and answers lie there.
        precision: of ``precisions``.
        folder: what ``build`` made; ``None`` where nothing needs to be built.

    Attributes:
        name: as the node's parameter ``backend`` has it.
        precisions: that it offers, by type of device, fastest first as a rule.
        is_built: whether it runs from files that ``build`` makes beforehand.
        libraries: distributions whose versions the built files depend on.
        uses_graph: whether all work on a frame is to be captured as one CUDA graph.
    """

    name: ClassVar[str]
    precisions: ClassVar[Mapping[str, Sequence[str]]]
    is_built: ClassVar[bool] = False
    libraries: ClassVar[Sequence[str]] = ("torch",)
    uses_graph: ClassVar[bool] = False

    @abstractmethod
    def __init__(
        self, weights: Weights, device: torch.device, precision: str, folder: Path | None = None
    ) -> None: ...

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
    def build(
        cls,
        weights: Weights,
        device: torch.device,
        precision: str,
        sizes: Sequence[tuple[int, int]],
        folder: Path,
    ) -> None:
        """Write what inputs of ``sizes`` need into ``folder``; names are of ``built_file``."""
        raise NotImplementedError(f"backend {cls.name} needs nothing to be built")


def built_file(folder: Path, size: tuple[int, int], suffix: str) -> Path:
    """Where a file for inputs of a (height, width) belongs: ``288x384.onnx``."""
    return folder / f"{size[0]}x{size[1]}{suffix}"


def built_files(folder: Path, suffix: str = ".*") -> dict[tuple[int, int], Path]:
    """What is named as by ``built_file``, by (height, width)."""
    named = ((re.fullmatch(r"(\d+)x(\d+)", path.stem), path) for path in folder.glob(f"*{suffix}"))
    found = {(int(name[1]), int(name[2])): path for name, path in named if name}
    return dict(sorted(found.items()))
