"""The command that answers a folder, an image or a video, on a machine that has no ROS."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image
from support import EAGER_OPTIONS, run_here, run_module, run_without_ros

from sosd_ros.camera import Intrinsics
from sosd_ros.engine import Perception
from sosd_ros.infer import __main__ as infer
from sosd_ros.infer import sources
from sosd_ros.infer.cameras import Given, camera_of
from sosd_ros.infer.drawing import Drawing
from sosd_ros.labels import NYU40

EXIF, FOCAL_35MM, ORIENTATION = 0x8769, 0xA405, 0x0112


@pytest.fixture
def answer(small_weights, capfd):
    """The command in this process; what it printed, and what it said to people."""

    def run(*arguments):
        capfd.readouterr()
        run_here(infer, *arguments, "--weights", small_weights, *EAGER_OPTIONS)
        return capfd.readouterr()

    return run


def picture(seed=0, height=64, width=96):
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)


def save(path, rgb, focal=0, orientation=1):
    """A picture, with what its EXIF tells."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    if focal:
        exif.get_ifd(EXIF)[FOCAL_35MM] = focal
    Image.fromarray(rgb).save(path, exif=exif)
    return path


@pytest.fixture
def photos(tmp_path):
    """Two whole pictures and one that is cut off between them."""
    folder = tmp_path / "photos"
    folder.mkdir()
    save(folder / "a.png", picture(1))
    whole = save(folder / "c.jpg", picture(2), focal=28).read_bytes()
    (folder / "b.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_each_image_gets_a_sheet_and_its_answers(photos, tmp_path, answer, capfd):
    """One that is broken is named, the others go on, and the status is 1."""
    with pytest.raises(ValueError, match="1 of 3 images could not be answered"):
        answer(photos, "--out", tmp_path / "out")
    said = capfd.readouterr()
    assert "b.jpg: it is not a whole image that can be decoded" in said.err
    assert "a.png tells no focal length, so its depth is that of the training camera" in said.err
    assert [line.partition(":")[0] for line in said.out.splitlines()] == ["a.png", "c.jpg"]
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["a.npz", "a_sheet.png", "c.npz", "c_sheet.png"]
    assert np.ptp(cv2.imread(str(tmp_path / "out" / "a_sheet.png"))) > 100
    with np.load(tmp_path / "out" / "a.npz") as arrays:
        assert arrays["depth"].shape == arrays["labels"].shape == (64, 96)
        assert arrays["depth"].dtype == np.float32 and arrays["confidence"].dtype == np.uint8
        assert arrays["names"].tolist() == list(NYU40.names)
        np.testing.assert_array_equal(arrays["intrinsics"][2:], [47.5, 31.5])


def test_depth_is_proportional_to_the_focal_length(photos, tmp_path, answer):
    """As given, or by the EXIF: f = 28 mm of a film whose diagonal is 43.27 mm."""
    (photos / "b.jpg").unlink()
    depths = {}
    for name, options in (("own", []), ("told", ["--camera", "80,80,47.5,31.5"])):
        said = answer(photos, "--out", tmp_path / name, "--json", *options)
        lines = [json.loads(line) for line in said.out.splitlines()]
        for line in lines:
            with np.load(tmp_path / name / f"{line['image'][0]}.npz") as arrays:
                depths[name, line["image"]] = arrays["depth"], line["fx"], line["camera"]
    focal = 28 * np.hypot(64, 96) / np.hypot(36, 24)
    assert depths["own", "c.jpg"][1:] == (round(focal, 3), "exif")
    assert depths["own", "a.png"][1:] == (100.0, "assumed")  # of the training, at the same size
    assert depths["told", "a.png"][1:] == depths["told", "c.jpg"][1:] == (80.0, "given")
    for image, of in (("a.png", 100.0), ("c.jpg", focal)):
        own, told = depths["own", image][0], depths["told", image][0]
        np.testing.assert_allclose(own / told, of / 80, rtol=1e-5)


def test_what_is_there_is_kept_until_it_is_asked_for_again(photos, tmp_path, answer):
    """So a run that was interrupted goes on; other files are made beside them."""
    (photos / "b.jpg").unlink()
    out = tmp_path / "out"
    answer(photos, "--out", out)
    (out / "c.npz").unlink()
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    said = answer(photos, "--out", out)
    assert [line[:5] for line in said.out.splitlines()] == ["c.jpg"]
    assert "1 were there already and are kept; --again makes them anew" in said.err
    assert (out / "a.npz").stat().st_mtime_ns == before[out / "a.npz"]
    assert len(answer(photos, "--out", out, "--again").out.splitlines()) == 2
    answer(photos, "--out", out, "--write", "depth,labels,points")
    depth = cv2.imread(str(out / "a_depth.png"), cv2.IMREAD_UNCHANGED)
    labels = cv2.imread(str(out / "a_labels.png"), cv2.IMREAD_UNCHANGED)
    with np.load(out / "a.npz") as arrays:
        np.testing.assert_allclose(depth / 1000, arrays["depth"], atol=0.0005)
        np.testing.assert_array_equal(labels, arrays["labels"])
        check_points((out / "a.ply").read_bytes(), arrays, picture(1))


def check_points(ply, arrays, rgb):
    """Each pixel's point lies on its ray, with its colour and its label."""
    header, _, body = ply.partition(b"end_header\n")
    kinds = {"float": "<f4", "uchar": "u1"}
    rows = [line.split() for line in header.decode().splitlines()]
    fields = [(row[2], kinds[row[1]]) for row in rows if row[0] == "property"]
    points = np.frombuffer(body, fields)
    assert ["element", "vertex", str(len(points))] in rows
    fx, fy, cx, cy = arrays["intrinsics"]
    seen = np.isfinite(arrays["depth"])
    rows, columns = np.nonzero(seen)
    z = arrays["depth"][seen]
    np.testing.assert_array_equal(points["z"], z)
    np.testing.assert_allclose(points["x"], (columns - cx) / fx * z, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(points["y"], (rows - cy) / fy * z, rtol=1e-5, atol=1e-6)
    colours = np.stack([points[name] for name in ("red", "green", "blue")], axis=-1)
    np.testing.assert_array_equal(colours, rgb[seen])
    np.testing.assert_array_equal(points["label"], arrays["labels"][seen])


def test_a_video_becomes_a_video(tmp_path, answer):
    """Of as many frames at the same rate; it is whole or not there."""
    path = tmp_path / "walk.mp4"
    film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 12.5, (96, 64))
    for seed in range(4):
        film.write(picture(seed))
    film.release()
    out = tmp_path / "out"
    said = answer(path, "--out", out, "--write", "video,arrays")
    assert f"video: {out / 'walk_sheet.mp4'}" in said.err and said.out == ""
    made = cv2.VideoCapture(str(out / "walk_sheet.mp4"))
    assert made.get(cv2.CAP_PROP_FPS) == 12.5 and made.get(cv2.CAP_PROP_FRAME_COUNT) == 4
    assert sorted(p.name for p in out.glob("*.npz")) == [f"walk_00000{i}.npz" for i in range(4)]
    assert len(list(out.iterdir())) == 5
    assert "is there already; --again makes it anew" in answer(path, "--out", out).err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing"], "missing does not exist; name a folder of images, an image or a video"),
        (["."], "has no images; expected files that end in"),
        (["notes.txt"], "is neither a folder of images, an image"),
        (["a.png", "--write", "video"], "--write has video, but .*a.png is none; leave it out"),
        (["a.png", "--out", "notes.txt"], "--out is .*notes.txt, which is a file; name a folder"),
        (["photos", "--out", "photos"], "--out is photos, where the images are; name another"),
        (["a.png", "--max-depth", "0.1"], "--max-depth is 0.1 m, expected more than 0.1 m"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(tmp_path, answer, monkeypatch, arguments, words):
    """And what to do; before the network is loaded, where that is possible."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no picture")
    save(tmp_path / "a.png", picture())
    (tmp_path / "photos").mkdir()
    save(tmp_path / "photos" / "b.png", picture())
    monkeypatch.chdir(tmp_path / "empty" if arguments == ["."] else tmp_path)
    with pytest.raises(ValueError, match=words):
        answer(*arguments)


@pytest.mark.parametrize("text", ["", "1,2,3", "0,500,320,240", "500,500,nan,240", "a,b,c,d"])
def test_a_camera_has_four_numbers(text):
    """argparse's own error, with an example."""
    done = run_module("sosd_ros.infer", "a.png", "--camera", text)
    assert done.returncode == 2
    assert "expected fx,fy,cx,cy in pixels, such as 525,525,319.5,239.5" in done.stderr


def test_a_camera_of_other_images_is_refused(file):
    """Its principal point tells."""
    with pytest.raises(ValueError, match="outside the image of 96x64; it must be in pixels of"):
        camera_of((64, 96), Given(500.0, 500.0, 320.0, 240.0), 0, file.manifest)
    camera, how = camera_of((64, 96), None, 0, file.manifest)
    assert camera == Intrinsics(100.0, 100.0, 47.5, 31.5, 96, 64) and how == "assumed"


def test_pictures_are_upright_by_their_exif(tmp_path):
    """As people see them, and as a network has learned the world."""
    rgb = picture(height=8, width=16)
    turned = sources.read_image(save(tmp_path / "a.png", rgb, orientation=6))
    np.testing.assert_array_equal(turned, np.rot90(rgb, -1))


def test_of_two_images_with_one_name_neither_takes_the_place_of_the_other(tmp_path):
    """a.jpg and a.png."""
    for name in ("a.jpg", "a.png", "b.png"):
        save(tmp_path / name, picture())
    keys = [p.key for p in sources.open_source(tmp_path).pictures]
    assert keys == ["a.jpg", "a.png", "b"]


def test_a_video_s_drawings_keep_size_and_scale():
    """Whatever is seen; and a class keeps its place, so that the legend can be read."""
    draw = Drawing(NYU40, is_steady=True)
    sizes, legends = set(), []
    for frame in range(3):
        depth = np.full((64, 96), 1.0 + 3 * frame, np.float32)
        labels = np.full((64, 96), 5, np.uint8)
        labels[: 10 * (frame + 1)] = frame
        sheet = draw(picture(), Perception(depth, labels, None))
        sizes.add(sheet.shape)
        legends.append(sheet[-62:, :200])
    assert len(sizes) == 1 and all(side % 2 == 0 for side in next(iter(sizes))[:2])
    np.testing.assert_array_equal(legends[0], legends[1])


def test_it_needs_no_ros(photos, tmp_path, small_weights):
    """Nothing of ROS can be imported here; an error is one line."""
    options = ["--out", tmp_path / "out", "--weights", small_weights, *EAGER_OPTIONS]
    done = run_without_ros("sosd_ros.infer", photos, *options)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: 1 of 3 images could not be answered")
    assert len(list((tmp_path / "out").iterdir())) == 4
