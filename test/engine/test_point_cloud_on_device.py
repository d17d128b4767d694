"""The cloud in torch, against the kernel that writes it on a CPU."""

import numpy as np
import pytest
import torch
from support import DEVICES

from sosd_ros import kernels
from sosd_ros.engine.point_cloud import cloud
from sosd_ros.labels import UNLABELLED

HEIGHT, WIDTH = 23, 31


def by_the_kernel(depth, rays, rgb, labels, doubt, step, beyond):
    fields = 4 + (labels is not None) + (doubt is not None)
    points = np.zeros((-(-HEIGHT // step), -(-WIDTH // step), fields), np.float32)
    labels = np.empty((0, WIDTH), np.uint8) if labels is None else labels
    doubt = np.empty((0, WIDTH), np.float32) if doubt is None else doubt
    arguments = (depth, *rays, rgb, labels, doubt, step, np.float32(beyond), UNLABELLED)
    kernels.in_bands(len(points), (kernels.cloud, *arguments, points, points.view(np.uint32)))
    return points


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("doubtful", [True, False])
@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("step", [1, 2, 7])
@pytest.mark.parametrize("beyond", [np.nan, 10.5])
@pytest.mark.parametrize("bent", [True, False])
def test_it_writes_the_kernels_bytes(bent, beyond, step, labelled, doubtful, device, random):
    """NaN included on a CPU; a GPU's NaN has other bits, and counts as equal.

    Rays are bent or straight; some depth is beyond the range, some invalid, and some pixels of a
    lens have no ray.
    """
    depth = random.uniform(0.1, 10, (HEIGHT, WIDTH)).astype(np.float32)
    depth.flat[::5], depth.flat[::7], depth.flat[::11] = np.inf, np.nan, -np.inf
    shapes = [(HEIGHT, WIDTH)] * 2 if bent else [(1, WIDTH), (HEIGHT, 1)]
    rays = [random.uniform(-1, 1, shape).astype(np.float32) for shape in shapes]
    if bent:
        for values in (depth, *rays):
            values[:3] = np.nan
    rgb = random.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    labels = random.integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8) if labelled else None
    doubt = random.uniform(0, 1, (HEIGHT, WIDTH)).astype(np.float32) if doubtful else None
    expected = by_the_kernel(depth, rays, rgb, labels, doubt, step, beyond)

    def there(array):
        return None if array is None else torch.from_numpy(array).to(device)

    points = cloud(
        there(depth), tuple(map(there, rays)), *map(there, (rgb, labels, doubt)), step, beyond
    )
    assert points.dtype == torch.float32 and points.is_contiguous()
    points = points.cpu().numpy()
    np.testing.assert_array_equal(points, expected)
    if device == "cpu":
        assert points.tobytes() == expected.tobytes()
