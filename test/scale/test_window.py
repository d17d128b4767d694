"""The scale of a window of time, by simulated sensors."""

import numpy as np
import pytest
import room

from sosd_ros.scale import Evidence, Limits, Scale, ScaleWindow, evidence_of_points, visible

WRONG_BY = 1.45
TRUE = np.log(1 / WRONG_BY)
LAX = Limits(dispersion=np.inf)


def evidence(random, points=50, outliers=0.0, noise=0.05, of_frame=0.02, nearest=1.0, farthest=5.0):
    """A frame that is answered too far, as a whole off by one error and each point by another.

    Outliers are measured too far, as points are that the camera does not see.
    """
    answered = random.uniform(nearest, farthest, points)
    ratios = TRUE + random.normal(0, of_frame) + random.normal(0, noise, points)
    wrong = random.random(points) < outliers
    ratios[wrong] += random.uniform(0.2, 1.5, wrong.sum())
    return Evidence(answered * np.exp(ratios), answered, np.ones(points))


def filled(frames, **options):
    window = ScaleWindow(**options)
    for number, frame in enumerate(frames):
        window.add(number / 10, frame)
    return window.estimate((len(frames) - 1) / 10)


def test_one_factor_from_all_frames(random):
    scale = filled([evidence(random) for _ in range(30)])
    assert scale.factor == pytest.approx(1 / WRONG_BY, rel=0.02)
    assert (scale.shift, scale.frames, scale.points) == (0, 30, 1500)
    assert 0.03 < scale.dispersion < 0.08


@pytest.mark.parametrize("noise", [0.02, 0.05, 0.1])
def test_four_of_ten_points_may_be_wrong(noise, random):
    """And all of them in one direction."""
    scale = filled([evidence(random, outliers=0.4, noise=noise) for _ in range(30)])
    assert scale.factor == pytest.approx(1 / WRONG_BY, rel=0.02)


def test_a_single_reading_a_frame_is_enough_after_a_while(random):
    """A Range sensor, of which two in ten readings are wrong: refused at first."""
    frames = [evidence(random, points=1, outliers=0.2) for _ in range(60)]
    assert "9 points in 9 frames" in filled(frames[:9])
    assert filled(frames).factor == pytest.approx(1 / WRONG_BY, rel=0.05)


def test_the_error_is_that_of_frames_and_not_of_points(random):
    """Frames that err as a whole, by 10 %: a thousand points tell no more than ten."""
    found = {points: [] for points in (10, 1000)}
    for points, scales in found.items():
        for _ in range(100):
            frames = [evidence(random, points, noise=0.03, of_frame=0.1) for _ in range(10)]
            scales.append(filled(frames))
    for scales in found.values():
        true = np.std([np.log(scale.factor) for scale in scales])
        assert 0.7 * true < np.mean([scale.error for scale in scales]) < 1.5 * true


def test_a_dense_sensor_does_not_drown_the_window(random):
    """One frame of 100000 points that are all wrong, among thirty of a few."""
    dense = Evidence(np.full(100000, 9.0), np.full(100000, 1.0), np.ones(100000))
    scale = filled([*(evidence(random, points=4) for _ in range(30)), dense])
    assert scale.factor == pytest.approx(1 / WRONG_BY, rel=0.03)


def test_two_sensors_of_one_frame_are_one_frame(random):
    window = ScaleWindow(limits=Limits(frames=1))
    for _ in range(2):
        window.add(5.0, evidence(random, points=8))
    scale = window.estimate(5.0)
    assert (scale.frames, scale.points) == (1, 16)


def test_weights_within_a_frame_count(random):
    """Of points that contradict each other, the surer are believed."""
    answered = np.ones(20)
    measured, weights = np.where(np.arange(20) % 2, 2.0, 1.0), np.where(np.arange(20) % 2, 9.0, 1.0)
    window = ScaleWindow(limits=Limits(frames=1, dispersion=1.0))
    window.add(0.0, Evidence(measured, answered, weights))
    assert window.estimate(0.0).factor == pytest.approx(2.0)


def test_a_world_that_stands_still():
    """The same reading in every frame, and another sensor's that differs a little."""
    window = ScaleWindow()
    for stamp in range(10):
        measured = np.array([1.7, 1.7, 1.7005])
        window.add(stamp, Evidence(measured, np.full(3, 2.3), np.ones(3)))
    scale = window.estimate(9)
    assert scale.factor == pytest.approx(1.7 / 2.3, rel=1e-3)
    assert scale.dispersion < 1e-3


class TestTime:
    def window(self, random, stamps):
        window = ScaleWindow(duration=10.0)
        for stamp in stamps:
            window.add(stamp, evidence(random))
        return window

    def test_old_frames_are_forgotten(self, random):
        window = self.window(random, np.arange(0.0, 30.0, 0.5))
        assert window.estimate(29.5).frames == 21

    def test_after_a_gap_there_is_no_scale_until_new_evidence(self, random):
        """Neither from frames before it, nor at a frame that is far after the last evidence."""
        window = self.window(random, np.arange(0.0, 5.0, 0.5))
        assert isinstance(window.estimate(12.0), Scale)
        assert window.estimate(100.0).startswith("0 points in 0 frames of the last 10 s")
        window.add(100.0, evidence(random))
        assert "in 1 frames" in window.estimate(100.0)
        for stamp in np.arange(100.5, 105, 0.5):
            window.add(stamp, evidence(random))
        assert window.estimate(104.5).frames == 10

    def test_frames_may_come_out_of_order(self, random):
        window = self.window(random, [0.0, 1.0, 0.5, 0.2, 0.7, 1.1, 0.9])
        assert window.estimate(1.1).frames == 7

    def test_a_jump_back_begins_anew(self, random):
        """A recording that starts again: what came after is of another time."""
        window = self.window(random, [*np.arange(50.0, 55.0, 0.5), 48.0])
        assert "in 1 frames" in window.estimate(48.0)

    def test_a_frame_without_evidence_counts_for_nothing(self, random):
        window = self.window(random, np.arange(0.0, 5.0, 0.5))
        window.add(5.0, Evidence(*[np.zeros(0)] * 3))
        assert window.estimate(5.0).frames == 10


class TestShift:
    def frames(self, random, **options):
        frames = [evidence(random, **options) for _ in range(30)]
        return [frame._replace(measured=frame.measured + 0.5) for frame in frames]

    @pytest.mark.parametrize("outliers", [0.0, 0.3])
    def test_a_shift_is_told_from_a_factor(self, outliers, random):
        scale = filled(self.frames(random, outliers=outliers), with_shift=True)
        assert scale.factor == pytest.approx(1 / WRONG_BY, rel=0.03)
        assert scale.shift == pytest.approx(0.5, abs=0.05)

    def test_not_where_all_is_as_far(self, random):
        """Where a shift is a factor, and a scale without it still works."""
        frames = self.frames(random, nearest=3.0, farthest=4.0)
        said = filled(frames, with_shift=True)
        assert said.startswith("most depth lies between 3.1 and 3.9 m, where a shift is like")
        assert isinstance(filled(frames), Scale)


class TestLidar:
    """Beside the camera, in a room with a pole, whose answer is too far and otherwise good."""

    def scale(self, random, degrees=0.0, axis=0, noise=0.02, limits=LAX):
        answer, frames = room.depth_image() * np.float32(WRONG_BY), []
        for _ in range(10):
            points = room.lidar(random.normal((0.3, 0.2, 0.0), 0.05))
            points = room.turned(points * random.normal(1, noise, (len(points), 1)), degrees, axis)
            pixels = room.project(points)
            seen = visible(points, pixels, room.SIZE)
            frames.append(evidence_of_points(points[seen, 2], pixels[seen], answer))
        return filled(frames, limits=limits)

    def test_right_extrinsics(self, random):
        scale = self.scale(random)
        assert scale.factor == pytest.approx(1 / WRONG_BY, rel=0.01)
        assert scale.dispersion < 0.03

    @pytest.mark.parametrize("axis", [0, 1])
    def test_wrong_extrinsics_are_seen_in_the_dispersion(self, axis, random):
        """Pitch and yaw that are wrong by 2 and by 5 degrees."""
        right, wrong, worse = (
            self.scale(random, degrees, axis).dispersion for degrees in (0, 2, 5)
        )
        assert wrong > 1.2 * right
        assert worse > 2 * right

    def test_extrinsics_that_are_all_wrong_are_refused(self, random):
        said = self.scale(random, 30, axis=0, limits=Limits())
        assert "is the sensor's place relative to the camera right?" in said
