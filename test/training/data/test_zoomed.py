"""Samples as by a camera of another focal length."""

import numpy as np
import pytest

from training.data.nyuv2 import NYUv2
from training.data.zoomed import Zoomed


@pytest.mark.parametrize("factor", [1.25, 2, 3])
def test_a_longer_lens_shows_the_middle_at_the_same_distance(nyuv2_root, factor):
    samples = NYUv2(nyuv2_root, "val")
    zoomed = Zoomed(samples, factor)
    assert len(zoomed) == len(samples) and list(zoomed.names) == list(samples.names)
    height, width = round(60 / factor), round(80 / factor)
    top, left = round((60 - height) / 2), round((80 - width) / 2)
    for part, whole in zip(zoomed[0], samples[0], strict=True):
        middle = whole[top : top + height, left : left + width]
        np.testing.assert_allclose(part, middle, rtol=1e-6)


def test_around_what_is_known_a_shorter_lens_shows_nothing(nyuv2_root):
    samples = NYUv2(nyuv2_root, "val")
    zoomed, sample = Zoomed(samples, 0.5)[1], samples[1]
    assert zoomed.image.shape == (120, 160, 3)
    for part, whole in zip(zoomed, sample, strict=True):
        np.testing.assert_allclose(part[30:90, 40:120], whole, rtol=1e-6)
    around = np.ones((120, 160), bool)
    around[30:90, 40:120] = False
    assert np.isnan(zoomed.depth[around]).all() and (zoomed.labels[around] == 255).all()
    assert (zoomed.image[around] == (124, 116, 104)).all()
