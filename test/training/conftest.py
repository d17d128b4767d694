"""Small trees in the layouts of NYU Depth v2 and Cityscapes."""

from __future__ import annotations

import importlib.util
import json

import cv2
import numpy as np
import pytest

# A machine that only runs the node has none, and may run all other tests.
collect_ignore_glob = [] if importlib.util.find_spec("pydantic") else ["*"]

NOMINAL = {"fx": 2262.52, "fy": 2265.3017905988554, "u0": 1096.98, "v0": 513.137}


def write_nyuv2(root, train=4, val=2, size=(60, 80)):
    """Known truth: depth is a ramp of 1 to 5 m with one hole, labels are vertical stripes."""
    rng = np.random.default_rng(3)
    for folder in ("rgb", "depth", "label40"):
        (root / folder).mkdir(parents=True)
    names = [f"{i:04d}" for i in range(1, train + val + 1)]
    (root / "train.txt").write_text("\n".join(names[:train]) + "\n")
    (root / "val.txt").write_text("\n".join(names[train:]) + "\n")
    height, width = size
    depth = np.tile(np.linspace(1000, 5000, width).astype(np.uint16), (height, 1))
    depth[0, 0] = 0
    labels = np.tile((np.arange(width) // 2 % 41).astype(np.uint8), (height, 1))
    for name in names:
        cv2.imwrite(str(root / "rgb" / f"{name}.jpg"), _picture(rng, size))
        cv2.imwrite(str(root / "depth" / f"{name}.png"), depth)
        cv2.imwrite(str(root / "label40" / f"{name}.png"), labels)
    return root


def write_cityscapes(root, size=(64, 128)):
    """Two cities for training and one to evaluate on, two frames each; known truth.

    The label id is the column, or 255 beyond 33; the stored disparity is 1 + 256 times the column,
    so that it is as many pixels; the upper half of column 0 is a hole.
    """
    rng = np.random.default_rng(4)
    height, width = size
    columns = np.tile(np.arange(width), (height, 1))
    disparity = (1 + 256 * columns).astype(np.uint16)
    disparity[: height // 2, 0] = 0
    label_ids = np.where(columns < 34, columns, 255).astype(np.uint8)
    extrinsic = {"baseline": 0.209313, "pitch": 0.038, "roll": 0.0, "yaw": -0.0195}
    camera = {"extrinsic": {**extrinsic, "x": 1.7, "y": 0.1, "z": 1.22}, "intrinsic": NOMINAL}
    for split, city in (("train", "aachen"), ("train", "bochum"), ("val", "frankfurt")):
        for number in range(2):
            name = f"{split}/{city}/{city}_000000_{number:06d}"
            for folder in ("leftImg8bit", "gtFine", "disparity", "camera"):
                (root / folder / split / city).mkdir(parents=True, exist_ok=True)
            picture = _picture(rng, size)
            cv2.imwrite(str(root / f"leftImg8bit/{name}_leftImg8bit.png"), picture)
            cv2.imwrite(str(root / f"gtFine/{name}_gtFine_labelIds.png"), label_ids)
            cv2.imwrite(str(root / f"gtFine/{name}_gtFine_color.png"), picture)
            cv2.imwrite(str(root / f"disparity/{name}_disparity.png"), disparity)
            (root / f"camera/{name}_camera.json").write_text(json.dumps(camera))
            (root / f"gtFine/{name}_gtFine_polygons.json").write_text("{}")
    return root


def write_camvid(root, counts=(3, 2, 1), size=(36, 48)):
    """As ``prepare camvid`` writes it; labels are the column modulo 12, where 11 is void."""
    rng = np.random.default_rng(5)
    labels = np.tile((np.arange(size[1]) % 12).astype(np.uint8), (size[0], 1))
    for folder in ("rgb", "labels"):
        (root / folder).mkdir(parents=True)
    for split, count in zip(("train", "val", "test"), counts, strict=True):
        names = [f"{split}_{number}" for number in range(count)]
        (root / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
        for name in names:
            cv2.imwrite(str(root / "rgb" / f"{name}.png"), _picture(rng, size))
            cv2.imwrite(str(root / "labels" / f"{name}.png"), labels)
    return root


def _picture(rng, size):
    height, width = size
    coarse = rng.integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height))


@pytest.fixture(scope="session")
def nyuv2_root(tmp_path_factory):
    return write_nyuv2(tmp_path_factory.mktemp("nyuv2"))


@pytest.fixture(scope="session")
def cityscapes_root(tmp_path_factory):
    return write_cityscapes(tmp_path_factory.mktemp("cityscapes"))


@pytest.fixture(scope="session")
def camvid_root(tmp_path_factory):
    return write_camvid(tmp_path_factory.mktemp("camvid"))
