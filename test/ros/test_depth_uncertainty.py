"""What the node says, and leaves out, of depth that it is not sure of."""

from __future__ import annotations

import numpy as np
import pytest
from robot import camera_info, node_for_a_file, picture, pixels, rgb


@pytest.fixture(scope="module")
def shared_node(tmp_path_factory, sharp_weights):
    """One node with weights that say how unsure they are."""
    with node_for_a_file(tmp_path_factory, sharp_weights) as node:
        yield node


def answer(camera, *topics):
    image = rgb(camera.header(), picture())
    camera.send(image, camera_info())
    return camera.answers(image.header.stamp, *topics)


def test_uncertainty_is_an_image_like_depth(shared_node, camera):
    """Of its stamp, frame and size, in metres; a number wherever depth is one."""
    camera.wait_until_active()
    camera.listen("depth_uncertainty")
    [alone] = answer(camera, "depth_uncertainty")  # which nothing else need be subscribed for
    camera.listen("depth")
    depth, uncertainty = answer(camera, "depth", "depth_uncertainty")
    assert alone.data == uncertainty.data
    assert uncertainty.header == depth.header
    assert (uncertainty.encoding, uncertainty.height, uncertainty.width) == ("32FC1", 64, 96)
    metres, doubt = (pixels(message, np.float32) for message in (depth, uncertainty))
    np.testing.assert_array_equal(np.isfinite(doubt), np.isfinite(metres))
    assert 0 < np.nanmin(doubt) < np.nanmax(doubt)


def test_depth_that_is_too_uncertain_is_left_out(shared_node, camera):
    """Of depth and points, and whether or not anybody listens to the uncertainty."""
    camera.wait_until_active()
    camera.listen("depth", "points")
    assert camera.set_parameters(max_relative_uncertainty=0.12).successful
    limited, points = answer(camera, "depth", "points")
    assert camera.set_parameters(max_relative_uncertainty=0.0).successful
    camera.listen("depth_uncertainty")
    depth, uncertainty = (
        pixels(message, np.float32) for message in answer(camera, "depth", "depth_uncertainty")
    )
    share = uncertainty / depth
    is_sure = share < 0.12 - 1e-5
    is_unsure = share > 0.12 + 1e-5
    assert is_sure.mean() > 0.1 and is_unsure.mean() > 0.1
    limited = pixels(limited, np.float32)
    np.testing.assert_array_equal(limited[is_sure], depth[is_sure])
    assert np.isnan(limited[is_unsure]).all()
    z = np.frombuffer(points.data, np.float32).reshape(64, 96, 5)[..., 2]
    np.testing.assert_array_equal(z[np.isfinite(limited)], limited[np.isfinite(limited)])
    assert np.isnan(z[is_unsure]).all()


def test_points_say_how_uncertain_they_are_if_they_are_asked_to(shared_node, camera):
    """By one more field, while the node runs; by no other field than before without it."""
    camera.wait_until_active()
    camera.listen("points")
    fields = ["x", "y", "z", "rgb", "label"]
    [plain] = answer(camera, "points")
    assert camera.set_parameters(cloud_uncertainty=True).successful
    [points] = answer(camera, "points")
    assert camera.set_parameters(cloud_uncertainty=False).successful
    camera.listen("depth_uncertainty")
    [uncertainty] = answer(camera, "depth_uncertainty")
    assert [field.name for field in plain.fields] == fields
    assert [field.name for field in points.fields] == [*fields, "uncertainty"]
    cloud = np.frombuffer(points.data, np.float32).reshape(64, 96, 6)
    np.testing.assert_array_equal(cloud[..., 5], pixels(uncertainty, np.float32))


def test_a_scale_multiplies_depth_points_and_their_uncertainty(shared_node, camera):
    """All is about 2 m: of three times that, only what max_depth allows is a number."""
    camera.wait_until_active()
    camera.listen("depth", "depth_uncertainty", "points", "semantic")
    topics = ("depth", "depth_uncertainty", "points")
    before = answer(camera, *topics, "semantic")
    assert camera.set_parameters(depth_scale=3.0, max_depth=6.0).successful
    after = answer(camera, *topics, "semantic")
    assert camera.set_parameters(depth_scale=1.0, max_depth=10.0).successful
    (depth, doubt), (tripled, more_doubt) = (
        [pixels(message, np.float32) for message in said[:2]] for said in (before, after)
    )
    is_near, is_far = 3 * depth < 6 - 1e-4, 3 * depth > 6 + 1e-4
    assert is_near.mean() > 0.1 and is_far.mean() > 0.1
    np.testing.assert_allclose(tripled[is_near], 3 * depth[is_near], rtol=1e-5)
    np.testing.assert_allclose(more_doubt[is_near], 3 * doubt[is_near], rtol=1e-5)
    assert np.isposinf(tripled[is_far]).all()
    clouds = [
        np.frombuffer(said[2].data, np.float32).reshape(64, 96, 5) for said in (before, after)
    ]
    xyz = [cloud[is_near][:, :3] for cloud in clouds]
    np.testing.assert_allclose(xyz[1], 3 * xyz[0], rtol=1e-5)
    assert before[3].data == after[3].data
