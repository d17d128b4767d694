"""How late one camera's stamps are."""

import numpy as np
import pytest

from training.recording.offset import Meter, offset

SEED = 11


def motions(late, seconds=20.0, rates=(30.0, 30.0), noise=0.3, moves=True, start=1.7e9):
    """The same turning head, seen by two cameras of which the second stamps late."""
    print(f"seed {SEED}")
    random = np.random.default_rng(SEED)
    knots = np.arange(0, seconds + 2, 0.25)
    speed = np.abs(np.cumsum(random.normal(0, 1, len(knots)))) * moves
    turned = np.cumsum(speed) * 0.25
    meters = []
    for rate, delay in zip(rates, (0.0, late), strict=True):
        meter = Meter()
        phase = random.uniform(0, 1 / rate)
        for time in np.arange(phase, seconds, 1 / rate):
            angle = np.interp(time, knots, turned)
            picture = angle + random.normal(0, noise * 0.02, (24, 32))
            meter.add(round((start + time + delay) * 1e9), picture)
        meters.append(meter.motion())
    return meters


@pytest.mark.parametrize("late", [-0.12, 0.0, 0.035, 0.3])
def test_it_is_found_to_a_few_milliseconds(late):
    found = offset(*motions(late))
    assert found.seconds == pytest.approx(late, abs=0.006)
    assert found.spread < 0.02 and found.correlation > 0.5


def test_cameras_may_have_different_rates():
    found = offset(*motions(0.05, rates=(30.0, 10.0)))
    assert found.seconds == pytest.approx(0.05, abs=0.02)


def test_a_camera_that_stands_still_tells_nothing():
    assert offset(*motions(0.05, moves=False)) is None


def test_two_that_see_different_things_tell_nothing():
    one, _ = motions(0.0)
    random = np.random.default_rng(SEED)
    other = one._replace(amounts=random.permutation(one.amounts))
    assert offset(one, other) is None


def test_a_short_recording_tells_nothing():
    assert offset(*motions(0.05, seconds=3.0)) is None


def test_one_picture_is_no_motion():
    meter = Meter()
    meter.add(1, np.zeros((2, 2)))
    assert offset(meter.motion(), meter.motion()) is None


def test_what_is_unknown_in_a_picture_does_not_count():
    meter = Meter()
    meter.add(0, np.array([[1.0, np.nan]]))
    meter.add(10**9, np.array([[3.0, 5.0]]))
    meter.add(2 * 10**9, np.array([[np.nan, np.nan]]))
    np.testing.assert_allclose(meter.motion(), ([0.5], [2.0]))
