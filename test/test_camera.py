"""The pinhole camera, with numbers worked out by hand."""

import numpy as np
import pytest

from sosd_ros.camera import Intrinsics, focal_correction


def test_a_ray_is_the_inverse_of_projection():
    """A point projected by u = fx x/z + cx comes back from its pixel and depth."""
    x_over_z, y_over_z = Intrinsics(fx=500, fy=400, cx=3, cy=2, width=8, height=6).rays()
    assert (x_over_z.shape, y_over_z.shape) == ((1, 8), (6, 1))
    x, y, z = 0.01, -0.005, 2.0
    u, v = 500 * x / z + 3, 400 * y / z + 2
    assert (u, v) == (5.5, 1.0)
    np.testing.assert_allclose(z * (x_over_z[0, 5] + x_over_z[0, 6]) / 2, x, atol=1e-7)
    np.testing.assert_allclose(z * y_over_z[1, 0], y, atol=1e-7)


def test_resizing_keeps_pixel_edges_on_each_other():
    """Halving 640x480: the centre of the left pixel pair, 0.5, becomes the new pixel 0."""
    half = Intrinsics(500, 600, 0.5, 0.5, 640, 480).resized(320, 240)
    assert half == Intrinsics(250, 300, 0, 0, 320, 240)
    assert half.resized(640, 480) == Intrinsics(500, 600, 0.5, 0.5, 640, 480)


def test_the_focal_correction_undoes_what_the_lens_did():
    """Learned at 300 px, seen through 600 px: a thing at 4 m looks as if at 2 m, so times 2."""
    seen_as = 4.0 * 300 / 600
    assert seen_as * focal_correction(600, 300) == 4.0


def test_focal_is_the_geometric_mean():
    """f = sqrt(fx fy), as in eq. 3."""
    assert Intrinsics(400, 900, 0, 0, 1, 1).focal == 600


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"fx": 0.0}, "fx=0, .* focal lengths must be positive"),
        ({"fy": -1.0}, "fy=-1, .* focal lengths must be positive"),
        ({"cx": float("nan")}, "cx=nan, .* all numbers finite"),
        ({"fx": float("inf")}, "fx=inf"),
        ({"width": 0}, "image size 0x480 is unusable"),
    ],
)
def test_unusable_intrinsics_are_refused_in_a_sentence(change, sentence):
    """The value is named, and so is what to do."""
    good = {"fx": 500.0, "fy": 500.0, "cx": 320.0, "cy": 240.0, "width": 640, "height": 480}
    with pytest.raises(ValueError, match=sentence):
        Intrinsics(**(good | change))


def test_points_are_projected_onto_the_pixels_of_their_rays():
    """And what is behind the camera nowhere."""
    camera = Intrinsics(fx=500, fy=400, cx=3, cy=2, width=8, height=6)
    x, y = np.broadcast_arrays(*camera.rays())
    points = np.stack([x, y, np.ones_like(x)], axis=-1) * 3.0
    rows, columns = np.indices(x.shape)
    np.testing.assert_allclose(camera.project(points), np.stack([columns, rows], -1), atol=1e-3)
    assert np.isnan(camera.project(-points)).all()
