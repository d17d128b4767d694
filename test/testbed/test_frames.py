"""Where the demo's frames come from."""

import cv2
import numpy as np
import pytest

from sosd_ros.testbed.frames import assumed_intrinsics, open_source


def test_the_sample_frames_come_with_their_calibration():
    """Twelve pictures of 640x480, each held for a second, and the camera that rendered them."""
    source = open_source(None, rate=2)
    frames = list(source.frames)
    assert source.length == len(frames) == 24
    assert {number for number, _ in frames} == set(range(12))
    assert all(image.shape == (480, 640, 3) and image.dtype == np.uint8 for _, image in frames)
    camera = source.intrinsics(640, 480)
    assert source.is_calibrated and (camera.fx, camera.fy, camera.cx) == (525, 525, 319.5)


def test_a_folder_is_played_in_the_order_of_names(tmp_path):
    """Colours come as RGB; other files are passed over."""
    for name, bgr in (("b.png", (255, 0, 0)), ("a.png", (0, 0, 255))):
        cv2.imwrite(str(tmp_path / name), np.full((4, 6, 3), bgr, np.uint8))
    (tmp_path / "notes.txt").write_text("not a picture")
    source = open_source(str(tmp_path), rate=1)
    assert [tuple(image[0, 0]) for _, image in source.frames] == [(255, 0, 0), (0, 0, 255)]
    assert not source.is_calibrated


def test_the_sizes_to_come_are_known(tmp_path):
    """As they are played, a phone's 4000x3000 as 1280x960; nothing of the frames is lost by it."""
    for name, size in (("a", (30, 40)), ("b", (3000, 4000)), ("c", (50, 20))):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((*size, 3), np.uint8))
    source = open_source(str(tmp_path), rate=2)
    assert source.sizes(4) == {(30, 40), (960, 1280)}
    assert source.sizes(5) == {(30, 40), (960, 1280), (50, 20)}
    played = [image.shape for _, image in source.frames]
    assert played == [(30, 40, 3)] * 2 + [(960, 1280, 3)] * 2 + [(50, 20, 3)] * 2
    assert source.length == 6
    assert open_source(None, rate=30).sizes(360) == {(480, 640)}


def test_a_video_is_played_frame_by_frame(tmp_path):
    """As many frames as the file has."""
    path = str(tmp_path / "clip.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for grey in (0, 100, 200):
        writer.write(np.full((48, 64, 3), grey, np.uint8))
    writer.release()
    source = open_source(path, rate=10)
    assert source.length == 3 and source.sizes(3) == {(48, 64)}
    assert [round(image.mean(), -1) for _, image in source.frames] == [0, 100, 200]


def test_the_assumed_camera_sees_sixty_degrees():
    """The edge of the image lies at tan(30 degrees)."""
    camera = assumed_intrinsics(640, 480)
    assert 320 / camera.fx == pytest.approx(np.tan(np.radians(30)))


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("", "has no images"),
        ("nowhere.mp4", "is neither a folder of images, a video file nor"),
        ("clip.mp4", "cannot be opened as a video or a camera"),
    ],
)
def test_a_source_without_frames_is_named(tmp_path, source, sentence):
    """With what was expected, before anything is started; here a file that is no video."""
    (tmp_path / "clip.mp4").write_bytes(b"not a video")
    with pytest.raises(ValueError, match=sentence):
        open_source(str(tmp_path / source), rate=1)
