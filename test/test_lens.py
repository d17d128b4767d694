"""Lens models, against OpenCV's projection and numbers worked out by hand."""

import dataclasses
import math

import cv2
import numpy as np
import pytest

from sosd_ros.camera import Intrinsics
from sosd_ros.lens import FISHEYE, MAX_SIDE, STRAIGHT, WIDEST, Lens, Rectification

NOT_TURNED = np.zeros(3)
# As published for a TUM RGB-D Kinect, EuRoC, an Azure Kinect, TUM VI and a RealSense T265.
REAL = {
    "Kinect": Lens(
        Intrinsics(517.3, 516.5, 318.6, 255.3, 640, 480),
        "plumb_bob",
        (0.2624, -0.9531, -0.0054, 0.0026, 1.1633),
    ),
    "EuRoC": Lens(
        Intrinsics(458.654, 457.296, 367.215, 248.375, 752, 480),
        "plumb_bob",
        (-0.28340811, 0.07395907, 0.00019359, 1.76187114e-05),
    ),
    "Azure Kinect": Lens(
        Intrinsics(607.6, 607.5, 641.7, 365.7, 1280, 720),
        "rational_polynomial",
        (0.5, -2.6, 0.0005, -0.0003, 1.5, 0.38, -2.42, 1.43),
    ),
    "TUM VI": Lens(
        Intrinsics(190.978, 190.973, 254.932, 256.897, 512, 512),
        "equidistant",
        (0.0034823894, 0.0007150348, -0.0020532361, 0.00020293673),
    ),
    "T265": Lens(
        Intrinsics(286.2, 286.4, 422.4, 402.6, 848, 800),
        "equidistant",
        (-0.00626, 0.0439, -0.0414, 0.00763),
    ),
}
# 180 degrees end at a circle of 230 pixels: 146.4 * pi / 2.
CIRCLE = Lens(Intrinsics(146.4, 146.4, 319.5, 239.5, 640, 480), FISHEYE, ())
# Rises until r = 1 / sqrt(1.05), where it is 2/3 of that: 300 * 0.6506 = 195.18 pixels.
FOLDED = Lens(Intrinsics(300, 300, 319.5, 239.5, 640, 480), "plumb_bob", (-0.35,))


def like(lens, random):
    """A lens of the same kind, as another calibration might have found it."""
    camera = lens.camera
    near = [n * random.uniform(0.95, 1.05) for n in (camera.fx, camera.fy, camera.cx, camera.cy)]
    coefficients = tuple(c * random.uniform(0.99, 1.01) for c in lens.coefficients)
    return Lens(Intrinsics(*near, camera.width, camera.height), lens.model, coefficients)


def matrix(camera):
    return np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])


def by_opencv(lens, points):
    """(N, 3) points as OpenCV projects them, (N, 2)."""
    count = 4 if lens.model == FISHEYE else 8
    coefficients = np.float64([*lens.coefficients, *[0] * 8][:count])
    project = cv2.fisheye.projectPoints if lens.model == FISHEYE else cv2.projectPoints
    arguments = NOT_TURNED, NOT_TURNED, matrix(lens.camera), coefficients
    return project(points[:, None], *arguments)[0][:, 0]


def directions(random, most, count=20_000):
    """Points at a depth of 1 to 9 metres, up to an angle from the axis."""
    angle, around = random.uniform(0, most, count), random.uniform(0, 2 * np.pi, count)
    x, y = np.tan(angle) * np.cos(around), np.tan(angle) * np.sin(around)
    return random.uniform(1, 9, (count, 1)) * np.stack([x, y, np.ones(count)], axis=-1)


def seen(lens):
    """The rays of all pixels that have one, (N, 3), and those pixels, (N, 2)."""
    x, y = lens.rays()
    assert x.dtype == y.dtype == np.float32
    assert x.shape == y.shape == (lens.camera.height, lens.camera.width)
    np.testing.assert_array_equal(np.isnan(x), np.isnan(y))
    v, u = np.nonzero(np.isfinite(x))
    return np.stack([x[v, u], y[v, u], np.ones(len(u))], axis=-1).astype(np.float64), (u, v)


@pytest.mark.parametrize("name", REAL)
def test_rays_reproject_onto_their_pixels(name, random):
    """By OpenCV, within a tenth of a pixel, and every pixel that can be seen has one."""
    lens = like(REAL[name], random)
    rays, (u, v) = seen(lens)
    np.testing.assert_allclose(by_opencv(lens, rays), np.stack([u, v], axis=-1), atol=0.1)
    if lens.model != FISHEYE:
        assert len(u) == lens.camera.width * lens.camera.height


@pytest.mark.parametrize("name", REAL)
def test_projection_agrees_with_opencv(name, random):
    """Up to the angle at which the lens ends, and in front of the camera only."""
    lens = like(REAL[name], random)
    points = directions(random, lens.fold()[0] - 0.01)
    np.testing.assert_allclose(lens.project(points), by_opencv(lens, points), atol=1e-6)
    assert np.isnan(lens.project(-points)).all()
    assert lens.project(points.reshape(100, 200, 3)).shape == (100, 200, 2)
    assert np.isnan(lens.project(np.array([[0, 0, 0], [np.nan, 1, 1], [np.inf, 1, 1]]))).all()


@pytest.mark.parametrize("name", ["TUM VI", "T265"])
def test_what_a_fisheye_sees_has_a_ray(name, random):
    """Every pixel on which something within 84.5 degrees falls, up to the edge of the circle."""
    lens = like(REAL[name], random)
    u, v = np.rint(by_opencv(lens, directions(random, math.radians(84.5)))).astype(int).T
    inside = (u >= 0) & (u < lens.camera.width) & (v >= 0) & (v < lens.camera.height)
    assert np.isfinite(lens.rays()[0][v[inside], u[inside]]).all()


def test_a_fisheye_ends_five_degrees_before_90():
    """At 146.4 px a radian, 85 degrees are 217.2 px from the centre, and 90 would be 230."""
    x, y = CIRCLE.rays()
    v, u = np.mgrid[:480, :640]
    radius = np.hypot(u - 319.5, v - 239.5)
    has_ray = np.isfinite(x)
    assert has_ray[radius < 217.1].all() and not has_ray[radius > 217.3].any()
    np.testing.assert_allclose(np.hypot(x, y)[has_ray].max(), math.tan(WIDEST), rtol=0.02)
    np.testing.assert_allclose(
        np.arctan(np.hypot(x, y))[has_ray], radius[has_ray] / 146.4, atol=1e-4
    )


def test_without_coefficients_a_lens_is_a_pinhole():
    """Of OpenCV's first model; a fisheye is none."""
    lens = dataclasses.replace(FOLDED, coefficients=())
    x, y = np.broadcast_arrays(*lens.camera.rays())
    np.testing.assert_allclose(lens.rays(), (x, y), atol=1e-7)
    assert lens.fold() == (WIDEST, 0)


def test_a_model_that_folds_back_ends_there():
    """1 - 3 * 0.35 r^2 = 0 at 44.3 degrees: pixels beyond have no ray, and points no pixel."""
    angle, share = FOLDED.fold()
    assert angle == pytest.approx(math.atan(1.05**-0.5), abs=2e-4)
    v, u = np.mgrid[:480, :640]
    beyond = np.hypot(u - 319.5, v - 239.5) > 195.18
    assert share == pytest.approx(beyond.mean(), abs=0.02)
    np.testing.assert_array_equal(np.isnan(FOLDED.rays()[0]), beyond)
    points = [[math.tan(angle + off), 0, 1] for off in (-0.001, 0.001)]
    assert np.isfinite(FOLDED.project(points)).all(axis=1).tolist() == [True, False]


@pytest.mark.parametrize(
    "coefficients",
    [(0, 0, 0, 0, 0, -1.0), (-0.35, 0, 0, 0, 0, 1e9), (-1e9,), (1e9, -1e9, 1e9, -1e9), (-0.5, 0.3)],
    ids=["a pole", "a huge divisor", "at once", "huge", "almost a fold"],
)
def test_rays_of_absurd_coefficients_reproject_if_they_are(coefficients):
    """A model may end anywhere; no warning, no ray of a second branch."""
    lens = dataclasses.replace(FOLDED, model="rational_polynomial", coefficients=coefficients)
    rays, (u, v) = seen(lens)
    if len(u):
        np.testing.assert_allclose(by_opencv(lens, rays), np.stack([u, v], axis=-1), atol=0.1)
        assert np.hypot(*rays[:, :2].T).max() <= math.tan(lens.fold()[0]) * (1 + 1e-6)


@pytest.mark.parametrize(
    ("model", "coefficients", "sentence"),
    [
        ("fisheye62", (0.1,), "model 'fisheye62', expected plumb_bob, rational_polynomial or equi"),
        ("", (0.1,), "model '', expected"),
        ("equidistant", (0.1,) * 5, "5 coefficients D of the distortion model 'equidistant'"),
        ("plumb_bob", (0.1,) * 12, "12 coefficients D of the distortion model 'plumb_bob', .* 8"),
        ("plumb_bob", (0.1, math.nan), "a coefficient D of nan"),
        ("equidistant", (-math.inf,), "a coefficient D of -inf"),
        ("plumb_bob", (1e10,), "a coefficient D of 1e[+]10 .* expected numbers within 1e[+]09"),
    ],
)
def test_unusable_lenses_are_refused_in_a_sentence(model, coefficients, sentence):
    with pytest.raises(ValueError, match=sentence):
        Lens(FOLDED.camera, model, coefficients)


def test_further_coefficients_of_zero_are_none():
    """As OpenCV's calibration writes twelve or fourteen."""
    longer = dataclasses.replace(FOLDED, coefficients=(-0.35, *[0.0] * 13))
    np.testing.assert_array_equal(longer.rays(), FOLDED.rays())


# Rectified images


def rotation(random):
    """As of a stereo pair: a few degrees."""
    return tuple(cv2.Rodrigues(random.uniform(-0.05, 0.05, 3))[0].ravel())


@pytest.mark.parametrize("name", REAL)
def test_maps_agree_with_opencv(name, random):
    """Turned and zoomed, within a tenth of a pixel, wherever the raw image is."""
    lens = like(REAL[name], random)
    raw, turned = lens.camera, rotation(random)
    camera = dataclasses.replace(raw, fx=0.9 * raw.fx, fy=0.9 * raw.fy, cx=raw.cx + 5)
    maps = Rectification(lens, camera, turned).maps()
    find = cv2.fisheye if lens.model == FISHEYE else cv2
    places = find.initUndistortRectifyMap(
        matrix(raw),
        np.float64(lens.coefficients),
        np.reshape(turned, (3, 3)),
        matrix(camera),
        (raw.width, raw.height),
        cv2.CV_32FC1,
    )
    inside = maps.outside == 0
    assert 0.5 < inside.mean() <= 1
    fine = np.stack([maps.fractions & 31, maps.fractions >> 5], axis=-1) / 32
    np.testing.assert_allclose(
        (maps.places + fine)[inside], np.stack(places, axis=-1)[inside], atol=0.1
    )


@pytest.mark.parametrize("name", REAL)
def test_a_rectified_picture_is_what_a_pinhole_would_have_seen(name, random):
    """A world painted by direction, seen through the lens, and through the camera without."""
    lens, turned = REAL[name], rotation(random)
    camera = dataclasses.replace(lens.camera, fx=0.7 * lens.camera.fx, fy=0.7 * lens.camera.fy)
    maps = Rectification(lens, camera, turned).maps()

    def painted(x, y):
        """Smooth colours of (H, W) rays; black where there is none."""
        waves = np.stack([np.sin(2 * x + y), np.cos(x - y), np.sin(3 * y)], axis=-1)
        return np.nan_to_num(128 + 100 * waves, nan=0).round().astype(np.uint8)

    picture = maps.rectified(painted(*lens.rays()))
    x, y = np.broadcast_arrays(*camera.rays())
    points = np.stack([x, y, np.ones_like(x)], axis=-1) @ np.reshape(turned, (3, 3))
    expected = painted(*(points[..., i] / points[..., 2] for i in range(2)))
    outside = maps.outside == 255
    difference = np.abs(picture.astype(int) - expected).max(axis=-1)
    assert np.quantile(difference[~outside], 0.99) <= 3  # a fisheye's last degrees are coarse
    assert outside.any() == (lens.model != FISHEYE) and (picture[outside] == 0).all()
    np.testing.assert_array_equal(np.isnan(maps.nothing), outside)


def test_what_needs_no_rectification_stays_the_same(random):
    """To the last bit, and to the last pixel."""
    straight = dataclasses.replace(FOLDED, coefficients=())
    maps = Rectification(straight, straight.camera).maps()
    image = random.integers(0, 256, (480, 640, 3), np.uint8)
    np.testing.assert_array_equal(maps.rectified(image), image)
    assert not maps.outside.any() and not maps.nothing.any()


def test_a_fold_is_not_painted_twice():
    """OpenCV's maps paint the image once more beyond the fold; here it is black."""
    camera = dataclasses.replace(FOLDED.camera, fx=150, fy=150)
    maps = Rectification(FOLDED, camera, STRAIGHT).maps()
    v, u = np.mgrid[:480, :640]
    beyond = np.hypot(u - 319.5, v - 239.5) > 150 / 1.05**0.5 + 0.1
    assert (maps.outside[beyond] == 255).all() and not maps.outside[~beyond].all()


def test_an_image_that_opencv_cannot_remap_is_refused():
    strip = Lens(Intrinsics(300, 300, 0, 0, MAX_SIDE + 1, 600), "plumb_bob", (0.1,))
    with pytest.raises(ValueError, match="a side of 32767 pixels, expected at most 32766"):
        Rectification(strip, strip.camera)
