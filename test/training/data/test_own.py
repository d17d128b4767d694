"""A data set of one's own, whose images may lack one truth or the other."""

import math

import cv2
import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from training.config import Config, Data
from training.data.errors import DataError
from training.data.own import Own, read_camera
from training.data.sets import data_set, open_training, with_folders

BOTH = ("depth", "semantic")


@pytest.fixture
def root(tmp_path):
    """Three images: with depth, with labels, with both; a fourth with nothing."""
    for number, truths in enumerate((["depth"], ["label"], ["depth", "label"], [])):
        pixels = np.full((4, 6, 3), 10 * number, np.uint8)
        folders = {"rgb": (".jpg", pixels)}
        if "depth" in truths:
            folders["depth"] = (".png", np.array([[0, 1500] * 3] * 4, np.uint16))
        if "label" in truths:
            folders["label"] = (".png", np.array([[2, 255] * 3] * 4, np.uint8))
        for folder, (suffix, content) in folders.items():
            (tmp_path / folder).mkdir(exist_ok=True)
            assert cv2.imwrite(str(tmp_path / folder / f"{number}{suffix}"), content)
    (tmp_path / "train.txt").write_text("0\n1\n2\n3\n")
    return tmp_path


@pytest.mark.parametrize(
    ("tasks", "names"),
    [(BOTH, ["0", "1", "2"]), (["depth"], ["0", "2"]), (["semantic"], ["1", "2"])],
)
def test_images_that_teach_nothing_are_left_out(root, tasks, names):
    assert Own(root, "train", tasks=tasks).names == names


def test_what_is_not_there_is_unknown(root):
    deep, labelled, whole = Own(root, "train", tasks=BOTH)
    assert (labelled.labels == [[2, 255] * 3] * 4).all() and np.isnan(labelled.depth).all()
    assert (deep.labels == 255).all() and (np.nan_to_num(deep.depth) == [[0, 1.5] * 3] * 4).all()
    assert whole.labels[0, 0] == 2 and whole.depth[0, 1] == 1.5 and whole.image.shape == (4, 6, 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda root: (root / "train.txt").unlink(),
            "train.txt cannot be read; name a f",
        ),
        (
            lambda root: (root / "train.txt").write_text("3\n"),
            "names no image of which .* truth",
        ),
        (lambda root: (root / "rgb/2.jpg").unlink(), "names 1 files that do not exist; record it"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused(root, change, words):
    change(root)
    with pytest.raises(DataError, match=words):
        Own(root, "train", tasks=BOTH)


def test_other_lists_and_classes_are_refused(root):
    with pytest.raises(DataError, match="has no split test; choose one of train, fit, val"):
        Own(root, "test", tasks=BOTH)
    with pytest.raises(DataError, match="class 2, expected 0 to 1 or 255"):
        Own(root, "train", tasks=BOTH, classes=2)[1]
    assert cv2.imwrite(str(root / "depth/0.png"), np.ones((8, 6), np.uint16))
    with pytest.raises(DataError, match=r"0\.png is 8x6, but its image is 4x6"):
        Own(root, "train", tasks=BOTH)[0]


def test_its_camera_is_that_of_the_rectified_images(root):
    content = {
        "image_width": 6,
        "image_height": 4,
        "camera_matrix": {"data": [9.0] * 9},
        "projection_matrix": {"data": [5.0, 0, 2.5, 0, 0, 6.0, 1.5, 0, 0, 0, 1, 0]},
    }
    (root / "camera.yaml").write_text(yaml.safe_dump(content))
    camera = read_camera(root)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (5, 6, 2.5, 1.5)
    assert (camera.width, camera.height) == (6, 4)
    for broken in ("image_width: 6", "[]", "{"):
        (root / "camera.yaml").write_text(broken)
        with pytest.raises(DataError, match=r"camera\.yaml holds no camera"):
            read_camera(root)


# As a source of a training


def a_source(root, **options):
    return {"name": "own", "root": root, "tasks": ["depth"], **options}


def write_camera(root, focal):
    matrix = {"data": [focal, 0, 2.5, 0, 0, focal, 1.5, 0, 0, 0, 1, 0]}
    content = {"image_width": 6, "image_height": 4, "projection_matrix": matrix}
    (root / "camera.yaml").write_text(yaml.safe_dump(content))


def settings(*sources, variant="depth"):
    data = {"size": (64, 96), "sources": sources}
    content = {"data": data, "network": {"variant": variant}, "strategy": {"name": "joint"}}
    return Config.model_validate({**content, "epochs": 1})


def test_a_training_knows_its_camera(root, nyuv2_root):
    """And learns what its own camera would have to say; all else needs the folder no more."""
    write_camera(root, 6.0)
    config = with_folders(settings(a_source(root)))
    (source,) = config.data.sources
    assert source.camera == (6.0, 6.0, 6, 4)
    assert with_folders(config) == config
    samples = open_training(config.data, nyuv2_root)
    learned = data_set(config.data)
    expected = 1.5 * learned.focal((64, 96)) / (6.0 * math.sqrt(96 / 6 * 64 / 4))
    assert samples[0].depth[0, 1] == pytest.approx(expected)
    assert learned.licence == "Trained on recordings of its owner, whose terms are theirs."


def test_its_classes_are_brought_to_those_that_are_learned(root, nyuv2_root):
    write_camera(root, 6.0)
    source = a_source(root, tasks=["semantic"], labels={"carpet": "floor mat"})
    with pytest.raises(DataError, match=r"has no classes\.yaml, and so no labels: bring some by"):
        open_training(
            with_folders(settings(a_source(root), source, variant="mtl")).data, nyuv2_root
        )
    (root / "classes.yaml").write_text("classes: {wall: {}, door: {}, carpet: {}}")
    samples = open_training(
        with_folders(settings(a_source(root), source, variant="mtl")).data, nyuv2_root
    )
    labels = {int(label) for index in (2, 3) for label in np.unique(samples[index].labels)}
    assert labels == {data_set(Data()).labels.names.index("floor mat"), 255}


def test_a_folder_of_ones_own_is_named(root):
    with pytest.raises(ValidationError, match="a folder of your own needs its root"):
        settings({"name": "own"})
