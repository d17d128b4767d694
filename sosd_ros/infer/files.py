"""The files that a picture's answers are written to; each is whole or not there."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from .. import atomic
from ..camera import Intrinsics
from ..engine import Perception
from ..labels import LabelSet
from ..outputs import cloud_fields, cloud_shape, millimetres, write_cloud
from .drawing import Drawing


class Answered(NamedTuple):
    """A picture with its answers, (H, W) each, and the camera that they are for."""

    image: np.ndarray
    camera: Intrinsics
    answer: Perception
    labels: LabelSet


def sheet(answered: Answered) -> bytes:
    """A PNG for people."""
    return png(Drawing(answered.labels)(answered.image, answered.answer)[..., ::-1])


def arrays(answered: Answered) -> bytes:
    """An NPZ of all answers, the intrinsics fx, fy, cx, cy, and the names of the classes."""
    camera, file = answered.camera, io.BytesIO()
    there = {k: v for k, v in answered.answer._asdict().items() if v is not None}
    there["intrinsics"] = np.array([camera.fx, camera.fy, camera.cx, camera.cy])
    if answered.answer.labels is not None:
        there["names"] = np.array(answered.labels.names)
    np.savez(file, **there)
    return file.getvalue()


def depth(answered: Answered) -> bytes:
    """A PNG of 16 bits: millimetres, 0 where there is no depth."""
    assert answered.answer.depth is not None
    return png(millimetres(answered.answer.depth))


def label_ids(answered: Answered) -> bytes:
    """A PNG of 8 bits: class ids, 255 unlabelled."""
    assert answered.answer.labels is not None
    return png(answered.answer.labels)


def points(answered: Answered) -> bytes:
    """A binary PLY of the points that there are: x, y, z, colour, and label."""
    (depth, labels, *_), camera = answered.answer, answered.camera
    assert depth is not None
    fields = cloud_fields(labels is not None, False)
    cloud = np.empty((*cloud_shape(depth.shape, 1), len(fields)), np.float32)
    write_cloud(cloud, depth, camera.rays(), answered.image, labels)
    cloud = cloud[np.isfinite(cloud[..., 2])]
    kinds = [("xyz", "<f4", 3), ("rgb", "u1", 3), *[("label", "u1")] * (labels is not None)]
    vertices = np.empty(len(cloud), kinds)
    vertices["xyz"] = cloud[:, :3]
    bits = cloud.view(np.uint32)
    vertices["rgb"] = bits[:, 3:4] >> np.array([16, 8, 0], np.uint32) & 255
    if labels is not None:
        vertices["label"] = bits[:, 4]
    names = [f"float {axis}" for axis in "xyz"]
    names += [f"uchar {colour}" for colour in ("red", "green", "blue", *fields[4:])]
    header = [
        "ply",
        "format binary_little_endian 1.0",
        "comment metres: x right, y down, z forward",
    ]
    header += [f"element vertex {len(vertices)}", *(f"property {name}" for name in names)]
    return "\n".join([*header, "end_header\n"]).encode() + vertices.tobytes()


class Kind(NamedTuple):
    """A file to each picture.

    Attributes:
        ending: of its name.
        make: its content.
        needs: the answer that it is made of; empty: whichever there are.
    """

    ending: str
    make: Callable[[Answered], bytes]
    needs: str = ""


KINDS = {
    "sheet": Kind("_sheet.png", sheet),
    "arrays": Kind(".npz", arrays),
    "depth": Kind("_depth.png", depth, "depth"),
    "labels": Kind("_labels.png", label_ids, "semantic"),
    "points": Kind(".ply", points, "depth"),
}
VIDEO = "video"  # the one file to all pictures


def png(pixels: np.ndarray) -> bytes:
    """(H, W) or (H, W, 3) BGR, as a file."""
    return bytes(cv2.imencode(".png", pixels)[1])


def write(answered: Answered, key: str, kinds: list[str], folder: Path) -> list[Path]:
    """Write what was asked for; the files."""
    written = []
    for kind in kinds:
        path = folder / (key + KINDS[kind].ending)
        atomic.write(path, KINDS[kind].make(answered))
        written.append(path)
    return written


class VideoFile:
    """An MP4 that pictures are added to, all of the first one's size.

    Args:
        path: where it is written.
        rate: in Hz.
    """

    def __init__(self, path: Path, rate: float) -> None:
        self._path, self._rate = path, rate
        self._file: cv2.VideoWriter | None = None

    def add(self, rgb: np.ndarray) -> None:
        """Raises OSError if there is no room, or OpenCV cannot write MP4."""
        if self._file is None:
            codec = cv2.VideoWriter.fourcc(*"mp4v")  # which every OpenCV has
            size = rgb.shape[1], rgb.shape[0]
            self._file = cv2.VideoWriter(str(self._path), codec, self._rate, size)
        if not self._file.isOpened():
            raise OSError(f"{self._path} cannot be written by this OpenCV; leave out video")
        self._file.write(np.ascontiguousarray(rgb[..., ::-1]))

    def close(self) -> None:
        if self._file is not None:
            self._file.release()
