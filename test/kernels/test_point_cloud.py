"""The kernel that writes clouds."""

import numpy as np
import pytest

from sosd_ros import kernels


@pytest.mark.parametrize("doubtful", [True, False])
@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("step", [1, 2, 3, 7])
@pytest.mark.parametrize("beyond", [np.nan, 10.5])
@pytest.mark.parametrize("bent", [True, False])
def test_a_cloud_is_rays_times_depth(bent, beyond, step, labelled, doubtful, random):
    """Of every n-th row and column; what is not finite is NaN in all of x, y and z.

    But for what is beyond the range, if that is to have a point: it has no label.
    """
    height, width = 23, 31
    depth = random.uniform(0.1, 10, (height, width)).astype(np.float32)
    depth.flat[::5], depth.flat[::7], depth.flat[::11] = np.inf, np.nan, -np.inf
    shapes = [(height, width)] * 2 if bent else [(1, width), (height, 1)]
    x_over_z, y_over_z = (random.uniform(-1, 1, shape).astype(np.float32) for shape in shapes)
    rgb = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    labels = random.integers(0, 256, (height if labelled else 0, width), dtype=np.uint8)
    doubt = (random.uniform(0, 1, (height if doubtful else 0, width))).astype(np.float32)
    shape = (-(-height // step), -(-width // step), 4 + labelled + doubtful)
    points = np.zeros(shape, np.float32)
    arguments = (depth, x_over_z, y_over_z, rgb, labels, doubt, step, np.float32(beyond), 255)
    kernels.in_bands(shape[0], (kernels.cloud, *arguments, points, points.view(np.uint32)))

    z = np.where(np.isposinf(depth), np.float32(beyond), depth)
    z[~np.isfinite(z)] = np.nan
    expected = np.stack([z * x_over_z, z * y_over_z, z], axis=-1)[::step, ::step]
    np.testing.assert_array_equal(points[..., :3], expected)
    integers = points.view(np.uint32)
    red, green, blue = np.moveaxis(rgb[::step, ::step].astype(np.uint32), -1, 0)
    np.testing.assert_array_equal(integers[..., 3], red << 16 | green << 8 | blue)
    if doubtful:
        np.testing.assert_array_equal(points[..., -1], doubt[::step, ::step])
    if labelled:
        is_beyond = np.isposinf(depth) & np.isfinite(beyond)
        expected = np.where(is_beyond, 255, labels)[::step, ::step]
        np.testing.assert_array_equal(integers[..., 4], expected)
