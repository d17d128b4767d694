"""What a network says before and after it was adapted, as a page with pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from sosd_ros.labels import UNLABELLED, LabelSet
from sosd_ros.scale.evidence import evenly

from ..data.sample import Sample, Samples
from ..measuring.colour_maps import DEPTH_COLOURS, ends, paint
from ..networks.predictor import Predictor
from ..pages import data_uri, templates

_FRAMES = 8
_Picture = tuple[str, str]  # its caption and its address


def page(
    title: str,
    facts: Mapping[str, str],
    rows: Sequence[Sequence[str]],
    samples: Samples,
    before: Predictor,
    after: Predictor,
) -> str:
    """The whole page.

    Args:
        title: its heading.
        facts: what was done, and what was found.
        rows: of the table, see ``comparison.rows``.
        samples: of which some are shown.
        before, after: answer both tasks.
    """
    frames = [
        (samples.names[place], _pictures(samples[place], before, after))
        for place in evenly(len(samples), min(_FRAMES, len(samples))).tolist()
    ]
    return _TEMPLATES.get_template("page.html.jinja").render(
        title=title, facts=facts, rows=rows, frames=frames
    )


def _pictures(sample: Sample, before: Predictor, after: Predictor) -> list[_Picture]:
    """The image, and of each task the truth, and both answers."""
    depths, labels = [sample.depth], [sample.labels]
    for predictor in (before, after):
        depth, classes = _answer(predictor, sample.image)
        depths.append(depth)
        labels.append(classes)
    captions = ("truth", "before", "after")
    scale = (*ends(*depths), DEPTH_COLOURS["metres"])
    image = ("image", data_uri(sample.image, ".jpg"))
    pictures = [image] + [
        (f"depth, {caption}", data_uri(paint(depth, *scale), ".jpg"))
        for caption, depth in zip(captions, depths, strict=True)
    ]
    return pictures + _of_classes(captions, labels, after.data.labels)


def _of_classes(
    captions: Sequence[str], labels: Sequence[np.ndarray], classes: LabelSet
) -> list[_Picture]:
    """Those of labels, the truth first, in a line of their own."""
    pictures = [
        (f"semantics, {caption}", data_uri(classes.colours(shown), ".png"))
        for caption, shown in zip(captions, labels, strict=True)
    ]
    return pictures if (labels[0] != UNLABELLED).any() else pictures[1:]


@torch.inference_mode()
def _answer(predictor: Predictor, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth (H, W) float32 metres and labels (H, W) uint8."""
    [said] = predictor.answers(torch.from_numpy(image)[None])
    return said["depth"][0].cpu().numpy(), said["semantic"][0].argmax(0).byte().cpu().numpy()


_TEMPLATES = templates(Path(__file__).parent)
