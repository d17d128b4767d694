"""Photographs without labels: what ``prepare photographs`` keeps of them, and in which form."""

import csv
import os

import cv2
import numpy as np
import pytest
from support import run_here

from training import prepare
from training.data import unlabelled_photographs
from training.data.errors import DataError
from training.data.unlabelled_photographs import Box, landscape, perceptual_hash, trimmed, unfit


def run(*arguments):
    run_here(prepare, "photographs", *arguments)


def picture(seed, height=300, width=400):
    """Coloured, not uniform, and unlike that of another seed."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(20, 235, (6, 8, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + random.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)


def write(path, image, *options):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1], options)


def read(path):
    return cv2.imread(str(path))[..., ::-1]


def verdicts(out):
    """By file."""
    with (out / "sources.csv").open(newline="") as stream:
        return {row["file"]: row for row in csv.DictReader(stream)}


def framed(image, top=0, bottom=0, left=0, right=0, grey=255):
    return cv2.copyMakeBorder(
        image, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(grey, grey, grey)
    )


@pytest.mark.parametrize("grey", [0, 128, 255])
@pytest.mark.parametrize(
    "bars", [{"top": 40, "bottom": 40}, {"left": 70, "right": 70}, {"bottom": 25}]
)
def test_bars_are_cut_off_and_little_more(bars, grey):
    image = picture(1)
    left, top = bars.get("left", 0), bars.get("top", 0)
    box = trimmed(framed(image, **bars, grey=grey))
    assert abs(box.x - left) <= 2 and abs(box.y - top) <= 2
    assert 396 <= box.width <= 400 and 296 <= box.height <= 300


def test_a_bar_into_which_compression_has_smeared_the_picture_is_cut_off():
    """Of the picture's edge only a few pixels reach into it, and farther than the others."""
    image = framed(picture(1), bottom=24)
    image[300:306, 40:60] = 230
    box = trimmed(image)
    assert 296 <= box.height <= 306


def test_bars_within_bars_are_cut_off_too():
    inner = framed(picture(1), left=30, right=30, grey=0)
    box = trimmed(framed(inner, top=20, bottom=20, left=20, right=20))
    assert 392 <= box.width <= 400 and 292 <= box.height <= 300


def test_an_overexposed_ceiling_is_no_bar():
    image = picture(1)
    rows, columns = np.indices(image.shape[:2])
    image[rows < 40 + columns // 8] = 255
    assert trimmed(image) == Box(0, 0, 400, 300)


def test_what_is_cut_out_has_the_cameras_aspect():
    for box in (Box(0, 0, 300, 400), Box(5, 7, 400, 300), Box(0, 0, 900, 500)):
        part = landscape(box)
        assert abs(part.width / part.height - 4 / 3) < 0.01
        assert part.x + part.width <= box.x + box.width
        assert part.y + part.height <= box.y + box.height


def test_a_hash_survives_size_compression_and_brightness_but_no_other_picture():
    image = picture(1)
    small = cv2.resize(image, (200, 150), interpolation=cv2.INTER_AREA)
    poor = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 20])[1], 1)
    dark = (image * 0.6).astype(np.uint8)

    def differing(other):
        return bin(perceptual_hash(image) ^ perceptual_hash(other)).count("1")

    assert max(map(differing, (small, poor, dark))) <= 4
    assert min(differing(picture(seed)) for seed in range(2, 40)) > 8
    assert differing(image[:, ::-1]) > 8


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (picture(1, 150, 200), "too small"),
        (np.repeat(picture(1)[..., :1], 3, 2), "without colour"),
        (np.full((300, 400, 3), (200, 150, 90), np.uint8), "almost uniform"),
    ],
)
def test_what_is_no_use_is_named(image, why):
    whole = Box(0, 0, image.shape[1], image.shape[0])
    assert unfit(image, whole, 240) == why
    assert unfit(picture(2), Box(0, 0, 400, 300), 240) is None


def test_a_panorama_is_not_cut_to_a_quarter_of_itself():
    assert unfit(picture(1), Box(0, 0, 900, 300), 240) == "too long"


@pytest.fixture
def folders(tmp_path):
    """One of all kinds, and one of pictures that are measured on."""
    photos, measured = tmp_path / "photos", tmp_path / "measured"
    write(photos / "a" / "1 room.jpg", picture(1))
    write(photos / "a" / "2_again.png", picture(1))
    write(photos / "a" / "3_mirrored.png", picture(1)[:, ::-1])
    write(photos / "b" / "4_large.JPG", picture(4, 960, 1280))
    write(photos / "b" / "5_bars.png", framed(picture(5), top=50, bottom=50))
    write(photos / "b" / "6_measured.jpg", picture(6))
    write(photos / "b" / "7_cut_off.jpg", picture(7))
    write(photos / "b" / "8_small.png", picture(8, 60, 80))
    whole = (photos / "b" / "7_cut_off.jpg").read_bytes()
    (photos / "b" / "7_cut_off.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "b" / "9_empty.png").write_bytes(b"")
    write(measured / "0001.png", picture(6)[:, ::-1])
    return photos, measured


EXPECTED = {
    "a/1 room.jpg": "kept",
    "a/2_again.png": "like an earlier one",
    "a/3_mirrored.png": "like an earlier one",
    "b/4_large.JPG": "kept",
    "b/5_bars.png": "kept",
    "b/6_measured.jpg": "like one of --unlike",
    "b/7_cut_off.jpg": "damaged",
    "b/8_small.png": "too small",
    "b/9_empty.png": "damaged",
}


def test_every_file_gets_a_verdict_and_what_stays_is_ready_for_training(folders, tmp_path, capsys):
    photos, measured = folders
    out = tmp_path / "out"
    run(photos, "--out", out, "--unlike", measured)
    found = verdicts(out)
    assert {file: row["verdict"] for file, row in found.items()} == EXPECTED
    names = (out / "train.txt").read_text().split()
    assert names == [row["name"] for row in found.values() if row["verdict"] == "kept"]
    assert sorted(path.stem for path in (out / "rgb").iterdir()) == sorted(names)
    shapes = [read(out / "rgb" / f"{name}.jpg").shape for name in names]
    assert shapes[:2] == [(300, 400, 3), (480, 640, 3)]
    # The bars' 304 rows are 400 wide: what is cut out is a little less than 4:3 of the picture.
    height, width, _ = shapes[2]
    assert 290 <= height <= 300 and abs(width / height - 4 / 3) < 0.01
    stored = read(out / "rgb" / f"{names[0]}.jpg").astype(int)
    assert np.abs(stored - picture(1)).mean() < 6
    printed = capsys.readouterr().out
    assert f"{photos}: 3 of 9 kept; 2 damaged, 2 like an earlier one" in printed
    assert "1 like one of --unlike, 1 too small" in printed


def test_square_files_of_squeezed_pictures_are_stretched_first(tmp_path):
    image = picture(1, 300, 400)
    write(tmp_path / "photos" / "square.png", cv2.resize(image, (300, 300)))
    write(tmp_path / "photos" / "wide.png", picture(2, 300, 400))
    out = tmp_path / "out"
    run("--squeezed", tmp_path / "photos", "--out", out)
    stored = [read(out / "rgb" / f"{row['name']}.jpg") for row in verdicts(out).values()]
    assert [pixels.shape for pixels in stored] == [(300, 400, 3), (300, 400, 3)]
    assert np.abs(stored[0].astype(int) - image).mean() < 6


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("stop", range(2, 9, 2))
def test_a_run_that_was_stopped_goes_on_to_the_same_result(folders, tmp_path, monkeypatch, stop):
    photos, measured = folders
    whole, out = tmp_path / "whole", tmp_path / "out"
    run(photos, "--out", whole, "--unlike", measured)
    judge = unlabelled_photographs._judge
    judged = []

    def stopping(*arguments):
        judged.append(arguments)
        if len(judged) == stop:
            raise KeyboardInterrupt
        return judge(*arguments)

    monkeypatch.setattr(unlabelled_photographs, "_judge", stopping)
    with pytest.raises(KeyboardInterrupt):
        run(photos, "--out", out, "--unlike", measured)
    assert not (out / "train.txt").exists()
    # A line that was being written when the machine went down.
    with (out / "sources.csv").open("a") as stream:
        stream.write("0123,kep")
    run(photos, "--out", out, "--unlike", measured)
    assert contents(out) == contents(whole)
    assert len(judged) == 1 + len(EXPECTED)


def test_other_options_or_files_do_not_go_on_where_these_began(folders, tmp_path):
    photos, measured = folders
    out = tmp_path / "out"
    run(photos, "--out", out, "--unlike", measured)
    with pytest.raises(DataError, match="short_side 240, not 100"):
        run(photos, "--out", out, "--unlike", measured, "--short-side", 100)
    os.remove(photos / "a" / "1 room.jpg")
    with pytest.raises(DataError, match=r"has a/1 room.jpg where .*2_again.png is next"):
        run(photos, "--out", out, "--unlike", measured)


def test_nothing_is_written_for_a_folder_without_pictures_or_for_no_folder(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(DataError, match=r"none has no picture \(.bmp, .jpeg, .jpg, .png, .webp\)"):
        run(tmp_path / "none", "--out", out)
    with pytest.raises(DataError, match="name a folder of photographs"):
        run("--out", out)
    assert not out.exists()
