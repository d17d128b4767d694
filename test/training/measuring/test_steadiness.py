"""A folder of neighbouring images, and what the command says of how answers to it flicker."""

import cv2
import numpy as np
import pytest
from support import run_here

from training import evaluate
from training.data.errors import DataError
from training.data.sequence import Sequence, still
from training.measuring import steadiness
from training.networks import trained

SIZE = (60, 80)


@pytest.fixture
def folder(tmp_path):
    """Four images of a wall, past which the camera moves."""
    wide = np.random.default_rng(0).integers(0, 255, (*SIZE, 3)).astype(np.uint8)
    wide = cv2.resize(cv2.GaussianBlur(wide, (0, 0), 2), (160, 60))
    for number in range(4):
        start = tmp_path / f"frame-{number:06d}"
        cv2.imwrite(f"{start}.color.png", wide[:, 4 * number : 4 * number + 80])
        depth = np.full(SIZE, 2000, np.uint16)
        depth[:5], depth[5:10] = 0, 65535
        cv2.imwrite(f"{start}.depth.png", depth)
        pose = np.eye(4)
        pose[0, 3] = 2 * 4 * number / 70
        np.savetxt(f"{start}.pose.txt", pose)
    np.savetxt(tmp_path / "camera-intrinsics.txt", [[70, 0, 40], [0, 70, 30], [0, 0, 1]])
    return tmp_path


def numbers(printed, row):
    [line] = [line for line in printed.splitlines() if line.startswith(f"| {row} |")]
    return [float(cell) for cell in line.split("|")[2:-1]]


@pytest.mark.parametrize("kind", [[], ["--still"]], ids=["moving", "still"])
def test_the_command_says_how_much_answers_flicker(folder, small_weights, capsys, kind):
    """As they are and steadied, of the same images."""
    arguments = ("--sequence", folder, "--images", "3", *kind)
    run_here(evaluate, small_weights, *arguments, "--device", "cpu")
    printed = capsys.readouterr().out
    assert f"{'still' if kind else 'moving'} camera, 3 images at 60x80" in printed
    frames = sequence = Sequence(folder, 3)
    if kind:
        frames = still(next(iter(sequence)), 3, np.random.default_rng(0))
    predictor = trained.load(small_weights).predictor()
    ways = steadiness.measure(predictor, frames, sequence.camera)
    for row, way in ways.items():
        flicker, rel = way.flicker.pooled(), way.errors.pooled()["rel"]
        expected = [flicker["depth"], flicker["labels"], rel]
        assert numbers(printed, row)[:3] == pytest.approx(expected, abs=6e-5)
    plain, calm = (way.flicker.pooled() for way in ways.values())
    # This network answers about 2 m everywhere, whatever it sees. What steadying may add to that is
    # how wrong the camera's own motion is estimated.
    assert calm["depth"] < max(plain["depth"], 0.002) and calm["labels"] <= plain["labels"]


def test_a_sequence_has_depth_in_metres_and_poses(folder):
    """NaN where the sensor knows nothing."""
    sequence = Sequence(folder, 10)
    assert len(sequence) == 4 and sequence.camera.focal == 70
    first, *_, last = sequence
    assert np.isnan(first.depth[:10]).all() and (first.depth[10:] == 2).all()
    assert last.pose[0, 3] == pytest.approx(24 / 70)


def test_a_still_camera_sees_the_same_in_other_noise(folder):
    """By the seed that it is given."""
    frame = next(iter(Sequence(folder, 2)))
    one, other = ([*still(frame, 3, np.random.default_rng(5))] for _ in range(2))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
    difference = one[0].image.astype(int) - one[1].image
    assert 1 < np.abs(difference).mean() < 12


def test_what_is_no_sequence_is_refused_by_name(folder, tmp_path):
    """In one sentence that says what is wrong with which file."""
    with pytest.raises(DataError, match=r"has 0 images named frame-NAME\.color"):
        Sequence(tmp_path / "nowhere", 5)
    cv2.imwrite(str(folder / "frame-000001.depth.png"), np.ones((30, 40), np.uint16))
    with pytest.raises(DataError, match=r"frame-000001.depth.png is 30x40, .* 60x80"):
        list(Sequence(folder, 5))
    (folder / "frame-000000.pose.txt").write_text("1 2 3")
    with pytest.raises(DataError, match=r"frame-000000.pose.txt .* expected 4x4"):
        next(iter(Sequence(folder, 5)))
    (folder / "camera-intrinsics.txt").unlink()
    with pytest.raises(DataError, match=r"cannot read .*camera-intrinsics\.txt"):
        Sequence(folder, 5)
