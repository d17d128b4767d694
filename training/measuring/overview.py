"""Answers beside the truth, as one picture."""

from __future__ import annotations

import numpy as np
import torch

from sosd_ros.network import prepare

from ..data.sample import Sample, Samples, evenly_spaced
from ..data.transforms import resize
from ..networks.oracle import tell
from ..networks.predictor import Predictor
from .colour_maps import DEPTH_COLOURS, ends, paint


@torch.inference_mode()
def overview(predictor: Predictor, samples: Samples) -> np.ndarray:
    """Image, depth and its truth, labels and their truth: a row for four samples, evenly spaced.

    Args:
        predictor: its network is in evaluation mode.

    Returns:
        (rows * height, columns * width, 3) uint8 RGB, each picture as large as the network's input.
    """
    chosen = (resize(sample, predictor.input_size) for sample in evenly_spaced(samples, 4))
    return np.vstack([np.hstack(_row(predictor, sample)) for sample in chosen])


def _row(predictor: Predictor, sample: Sample) -> list[np.ndarray]:
    data = predictor.data
    images = torch.from_numpy(sample.image)[None].to(predictor.device)
    size = (images.shape[1], images.shape[2])
    tell(predictor.network, torch.from_numpy(sample.labels)[None])
    output = predictor.network(prepare(images, size, *predictor.normalisation), size=size)
    panels = [sample.image]
    if output.depth is not None:
        scale = (*ends(sample.depth), DEPTH_COLOURS[data.depth.kind])
        panels += [paint(depth, *scale) for depth in (output.depth[0].cpu().numpy(), sample.depth)]
    if output.logits is not None:
        answer = output.logits[0].argmax(0).byte().cpu().numpy()
        panels += [data.labels.colours(answer), data.labels.colours(sample.labels)]
    return panels
