"""The Cityscapes loader, on a tree of the official shape whose every pixel is known."""

import json
import shutil

import cv2
import numpy as np
import pytest

from sosd_ros.labels import CITYSCAPES19
from training.data.cityscapes import CAMERA, Cityscapes, data_set
from training.data.errors import DataError

# The official label ids of the classes that are evaluated.
OFFICIAL = {
    **{"road": 7, "sidewalk": 8, "building": 11, "wall": 12, "fence": 13, "pole": 17},
    **{"traffic light": 19, "traffic sign": 20, "vegetation": 21, "terrain": 22, "sky": 23},
    **{"person": 24, "rider": 25, "car": 26, "truck": 27, "bus": 28, "train": 31},
    **{"motorcycle": 32, "bicycle": 33},
}
SIZE = (64, 128)  # of the tree
FIRST = "train/aachen/aachen_000000_000000"


@pytest.fixture
def root(cityscapes_root, tmp_path):
    """A copy to damage."""
    return shutil.copytree(cityscapes_root, tmp_path / "cityscapes")


def refusal(root, size=SIZE):
    """The sentence in which the tree, or the first frame of it, is refused."""
    with pytest.raises(DataError) as error:
        Cityscapes(root, "train", size)[0]
    return str(error.value)


def write(root, folder, ending, pixels):
    cv2.imwrite(str(root / f"{folder}/{FIRST}_{ending}.png"), pixels)


def test_it_has_two_splits(cityscapes_root):
    """Parts of NYU Depth v2's training scenes are not among them."""
    with pytest.raises(DataError, match="has no split held_back; choose one of train, val"):
        Cityscapes(cityscapes_root, "held_back", SIZE)


def test_label_ids_become_train_ids(cityscapes_root):
    """All 19, by name; every other id and 255 are unlabelled."""
    labels = Cityscapes(cityscapes_root, "train", SIZE)[0].labels[0]
    by_id = {id_: CITYSCAPES19.names[labels[id_]] for id_ in range(34) if labels[id_] != 255}
    assert by_id == {id_: name for name, id_ in OFFICIAL.items()}
    assert (labels[34:] == 255).all()


def test_disparity_is_decoded(cityscapes_root):
    """(p - 1) / 256 pixels; p = 0 is a hole, and p = 1 is no disparity but a valid one."""
    disparity = Cityscapes(cityscapes_root, "train", SIZE)[0].depth
    assert np.isnan(disparity[:32, 0]).all() and (disparity[32:, 0] == 0).all()
    np.testing.assert_array_equal(disparity[5, 1:], np.arange(1, 128))


def test_larger_files_are_resized(cityscapes_root):
    """The image by area; the truth by its value at the centre, still in full-size pixels."""
    full = Cityscapes(cityscapes_root, "val", SIZE)[1]
    quarter = Cityscapes(cityscapes_root, "val", (16, 32))[1]
    np.testing.assert_array_equal(quarter.depth, full.depth[2::4, 2::4])
    np.testing.assert_array_equal(quarter.labels, full.labels[2::4, 2::4])
    means = full.image.reshape(16, 4, 32, 4, 3).mean((1, 3))
    assert np.abs(quarter.image - means).max() <= 0.5
    assert quarter.image.dtype == np.uint8


@pytest.mark.parametrize("divisor", [1.0, 4.0])
def test_disparity_and_focal_length_give_the_same_depth(cityscapes_root, divisor):
    """Z = f B / d whatever disparity is divided by, and as the frame's own camera has it."""
    data = data_set(SIZE, divisor)
    samples = data.open(cityscapes_root, "train")
    camera = samples.camera(0)
    assert camera == CAMERA
    depth = data.depth.focal_length * data.depth.baseline / samples[0].depth[0, 100]
    assert depth == pytest.approx(camera.intrinsics.fx * camera.baseline / 100, rel=1e-6)


def test_the_data_set_describes_itself(cityscapes_root):
    """Disparity, the paper's scales, names that lead to the files."""
    data = data_set((256, 512))
    assert data.labels == CITYSCAPES19 and data.depth.kind == "disparity"
    assert data.scales == (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
    assert data.focal((256, 512)) == pytest.approx(CAMERA.intrinsics.focal / 4)
    names = data_set(SIZE).open(cityscapes_root, "train").names
    assert names[0] == "aachen/aachen_000000_000000" and len(names) == 4


def test_missing_and_extra_files_are_named(root):
    """One by one, each for what it is."""
    (root / f"disparity/{FIRST}_disparity.png").unlink()
    (root / "leftImg8bit/train/bochum/bochum_000000_000001_leftImg8bit.png").unlink()
    message = refusal(root)
    assert f"missing, 1:\n  {root}/disparity/{FIRST}_disparity.png\n" in message
    extra = message.split("without an image, 3:\n")[1].split()
    name = "train/bochum/bochum_000000_000001"
    assert sorted(extra) == [
        f"{root}/camera/{name}_camera.json",
        f"{root}/disparity/{name}_disparity.png",
        f"{root}/gtFine/{name}_gtFine_labelIds.png",
    ]


def test_no_frames_and_doubled_frames_are_refused(root, tmp_path):
    """A folder that is something else; a frame that lies in two cities."""
    message = refusal(tmp_path)
    assert (
        "has no frame in leftImg8bit/train; let --data, --root or SOSD_CITYSCAPES name" in message
    )
    for folder in ("leftImg8bit", "gtFine", "disparity", "camera"):
        shutil.copytree(root / folder / "train/aachen", root / folder / "train/zurich")
    assert "names samples more than once:\n  aachen_000000_000000" in refusal(root)


@pytest.mark.parametrize(
    ("folder", "ending", "pixels", "sentence"),
    [
        ("gtFine", "gtFine_labelIds", np.full(SIZE, 34, np.uint8), "labelIds.png has a label 34"),
        ("gtFine", "gtFine_labelIds", np.ones((8, 8), np.uint8), "labelIds.png is 8x8, but"),
        ("disparity", "disparity", np.ones(SIZE, np.uint8), "expected 1 of uint16"),
        ("disparity", "disparity", np.zeros(SIZE, np.uint16), "is 0 everywhere"),
    ],
)
def test_truth_that_cannot_be_is_refused(root, folder, ending, pixels, sentence):
    """Of another size or type than it should be, or out of range."""
    write(root, folder, ending, pixels)
    assert sentence in refusal(root)


def test_files_that_are_too_small_are_not_enlarged(cityscapes_root):
    """A cache does not serve a larger size."""
    assert "is 64x128, smaller than the 128x256 asked for" in refusal(cityscapes_root, (128, 256))


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"intrinsic": {"fx": "wide"}})])
def test_a_camera_that_cannot_be_read_is_named(root, content):
    """With the numbers that it should have."""
    (root / f"camera/{FIRST}_camera.json").write_text(content)
    with pytest.raises(DataError, match=r"_camera\.json is not a calibration with fx, fy, u0"):
        Cityscapes(root, "train", SIZE).camera(0)
