"""What was measured, paired with what was answered: in time, over tf, and in bounded memory."""

from __future__ import annotations

import numpy as np
import pytest
import room
from sensor_msgs.msg import CameraInfo

from sosd_ros.camera_info import View
from sosd_ros.lens import Lens
from sosd_ros.poses import SAME, Pose
from sosd_ros.ros import camera_scale
from sosd_ros.ros.camera_scale import BY_HEIGHT, PATIENCE, SECOND, Answer, CameraScale, Ground
from sosd_ros.ros.sensors import Reading
from sosd_ros.ros.transforms import NoTransformError
from sosd_ros.scale import Scale

WRONG_BY = 1.25
DEPTH = room.depth_image()
LABELS = np.where(np.isclose(DEPTH, room.WALL), 0, 7).astype(np.uint8)
POINTS = room.lidar((0.2, 0.1, 0.0), across=0.02, down=0.05)


class Tf:
    """A stand-in for tf: known poses by frame, or what keeps them from being known."""

    def __init__(self, **known):
        self.known, self.cleared = known, 0

    def pose(self, frame, within, stamp):
        if frame == within:
            return SAME
        if frame not in self.known:
            raise NoTransformError(f"the frame {frame} has no known place in {within}")
        return self.known[frame]

    def clear(self):
        self.cleared += 1


def answer(seconds, factor=1.0, shift=0.0, view=None, depth=DEPTH, **changes):
    """A frame whose network answers too far, and is scaled by some factor and shift."""
    published = (depth * np.float32(WRONG_BY * factor) + np.float32(shift)).astype(np.float32)
    view = view or View(CameraInfo(), room.CAMERA)
    frame = Answer(ns(seconds), "camera", view, published, None, LABELS, factor, shift)
    return frame._replace(**changes)


def ns(seconds):
    return round(seconds * SECOND)


def reading(seconds, points=POINTS, frame="lidar"):
    return Reading(ns(seconds), frame, points.astype(np.float32))


@pytest.fixture
def tf():
    return Tf(lidar=SAME)


@pytest.fixture
def scale(tf):
    scale = CameraScale(["/scan"], None, tf.pose, tf.clear)
    scale.window.duration = 5.0  # which is estimated anew every tenth of a second
    return scale


def play(scale, stamps, apart=0.0, **options):
    """Frames, and readings a little later or earlier."""
    for stamp in stamps:
        scale.hear("/scan", reading(stamp + apart))
        scale.see(answer(stamp, **options))
        scale.update()


TENTHS = np.arange(100, 102, 0.1)


def fault(scale):
    return scale.report.faults["/scan"]


@pytest.mark.parametrize("apart", [0.0, 0.04, -0.04, 0.09])
def test_readings_are_compared_with_the_frame_that_is_nearest(scale, apart):
    play(scale, TENTHS, apart)
    found = scale.report.scale
    assert found.factor == pytest.approx(1 / WRONG_BY, rel=1e-3)
    assert scale.report.refusal == "" and not scale.report.faults
    assert found.frames >= len(TENTHS) - 2


@pytest.mark.parametrize(("factor", "shift"), [(0.8, 0.0), (2.0, 0.0), (0.9, 0.3)])
def test_the_scale_is_of_what_the_network_answers(scale, factor, shift):
    """However its answers were scaled before they were published."""
    play(scale, TENTHS, factor=factor, shift=shift)
    assert scale.report.scale.factor == pytest.approx(1 / WRONG_BY, rel=1e-3)


def test_a_shift_is_found_if_it_is_asked_for(scale):
    scale.window.with_shift = True
    points = room.lidar((0, 0, 0), across=0.02, down=0.05)
    measured = points * ((points[:, 2:] + 0.5) / points[:, 2:])  # half a metre farther
    for stamp in TENTHS:
        scale.hear("/scan", reading(stamp, measured))
        scale.see(answer(stamp))
        scale.update()
    found = scale.report.scale
    assert found.factor == pytest.approx(1 / WRONG_BY, rel=0.02)
    assert found.shift == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    "view",
    [
        View(CameraInfo(), room.CAMERA, lens=Lens(room.CAMERA, "plumb_bob", (0.0,) * 5)),
        View(CameraInfo(), room.CAMERA.__class__(500, 500, 319.5, 239.5, 640, 480, (0.3, 0.0))),
    ],
    ids=["lens", "centre beside the frame's origin"],
)
def test_points_are_projected_by_the_images_own_camera(tf, scale, view):
    place = np.array([*view.camera.centre, 0])
    tf.known["lidar"] = Pose(np.eye(3), place)
    play(scale, TENTHS, view=view)
    assert scale.report.scale.factor == pytest.approx(1 / WRONG_BY, rel=1e-3)


def test_points_come_over_tf(tf, scale):
    """A lidar whose x axis is forward and z up, mounted off the camera."""
    rotation = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])
    tf.known["lidar"] = Pose(rotation, np.array([0.4, -0.2, 0.1]))
    points = (POINTS - tf.known["lidar"].origin) @ rotation
    for stamp in TENTHS:
        scale.hear("/scan", reading(stamp, points))
        scale.see(answer(stamp))
        scale.update()
    assert scale.report.scale.factor == pytest.approx(1 / WRONG_BY, rel=1e-3)


def test_a_transform_that_is_late_is_waited_for(tf, scale):
    """For a second; the frames are kept, and nobody stands still."""
    place = tf.known.pop("lidar")
    play(scale, TENTHS[:9])
    assert "0 points in 0 frames" in scale.report.refusal and not scale.report.faults
    tf.known["lidar"] = place
    play(scale, TENTHS[9:10])
    assert scale.report.scale.frames == 10


def test_a_transform_that_never_comes_is_told_with_both_frames(tf, scale):
    tf.known.clear()
    play(scale, np.arange(100, 103, 0.1))
    assert fault(scale) == "the frame lidar has no known place in camera"
    assert isinstance(scale.report.scale, type(None))
    tf.known["lidar"] = SAME
    play(scale, np.arange(103, 104, 0.1))
    assert not scale.report.faults and scale.report.scale is not None


@pytest.mark.parametrize("by", [-3600, -2, 0.5, 3600])
def test_a_sensor_with_another_clock_is_told(scale, by):
    play(scale, np.arange(100, 100 + 10 * 0.1, 0.1), apart=by)
    for stamp in np.arange(101, 140, 1.0):  # images grow rare, so that none is near
        scale.hear("/scan", reading(stamp + by))
        scale.see(answer(stamp))
        scale.update()
    if by == 0.5:
        assert fault(scale).startswith("it is 0.5 s apart from the answered image that is nearest")
    else:
        assert "does its clock agree with the camera's?" in fault(scale)


def test_a_sensor_that_looks_elsewhere_is_told(scale):
    """With both frames, and how many of its points the camera sees."""
    for stamp in TENTHS[: PATIENCE - 1]:
        scale.hear("/scan", reading(stamp, -POINTS))
        scale.see(answer(stamp))
        scale.update()
    assert not scale.report.faults  # not at once
    scale.hear("/scan", reading(TENTHS[PATIENCE], -POINTS))
    scale.see(answer(TENTHS[PATIENCE]))
    scale.update()
    assert f"of its {len(POINTS)} points in the frame lidar, the camera in the frame" in fault(
        scale
    )
    assert "camera sees 0" in fault(scale)


def test_a_sensor_that_measures_nothing_is_no_fault(scale):
    for stamp in TENTHS:
        scale.hear("/scan", reading(stamp, np.zeros((0, 3))))
        scale.see(answer(stamp))
        scale.update()
    assert not scale.report.faults
    assert "0 points in 0 frames" in scale.report.refusal


def test_bad_messages_are_counted(scale):
    for _ in range(PATIENCE):
        scale.refuse("/scan", "LaserScan has no frame_id")
    scale.update()
    assert fault(scale) == "LaserScan has no frame_id"
    assert scale.report.inputs["/scan"].startswith("0 used, 0 unused, 5 refused; the last: Laser")


def test_a_factor_that_cannot_be_is_refused(scale):
    """A sensor in millimetres."""
    for stamp in TENTHS:
        scale.hear("/scan", reading(stamp, POINTS * 1000))
        scale.see(answer(stamp))
        scale.update()
    assert scale.report.scale is None
    assert scale.report.refusal.startswith("the factor would be 800, expected 0.1 to 10")


def test_the_last_scale_stays_where_the_evidence_ends(scale):
    play(scale, TENTHS)
    found = scale.report.scale
    for stamp in np.arange(103, 120, 1.0):
        scale.see(answer(stamp))
        scale.update()
    assert scale.report.scale is not None and scale.report.scale.factor == found.factor
    assert "0 points in 0 frames of the last 5 s" in scale.report.refusal


def test_a_recording_that_starts_again_begins_anew(tf, scale):
    """Readings that came before the first frame of the new round count; tf is cleared."""
    play(scale, TENTHS)
    scale.hear("/scan", reading(40.0))
    scale.see(answer(40.0))
    scale.update()
    assert tf.cleared == 1
    assert "in 1 frames" in scale.report.refusal
    play(scale, np.arange(40.1, 41, 0.1))
    assert scale.report.scale.frames == 10 and not scale.report.faults


def test_before_it_has_evidence_of_the_new_round_there_is_no_scale(tf, scale):
    """What was found in the last round is of times to come."""
    play(scale, TENTHS)
    scale.see(answer(40.0))
    scale.update()
    assert "0 points in 0 frames" in scale.report.refusal


def test_memory_is_bounded(tf, scale):
    """A thousand frames and readings, none of which can be compared."""
    tf.known.clear()
    for number in range(1000):
        scale.hear("/scan", reading(100 + number / 1000))
        scale.see(answer(100 + number / 1000))
        scale.update()
    for number in range(1000):
        scale.hear("/scan", reading(102 + number / 100))
        scale.update()
    assert len(scale._frames) <= 13
    assert len(scale._pairs) <= camera_scale.MOST_PAIRS + camera_scale.KEPT
    assert len(scale._inputs["/scan"].waiting) <= camera_scale.KEPT


class TestHeight:
    def play(self, tf, ground, depth=DEPTH, labels=LABELS):
        scale = CameraScale([], ground, tf.pose)
        for stamp in TENTHS:
            scale.see(answer(stamp, depth=depth, labels=labels))
            scale.update()
        return scale.report

    def test_of_a_level_camera(self, tf):
        report = self.play(tf, Ground("", room.HEIGHT, 0.0, {7}))
        assert report.scale.factor == pytest.approx(1 / WRONG_BY, rel=0.02)

    def test_over_tf(self, tf):
        """Of a camera that looks down by 0.3 rad, in a frame with z up."""
        sine, cosine = np.sin(0.3), np.cos(0.3)
        up = -np.array([0, cosine, sine])
        slope = -(room.camera_rays() @ up).reshape(room.SIZE)
        depth = np.where(slope > 0.1, 0.7 / np.maximum(slope, 0.1), np.nan).astype(np.float32)
        rotation = np.array([[0, -sine, cosine], [-1, 0, 0], [0, -cosine, -sine]])
        tf.known["camera"] = Pose(rotation, np.array([0.1, 0.2, 0.7]))
        labels = np.full(room.SIZE, 7, np.uint8)
        by_tf = self.play(tf, Ground("base_footprint", 0.0, 0.0, {7}), depth, labels)
        by_pitch = self.play(tf, Ground("", 0.7, 0.3, {7}), depth, labels)
        for report in (by_tf, by_pitch):
            assert report.scale.factor == pytest.approx(1 / WRONG_BY, rel=0.01)

    def test_a_frame_that_is_not_on_the_ground_is_told(self, tf):
        tf.known["camera"] = Pose(np.eye(3), np.array([0, 0, -0.2]))
        report = self.play(tf, Ground("roof", 0.0, 0.0, {7}))
        assert report.faults[BY_HEIGHT].startswith("tf has the frame camera -0.20 m above roof")

    def test_not_seeing_the_ground_is_no_fault(self, tf):
        report = self.play(tf, Ground("", 1.0, 0.0, {7}), labels=np.zeros(room.SIZE, np.uint8))
        assert not report.faults
        assert "0 usable pixels of ground" in report.inputs[BY_HEIGHT]
        assert not isinstance(report.scale, Scale)
