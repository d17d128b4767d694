"""Raw images of lenses: what the real node answers, rectified or on bent rays."""

from __future__ import annotations

import numpy as np
import pytest
from aligned import check_cloud
from robot import FOR_PEOPLE, LENSES, OUTPUTS, camera_info, picture, pixels, raw_info, rgb

from sosd_ros.camera_info import for_image
from sosd_ros.ros.parameters import BY_NAME

SIZE = (96, 64)
ALL = (*OUTPUTS, *FOR_PEOPLE)


@pytest.fixture
def connected(shared_node, camera):
    """A camera in front of the shared node, whose answers it hears."""
    camera.wait_until_active()
    camera.listen(*ALL)
    yield camera
    assert camera.set_parameters(rectified=BY_NAME["rectified"].default).successful


def answers_to(camera, image, info, *topics):
    """All of an image's answers by topic; they have its stamp, frame and size."""
    message = rgb(camera.header(), image)
    topics = topics or ALL
    answers = dict(zip(topics, camera.answers(camera.send(message, info), *topics), strict=True))
    for answer in answers.values():
        assert answer.header == message.header
        assert (answer.width, answer.height) == SIZE
    return answers


@pytest.mark.parametrize("model", LENSES)
def test_rectified_by_the_node_all_answers_are_of_the_rectified_image(connected, model):
    """The same as for that image and its camera; nothing where the raw image has nothing."""
    info, raw = raw_info(model), picture()
    maps = for_image(info, info.header, SIZE, rectified="rectify").rectification.maps()
    image, outside = maps.rectified(raw), maps.outside == 255
    assert 0.02 < outside.mean() < 0.9
    assert connected.set_parameters(rectified="rectify").successful
    answers = answers_to(connected, raw, info)
    valid = check_cloud(answers, image)

    published = answers["camera_info"]
    assert not any(published.d) and list(published.p) == list(info.p)
    assert list(published.k) == np.reshape(info.p, (3, 4))[:, :3].ravel().tolist()
    expected = answers_to(connected, image, published)  # which says that it is rectified
    depth, expected_depth = (pixels(a["depth"], np.float32).copy() for a in (answers, expected))
    expected_depth[outside] = np.nan
    np.testing.assert_array_equal(depth, expected_depth)
    assert valid.any() and not valid[outside].any()
    for topic, nothing in (("semantic", 255), ("confidence", 0)):
        labels, same = (pixels(a[topic], np.uint8) for a in (answers, expected))
        np.testing.assert_array_equal(labels, np.where(outside, np.uint8(nothing), same))
    assert not pixels(answers["overlay"], np.uint8)[outside].any()
    assert not pixels(answers["depth/colored"], np.uint8)[outside].any()


@pytest.mark.parametrize("model", LENSES)
def test_on_bent_rays_points_reproject_onto_the_raw_image(connected, model):
    """The image, its labels and its depth stay."""
    info, image = raw_info(model), picture()
    plain = answers_to(connected, image, camera_info(focal=LENSES[model][0]))
    assert connected.set_parameters(rectified="rays").successful
    answers = answers_to(connected, image, info)
    valid = check_cloud(answers, image)
    published = answers["camera_info"]
    assert (list(published.k), list(published.d)) == (list(info.k), list(info.d))
    for topic in ("semantic", "confidence", "overlay"):
        assert answers[topic].data == plain[topic].data
    depths = [pixels(a["depth"], np.float32)[valid] for a in (answers, plain)]
    np.testing.assert_array_equal(*depths)


def test_beyond_85_degrees_there_is_no_depth_but_a_label(connected):
    """The corners of a fisheye's image, beyond its circle of 180 degrees and 62 pixels."""
    assert connected.set_parameters(rectified="rays").successful
    info = raw_info("equidistant")
    info.k[0] = info.k[4] = 20.0
    answers = answers_to(connected, picture(), info)
    depth, labels = pixels(answers["depth"], np.float32), pixels(answers["semantic"], np.uint8)
    v, u = np.mgrid[: SIZE[1], : SIZE[0]]
    radius = np.hypot(u - 47.5, v - 31.5)
    assert np.isfinite(depth[radius < 29]).all() and np.isnan(depth[radius > 30.5]).all()
    assert (labels != 255).all()


def test_labels_alone_are_rectified_too(shared_node, camera):
    """Nobody asks for depth, but masks belong to the same image as ever."""
    camera.wait_until_active()
    camera.listen("semantic")
    info = raw_info("plumb_bob")
    maps = for_image(info, info.header, SIZE, rectified="rectify").rectification.maps()
    assert camera.set_parameters(rectified="rectify").successful
    [labels] = answers_to(camera, picture(), info, "semantic").values()
    [same] = answers_to(camera, maps.rectified(picture()), camera_info(), "semantic").values()
    expected = pixels(same, np.uint8) | maps.outside
    np.testing.assert_array_equal(pixels(labels, np.uint8), expected)
    assert camera.set_parameters(rectified=BY_NAME["rectified"].default).successful


@pytest.mark.parametrize("rectified", ["rectify", "rays"])
def test_an_unknown_lens_gives_labels_alone_and_a_sentence(connected, shared_node, rectified):
    """With frame and topic; the next CameraInfo gives depth again."""
    assert connected.set_parameters(rectified=rectified).successful
    info = raw_info("plumb_bob")
    info.distortion_model = f"{rectified}_by_magic"
    bad = connected.send(rgb(connected.header(), picture()), info)
    [labels] = connected.answers(bad, "semantic")
    assert (labels.width, labels.height) == SIZE
    said = (
        f"has no metric depth and no points{', and labels of' if rectified == 'rectify' else ':'}"
    )
    names = "of frame 'camera_optical_frame', of the images on /image, has the distortion model "
    lines = [
        line for line in shared_node.log.splitlines() if f"{names}{info.distortion_model!r}" in line
    ]
    assert lines and all(said in line for line in lines)
    answers_to(connected, picture(), raw_info("plumb_bob"))
    assert bad not in [m.header.stamp for m in connected.heard["depth"]]


def test_a_model_that_folds_back_inside_the_image_is_doubted_and_answered(connected, shared_node):
    """What is beyond the fold has no depth."""
    assert connected.set_parameters(rectified="rays").successful
    info = camera_info(focal=45.0)
    info.d = [-0.35, 0.0, 0.0, 0.0, 0.0]
    depth = pixels(answers_to(connected, picture(), info)["depth"], np.float32)
    assert 0.3 < np.isnan(depth).mean() < 0.6 and np.isfinite(depth[20:44, 30:66]).all()
    words = "frame 'camera_optical_frame' and the images on /image, folds back 44 degrees"
    assert words in shared_node.log
