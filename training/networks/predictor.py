"""A network as something that answers images of any size."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from sosd_ros.camera import focal_correction
from sosd_ros.network import Output, SOSDNet, canvas_size, in_parts, input_size, prepare, upsample

from ..data.sample import DataSet
from .imagenet import Normalisation


class AnyNetwork(typing.Protocol):
    """What can be asked: a ``SOSDNet``, or what answers like one."""

    @property
    def tasks(self) -> tuple[str, ...]: ...

    def eval(self) -> Any: ...

    def __call__(self, images: torch.Tensor, *, size: tuple[int, int]) -> Output: ...


class View(NamedTuple):
    """How a network gets to see an image.

    Attributes:
        scale: of the network's input, relative to that of its training.
        mirrored: whether it sees the mirror image.
    """

    scale: float = 1.0
    mirrored: bool = False


@dataclass(frozen=True)
class Predictor:
    """A network, and how images are brought to it: near the size of its training, as on the robot.

    Attributes:
        network: on ``device``.
        data: what it was trained on, whose camera and unit give its depth a meaning.
        input_size: (height, width) of its input in training.
        normalisation: of its input.
        device: of torch.
        focal: of the images' camera, over that of ``data``.
        fit: how many inputs an image may take to be seen at the scale of the training; 0: it is
            seen whole, in one. More than one needs a ``SOSDNet``.
    """

    network: AnyNetwork
    data: DataSet
    input_size: tuple[int, int]
    normalisation: Normalisation
    device: str = "cpu"
    focal: float = 1.0
    fit: int = 0

    def answers(
        self,
        images: torch.Tensor,
        views: Sequence[View] = (View(),),
        size: tuple[int, int] | None = None,
    ) -> Iterator[dict[str, torch.Tensor]]:
        """What the network answers to each view of (N, H, W, 3) uint8 images, by task.

        Args:
            size: (height, width) of the answers; the images' own if empty.

        Yields:
            ``depth`` (N, *size) in the data set's unit, and its ``spread`` if the network has one;
            ``semantic`` (N, classes, *size) logits.
            Answers to mirror images are mirrored back.
        """
        images = images.to(self.device)
        image_size = (images.shape[1], images.shape[2])
        for scale, mirrored in views:
            whole = self._seen(image_size, scale)
            seen = canvas_size(whole, scale / self._focal_correction(whole), self.fit)
            inputs = prepare(images, seen, *self.normalisation)
            inputs = inputs.flip(-1) if mirrored else inputs
            output = self._output(inputs, whole, size or image_size)
            view = {}
            if output.depth is not None:
                view["depth"] = output.depth * self._correction(seen)
            if output.spread is not None:
                view["spread"] = output.spread  # of log depth, which no factor changes
            if output.logits is not None:
                view["semantic"] = output.logits
            yield {task: answer.flip(-1) if mirrored else answer for task, answer in view.items()}

    def _output(self, canvas: torch.Tensor, seen: tuple[int, int], size: tuple[int, int]) -> Output:
        """Of the network that sees a canvas by inputs of a (height, width)."""
        if canvas.shape[-2] <= seen[0]:  # in one part
            return self.network(canvas, size=size)
        network = self.network
        assert isinstance(network, SOSDNet)

        def ask(part: torch.Tensor) -> list[torch.Tensor | None]:
            output = network(part, size=network.answer_size(part))
            depth, spread = (
                None if a is None else a[:, None] for a in (output.depth, output.spread)
            )
            return [depth, output.logits, spread]

        depth, logits, spread = (
            None if answer is None else upsample(answer, size)
            for answer in in_parts(ask, canvas, seen)
        )
        depth, spread = (None if a is None else a[:, 0] for a in (depth, spread))
        return Output(depth, logits, (canvas, canvas), spread)

    def correction(self, image_size: tuple[int, int]) -> float:
        """What depth answered for images of (height, width) is multiplied by, at scale 1.

        In a larger input everything has a longer focal length, and looks nearer than it is: metres
        must grow by as much, and disparity, which is their inverse, must shrink.
        """
        return self._correction(self._seen(image_size, 1.0))

    def _seen(self, image_size: tuple[int, int], scale: float) -> tuple[int, int]:
        height, width = self.input_size
        return input_size(image_size, (round(height * scale), round(width * scale)))

    def _correction(self, seen: tuple[int, int]) -> float:
        factor = self._focal_correction(seen)
        return factor if self.data.depth.kind == "metres" else 1 / factor

    def _focal_correction(self, seen: tuple[int, int]) -> float:
        return focal_correction(
            self.focal * self.data.focal(seen), self.data.focal(self.input_size)
        )
