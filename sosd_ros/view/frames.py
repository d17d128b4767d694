"""A node's answers to one image as arrays, for the live view."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..camera_info import intrinsics_of
from ..encodings import in_memory
from ..outputs import cloud_shape
from ..ros import messages
from .scene import Frame

TOPICS = ("points", "camera_info", "confidence", "depth_uncertainty")


def frame_of(answers: Mapping[str, Any]) -> Frame:
    """What messages of ``TOPICS``, the first two at least, have in common: the cloud's size.

    The cloud has all but confidence and uncertainty: its points have the image's colours, also
    where there is no depth, and it belongs to the rectified image where the node rectifies.

    Raises:
        ValueError: if the CameraInfo cannot be used.
    """
    cloud = answers["points"]
    values = np.frombuffer(in_memory(cloud.data), "<f4").reshape(cloud.height, cloud.width, -1)
    place = {field.name: field.offset // values.itemsize for field in cloud.fields}
    colours = values.view("<u4")[..., place["rgb"]]
    image = np.stack([colours >> 16 & 255, colours >> 8 & 255, colours & 255], axis=-1)
    labels = values.view("<u4")[..., place["label"]].astype(np.uint8) if "label" in place else None
    whole, shape = intrinsics_of(answers["camera_info"]), (cloud.height, cloud.width)
    camera, size = whole.resized(cloud.width, cloud.height), (whole.height, whole.width)
    # The node's parameter cloud_decimation.
    every = next(n for n in range(1, max(size) + 1) if cloud_shape(size, n) == shape)
    confidence, uncertainty = (
        messages.plane(answers[topic])[::every, ::every] if topic in answers else None
        for topic in TOPICS[2:]
    )
    return Frame(camera, image.astype(np.uint8), values[..., :3], labels, confidence, uncertainty)
