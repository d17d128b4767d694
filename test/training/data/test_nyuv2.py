"""The NYU Depth v2 loader, on a tree whose every pixel is known."""

import json
import shutil

import cv2
import numpy as np
import pytest
from support import run_python

from sosd_ros.labels import NYU13, NYU40
from training.data.errors import DataError
from training.data.nyuv2 import CAMERA, GROUPS13, NYUv2, data_set
from training.data.sets import default_root


@pytest.fixture
def root(nyuv2_root, tmp_path):
    """A copy to damage."""
    return shutil.copytree(nyuv2_root, tmp_path / "nyuv2")


def refusal(root, **options):
    """The sentence in which the folder, or the first sample of it, is refused."""
    with pytest.raises(DataError) as error:
        NYUv2(root, "train", **options)[0]
    return str(error.value)


def test_units_and_labels(nyuv2_root):
    """Millimetres become metres, 0 becomes NaN; label 0 becomes 255 and 1..40 become 0..39."""
    sample = NYUv2(nyuv2_root, "train")[0]
    assert np.isnan(sample.depth[0, 0])
    assert sample.depth[1, 0] == np.float32(1.0) and sample.depth[1, -1] == np.float32(5.0)
    np.testing.assert_array_equal(sample.labels[0, :5], [255, 255, 0, 0, 1])
    assert sample.image.shape == (60, 80, 3) and sample.image.dtype == np.uint8


def test_the_image_is_rgb(nyuv2_root):
    """Channel order is that of OpenCV's reader, reversed."""
    sample = NYUv2(nyuv2_root, "val")[0]
    bgr = cv2.imread(str(nyuv2_root / "rgb" / "0005.jpg"))
    np.testing.assert_array_equal(sample.image, bgr[..., ::-1])


def test_a_lossless_image_comes_before_a_jpeg(root):
    """Of 0001.png and 0001.jpg the first is read."""
    cv2.imwrite(str(root / "rgb" / "0001.png"), np.full((60, 80, 3), (1, 2, 3), np.uint8))
    assert (NYUv2(root, "train")[0].image == (3, 2, 1)).all()


def test_thirteen_groups(nyuv2_root):
    """Each of the 40 labels becomes its group, and unlabelled stays so."""
    forty, thirteen = (data_set(n).open(nyuv2_root, "train")[0].labels for n in (40, 13))
    for label, name in (("wall", "wall"), ("blinds", "window"), ("night stand", "furniture")):
        found = thirteen[forty == NYU40.names.index(label)]
        assert set(found) <= {NYU13.names.index(name)}
    np.testing.assert_array_equal(thirteen == 255, forty == 255)
    assert data_set(13).labels == NYU13


def test_raw_depth_keeps_its_holes(root):
    """It comes from a folder of its own, which the message names if it is not there."""
    assert "depth_raw does not exist; write it with `python -m training.prepare nyuv2`" in refusal(
        root, raw_depth=True
    )
    shutil.copytree(root / "depth", root / "depth_raw")
    raw = np.full((60, 80), 2000, np.uint16)
    raw[10] = 0
    cv2.imwrite(str(root / "depth_raw" / "0001.png"), raw)
    depth = data_set(raw_depth=True).open(root, "train")[0].depth
    assert np.isnan(depth[10]).all() and (np.delete(depth, 10, 0) == 2).all()


def test_the_data_set_describes_itself(nyuv2_root):
    """Names of samples for messages; depth in metres; the scales of the paper."""
    data = data_set()
    assert data.open(nyuv2_root, "val").names == ["0005", "0006"]
    assert data.depth.kind == "metres" and data.scales == (1.0, 1.2, 1.5)
    assert data.focal((240, 320)) == pytest.approx(CAMERA.focal / 2)


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ("", "train.txt names no sample"),
        ("0001 0002 0001", "train.txt names samples more than once:\n  0001"),
        ("0001 ../0002", "train.txt names files outside the data set:\n  ../0002"),
        ("/etc/passwd", "train.txt names files outside the data set:\n  /etc/passwd"),
    ],
)
def test_a_senseless_list_is_refused(root, names, sentence):
    """When the data set is opened."""
    (root / "train.txt").write_text(names)
    assert sentence in refusal(root)


def test_a_missing_list_or_file_is_named(root):
    """What is missing and where to point; no more than 20 of many."""
    (root / "train.txt").write_text(" ".join(str(n) for n in range(10)))
    message = refusal(root)
    assert "names 30 files that do not exist" in message
    assert "rgb/0.jpg\n" in message and message.endswith("and 10 more")
    (root / "train.txt").unlink()
    assert "train.txt cannot be read; point --data (or SOSD_NYUV2)" in refusal(root)


@pytest.mark.parametrize("file", ["rgb/0001.jpg", "depth/0001.png", "label40/0001.png"])
def test_a_damaged_file_is_named(root, file):
    """Cut off anywhere, empty, or no picture at all."""
    whole = (root / file).read_bytes()
    for damaged in (whole[:-1], whole[: len(whole) // 2], b"", b"no picture" + whole[-8:]):
        (root / file).write_bytes(damaged)
        assert f"{file} is cut off or damaged; copy it again" in refusal(root)


@pytest.mark.parametrize(
    ("file", "pixels", "sentence"),
    [
        ("depth", np.ones((30, 80), np.uint16), "depth/0001.png is 30x80, but"),
        ("label40", np.ones((60, 40), np.uint8), "label40/0001.png is 60x40, but"),
        ("depth", np.ones((60, 80), np.uint8), "has 1 channel(s) of uint8, expected 1 of uint16"),
        ("label40", np.ones((60, 80, 3), np.uint8), "has 3 channel(s) of uint8, expected 1"),
        ("depth", np.zeros((60, 80), np.uint16), "depth/0001.png is 0 everywhere"),
        ("label40", np.full((60, 80), 41, np.uint8), "label40/0001.png has a label 41"),
    ],
)
def test_truth_that_cannot_be_is_refused(root, file, pixels, sentence):
    """Of another size or type than it should be, or out of range."""
    cv2.imwrite(str(root / file / "0001.png"), pixels)
    assert sentence in refusal(root)


def test_no_data_of_this_machine_is_within_reach():
    """Of a test that does not ask for it, nor of a command that it runs."""
    names = ("nyuv2", "cityscapes")
    assert not any(default_root(name).exists() for name in names)
    program = (
        "from training.data.sets import default_root\n"
        f"for name in {names}: print(default_root(name))"
    )
    found = run_python("-c", program)
    assert found.stdout.splitlines() == [str(default_root(name)) for name in names]


@pytest.mark.parametrize(("split", "count"), [("train", 795), ("val", 327)])
def test_the_real_data_set(split, count, real_nyuv2):
    """Sizes, ranges and label values of real samples."""
    samples = NYUv2(real_nyuv2, split)
    assert len(samples) >= count
    for index in (0, count // 2, count - 1):
        image, depth, labels = samples[index]
        assert image.shape == (CAMERA.height, CAMERA.width, 3)
        assert np.nanmin(depth) > 0.3 and np.nanmax(depth) < 10.1
        assert set(np.unique(labels)) <= {*range(len(NYU40.names)), 255}


def test_the_groups_are_those_of_the_data_set(real_nyuv2):
    """The 13 and their members, as they lie beside the real images."""
    meta = json.loads((real_nyuv2 / "meta.json").read_text())
    assert tuple(meta["map40to13"]) == GROUPS13
    assert tuple(meta["classes13"]) == NYU13.names
