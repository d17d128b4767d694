"""Which pixels of a line each pixel of another is made of."""

import numpy as np
import pytest

from sosd_ros.kernels import neighbours, resampling


@pytest.mark.parametrize("source", [1, 2, 3, 31, 64, 480])
@pytest.mark.parametrize("target", [1, 2, 32, 64, 65, 1000])
def test_resampling_stays_inside(source, target):
    """Every tap lies in the line, and weights of a pixel add up to one."""
    start, weights = resampling(source, target)
    assert start.min() >= 0 and (start + len(weights)).max() <= source
    np.testing.assert_allclose(weights.sum(0), 1, rtol=1e-6)
    before, after, weight = neighbours(source, target)
    assert before.min() >= 0 and after.max() < source
    assert (before <= after).all() and weight.min() >= 0 and weight.max() <= 1
