"""Which images of a recording are kept."""

import cv2
import numpy as np
import pytest

from training.recording.views import Views, look_at

RANDOM = np.random.default_rng(3)


def scene(seed):
    """A picture with shapes of all sizes."""
    random = np.random.default_rng(seed)
    picture = np.zeros((240, 960, 3))
    for side in (4, 8, 16, 32, 64, 128):  # with less contrast the smaller they are, as in rooms
        shapes = random.uniform(0, 400 / side, (side, 4 * side, 3))
        picture += cv2.resize(shapes, (960, 240), interpolation=cv2.INTER_LINEAR)
    picture += random.normal(0, 12, picture.shape)  # texture
    return np.clip(picture, 0, 255).astype(np.uint8)


WORLD = scene(0)


def seen_from(left, blur=0):
    """What a camera sees that looks so far to the right, with noise."""
    picture = WORLD[:, left : left + 320]
    picture = cv2.blur(picture, (blur, max(blur // 2, 1))) if blur else picture
    noisy = picture + RANDOM.normal(0, 1, picture.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def views_of(pictures):
    views = Views()
    for number, picture in enumerate(pictures):
        views.add(number, number * 10**8, look_at(picture))
    return views.chosen()


def test_standing_still_is_one_view():
    chosen, blurred = views_of([seen_from(100) for _ in range(60)])
    assert [view.images for view in chosen] == [60] and blurred == 0


def test_a_slow_turn_is_as_many_views_as_a_quick_one():
    """It is what has changed since the view began that counts, not since the last image."""
    slow, _ = views_of([seen_from(left) for left in range(0, 640, 4)])
    quick, _ = views_of([seen_from(left) for left in range(0, 640, 16)])
    assert len(quick) >= 5 and abs(len(slow) - len(quick)) <= 0.35 * len(quick)
    assert sum(view.images for view in slow) == 160


def test_of_a_view_the_sharpest_image_stays():
    blurs = (9, 5, 0, 5, 9)
    (view,), _ = views_of([seen_from(100, blur) for blur in blurs])
    assert view.number == 2 and view.stamp == 2 * 10**8


def test_a_view_without_a_sharp_image_is_left_out():
    pictures = [seen_from(left) for left in (0, 150, 300, 450)] + [seen_from(600, blur=31)]
    chosen, blurred = views_of(pictures)
    assert [view.number for view in chosen] == [0, 1, 2, 3] and blurred == 1


@pytest.mark.parametrize("gain", [0.5, 1.3])
def test_the_light_makes_no_view(gain):
    """Automatic exposure changes all pixels, and shows nothing new."""
    dark = np.clip(seen_from(100) * gain, 0, 255).astype(np.uint8)
    chosen, _ = views_of([seen_from(100), dark])
    assert len(chosen) == 1


def test_nothing_gives_nothing():
    assert Views().chosen() == ([], 0)
