"""How much a network's answers flicker along a sequence, as they are and when they are steadied."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch

from sosd_ros.camera import Intrinsics
from sosd_ros.steady import Steady

from ..data.sequence import Frame
from ..metrics import DepthEdges, DepthErrors, Flicker, Matches, matches
from ..networks.predictor import Predictor

_INTERVAL = 1 / 30  # seconds between images


@dataclass
class Steadiness:
    """The measures of one way to answer a sequence."""

    flicker: Flicker = field(default_factory=Flicker)
    errors: DepthErrors = field(default_factory=DepthErrors)
    edges: DepthEdges = field(default_factory=DepthEdges)
    before: tuple[np.ndarray, np.ndarray] | None = None

    def add(
        self, frame: Frame, matched: Matches | None, depth: np.ndarray, labels: np.ndarray
    ) -> None:
        """Add the answers to the next image, and its matches with the one before."""
        self.errors.add(depth, frame.depth)
        self.edges.add(depth, frame.depth)
        if matched is not None and self.before is not None:
            depth_before, labels_before = self.before
            self.flicker.add(matched, depth, depth_before, labels, labels_before)
        self.before = depth, labels


@torch.inference_mode()
def measure(
    predictor: Predictor, frames: Iterable[Frame], camera: Intrinsics
) -> dict[str, Steadiness]:
    """Answer a sequence, and measure the answers as they are and steadied.

    Args:
        predictor: of a network that answers metres and classes.
        frames: in the order of time.
        camera: of all of them.

    Raises:
        ValueError: if the network answers something else.
    """
    if predictor.data.depth.kind != "metres" or set(predictor.network.tasks) < {
        "depth",
        "semantic",
    }:
        raise ValueError(
            f"the network answers {', '.join(predictor.network.tasks)}, with depth as "
            f"{predictor.data.depth.kind}; --sequence needs one that answers depth in metres and "
            "semantic"
        )
    ways = {"as answered": Steadiness(), "steadied": Steadiness()}
    steady, last = Steady(), None
    for number, frame in enumerate(frames):
        depth, labels, confidence = _answers(predictor, frame.image, camera)
        matched = None
        if last is not None:
            matched = matches(camera, frame.depth, frame.pose, last.depth, last.pose)
        ways["as answered"].add(frame, matched, depth, labels)
        calm = steady(frame.image, number * _INTERVAL, depth, labels, confidence)
        assert calm[0] is not None and calm[1] is not None
        ways["steadied"].add(frame, matched, calm[0], calm[1])
        last = frame
    return ways


def text(ways: dict[str, Steadiness]) -> str:
    """A table in Markdown."""
    lines = [
        "| | depth flicker | label flicker | rel | edge F1 at 0.25 m | 0.5 m | 1 m |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, way in ways.items():
        flicker, edges = way.flicker.pooled(), way.edges.pooled()["F1"]
        numbers = (flicker["depth"], flicker["labels"], way.errors.pooled()["rel"], *edges)
        lines.append(f"| {name} | " + " | ".join(f"{number:.4f}" for number in numbers) + " |")
    return "\n".join(lines)


def _answers(
    predictor: Predictor, image: np.ndarray, camera: Intrinsics
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Depth in metres for this camera, labels and confidence, as ``Perception`` has them."""
    [answer] = predictor.answers(torch.from_numpy(image)[None])
    factor = camera.focal / predictor.data.focal((camera.height, camera.width))
    probability, labels = answer["semantic"][0].softmax(0).max(0)
    confidence = (255 * probability).round().to(torch.uint8)
    depth = answer["depth"][0].float() * factor
    return depth.cpu().numpy(), labels.to(torch.uint8).cpu().numpy(), confidence.cpu().numpy()
