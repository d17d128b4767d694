"""Sources: each teaches what it has, at the training's focal length, under the learned classes."""

import shutil

import numpy as np
import pytest

from sosd_ros.labels import CAMVID11, NYU40
from training.config import Data
from training.data.errors import DataError
from training.data.sets import data_set, open_training
from training.data.sources import class_ids


def opened(root, *sources, **options):
    data = Data.model_validate({"size": (60, 80), "sources": sources, **options})
    return open_training(data, root), data_set(data)


def test_what_a_source_does_not_teach_is_unknown(nyuv2_root):
    """Depth of the one is there, labels of the other, and the images of both."""
    samples, data = opened(
        nyuv2_root, {"part": (0, 2), "tasks": ["depth"]}, {"part": (1, 2), "tasks": ["semantic"]}
    )
    plain = data.open(nyuv2_root, "train")
    assert samples.names == ["0001", "0003", "0002", "0004"]
    for index, name in enumerate(samples.names):
        found, whole = samples[index], plain[plain.names.index(name)]
        np.testing.assert_array_equal(found.image, whole.image)
        if index < 2:
            np.testing.assert_array_equal(found.depth, whole.depth)
            assert (found.labels == 255).all()
        else:
            np.testing.assert_array_equal(found.labels, whole.labels)
            assert np.isnan(found.depth).all()


def test_a_source_needs_the_files_of_its_tasks_alone(nyuv2_root, tmp_path):
    """No labels where nobody has labelled, no depth where no sensor was."""
    for task, folder in (("depth", "label40"), ("semantic", "depth")):
        root = shutil.copytree(nyuv2_root, tmp_path / task)
        shutil.rmtree(root / folder)
        samples, data = opened(nyuv2_root, {"root": root, "tasks": [task]})
        whole = data.open(nyuv2_root, "train")[1]
        known = {"depth": samples[1].depth, "semantic": samples[1].labels}
        truth = {"depth": whole.depth, "semantic": whole.labels}
        np.testing.assert_array_equal(known[task], truth[task])
        with pytest.raises(DataError, match=rf"{root}.*{folder}"):
            opened(nyuv2_root, {"root": root})


def test_depth_comes_to_the_training_camera(nyuv2_root):
    """By eq. 3 the answer is times f / f_train: twice the focal length, half the depth to learn."""
    samples, data = opened(
        nyuv2_root,
        {},
        {"camera": (2 * 518.858, 2 * 519.470, 640, 480)},
        {"camera": (50, 50, 80, 60)},
    )
    plain, twice, own = (samples[4 * number].depth for number in range(3))
    np.testing.assert_allclose(twice, plain / 2, rtol=1e-6)
    np.testing.assert_allclose(own, plain * data.focal((60, 80)) / 50, rtol=1e-6)


def test_labels_are_mapped_by_name_or_id(camvid_root):
    """What is not named is unlabelled, as is what the source itself leaves so."""
    mapping = {"road": "floor", "9": "person"}
    samples, data = opened(
        camvid_root.parent, {"name": "camvid", "root": camvid_root, "labels": mapping}
    )
    assert data.labels == NYU40
    labels = samples[0].labels  # whose columns are the labels 0 to 11
    expected = np.full(12, 255)
    expected[3], expected[9] = NYU40.names.index("floor"), NYU40.names.index("person")
    np.testing.assert_array_equal(labels[0, :12], expected)


def test_a_set_without_depth_learns_that_of_its_first_source(nyuv2_root, camvid_root):
    """Its unit and its camera, in which the weights answer."""
    sources = {"name": "camvid"}, {"name": "nyuv2", "root": nyuv2_root, "tasks": ["depth"]}
    samples, data = opened(camvid_root, *sources, name="camvid")
    assert data.labels == CAMVID11 and data.tasks == ("semantic",)
    assert data.camera.fx == 518.858
    assert "CamVid" in data.licence and "NYU" in data.licence
    nyu = Data(size=(60, 80))
    np.testing.assert_array_equal(
        samples[3].depth, data_set(nyu).open(nyuv2_root, "train")[0].depth
    )
    assert samples.names[3] == f"{nyuv2_root}: 0001"  # not one of CamVid's


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ({"name": "camvid"}, "data.sources.0.labels is missing: the source has 11 classes, sky"),
        ({"name": "camvid", "labels": {"rood": "floor"}}, "has 'rood', which is no class of the"),
        ({"name": "camvid", "labels": {11: "floor"}}, "has '11', which is no class of the source"),
        (
            {"name": "camvid", "labels": {"road": "flor"}},
            "'road' to 'flor', which is no class that",
        ),
        ({"root": "/nowhere"}, "/nowhere/train.txt cannot be read; point --data"),
        ({"part": (9, 10)}, "data.sources.0.part [9, 10] is empty: "),
        ({"name": "cityscapes"}, "data.sources.0 has depth as DepthKind(kind='disparity'"),
    ],
)
def test_a_source_that_does_not_fit_is_refused(
    nyuv2_root, camvid_root, cityscapes_root, source, sentence
):
    """In one sentence that names its key."""
    roots = {"camvid": camvid_root, "cityscapes": cityscapes_root, None: nyuv2_root}
    with pytest.raises(DataError) as error:
        opened(nyuv2_root, {"root": roots[source.get("name")], **source}, size=(32, 64))
    assert sentence in str(error.value)


def test_the_same_classes_need_no_mapping():
    """Each is itself; all else stays unlabelled."""
    ids = class_ids(None, NYU40, NYU40, "labels")
    assert ids[:40].tolist() == list(range(40)) and set(ids[40:]) == {255}
