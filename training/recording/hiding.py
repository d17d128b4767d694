"""What nobody should be able to recognise: faces, and what the network takes for a screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from ..networks import trained

Hide = Callable[[np.ndarray], np.ndarray]  # where to hide: (H, W) bool, of an image

_CELLS = 12  # across what is hidden: too few to tell a face by
_MARGIN = 0.25  # of a face's size, around it


def faces(model: Path) -> Hide:
    """By YuNet, whose ONNX file OpenCV's model zoo has.

    Raises:
        ValueError: if the file is none.
    """
    if not model.is_file():
        raise ValueError(
            f"--hide-faces is {model}, which does not exist; name YuNet's file of OpenCV's model "
            "zoo, face_detection_yunet_2023mar.onnx"
        )
    try:
        detector = cv2.FaceDetectorYN.create(str(model), "", (320, 320))
    except cv2.error as error:
        raise ValueError(f"--hide-faces is {model}, which is no face detector of OpenCV") from error

    def where(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        detector.setInputSize((width, height))
        _, found = detector.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        mask = np.zeros((height, width), bool)
        for x, y, across, down in [] if found is None else found[:, :4]:
            left, right = x - _MARGIN * across, x + (1 + _MARGIN) * across
            top, bottom = y - _MARGIN * down, y + (1 + _MARGIN) * down
            rows = slice(max(int(top), 0), max(int(np.ceil(bottom)), 0))
            mask[rows, max(int(left), 0) : max(int(np.ceil(right)), 0)] = True
        return mask

    return where


def classes(names: Sequence[str], weights: Path, device: str) -> Hide:
    """By the network of a weights file, where it sees one of these classes.

    Raises:
        ValueError: if it knows no such class, or cannot be read.
    """
    model = trained.load(weights)
    known = model.manifest.labels.names
    if unknown := [name for name in names if name not in known]:
        raise ValueError(
            f"--hide has {unknown[0]!r}, but {weights} knows no such class; it knows "
            f"{', '.join(known)}"
        )
    predictor = model.predictor(device)
    numbers = torch.tensor([known.index(name) for name in names], device=device)

    def where(image: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            (answer,) = predictor.answers(torch.from_numpy(image.copy())[None])
            labels = answer["semantic"].argmax(dim=1)[0]
            mask = torch.isin(labels, numbers).cpu().numpy()
        return cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)

    return where


def hidden(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image with each part of the mask in a few flat cells, (H, W, 3) uint8."""
    done = image.copy()
    count, parts, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    for number in range(1, count):
        x, y, width, height, _ = boxes[number]
        box = slice(y, y + height), slice(x, x + width)
        cells = (
            max(round(_CELLS * width / max(width, height)), 1),
            max(round(_CELLS * height / max(width, height)), 1),
        )
        coarse = cv2.resize(image[box], cells, interpolation=cv2.INTER_AREA)
        coarse = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST)
        inside = parts[box] == number
        done[box][inside] = coarse[inside]
    return done
