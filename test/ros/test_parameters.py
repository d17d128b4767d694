"""Parameters: declared once, told truly, refused with their range, and followed at run time."""

from __future__ import annotations

import re
from fnmatch import fnmatch

import numpy as np
import pytest
import yaml
from rcl_interfaces.srv import DescribeParameters, GetParameters
from robot import OUTPUTS, ROOT, camera_info, picture, pixels, rgb

from sosd_ros.ros.parameters import BY_NAME, PARAMETERS, Change


def flat(tree, prefix=""):
    """Names with dots, and values, of a params file."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def test_the_params_file_has_every_parameter_at_its_default():
    """config/perception.yaml and the declarations say the same, and nothing is missing."""
    content = yaml.safe_load((ROOT / "config" / "perception.yaml").read_text())
    values = dict(flat(content["/**"]["ros__parameters"]))
    assert values.keys() == BY_NAME.keys()
    for name, value in values.items():
        assert BY_NAME[name].checked(value) == BY_NAME[name].default


def test_the_readmes_short_table_has_the_defaults():
    """A star stands for all of a group."""
    section = (ROOT / "README.md").read_text().split("### Parameters")[1].split("###")[0]
    told = {}
    for names, defaults in re.findall(r"^\| (`.*?`) \| (`.*?`) \|", section, re.MULTILINE):
        told |= dict(zip(names.split(", "), defaults.split(", "), strict=True))
    assert len(told) >= 10
    for name, default in told.items():
        members = [p for p in PARAMETERS if fnmatch(p.name, name.strip("`"))]
        assert {p.default for p in members} == {yaml.safe_load(default.strip("`"))}, name


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda p: p.name)
def test_what_is_out_of_range_is_refused_with_the_range(parameter):
    """Every parameter, by a value of a wrong type and by one beyond each end."""
    wrong = [None, b"", {}]
    if parameter.range is not None:
        low, high = parameter.range
        wrong += [low - 1, high + 1, "1", True, float("nan")]
    if parameter.choices:
        wrong += ["other"]
    for value in wrong:
        with pytest.raises(ValueError, match=f"parameter {parameter.name} is ") as caught:
            parameter.checked(value)
        assert "expected" in str(caught.value)


@pytest.mark.parametrize("names", [[], [""] * 2, ["a", "a"], ["a b"], ["/a"], ["1"], "a", [1]])
def test_camera_names_are_names(names):
    """Different, and fit for a topic."""
    with pytest.raises(ValueError, match="parameter cameras is"):
        BY_NAME["cameras"].checked(names)


@pytest.fixture
def running(shared_node, camera):
    """An active node, in front of a camera that hears its answers."""
    camera.wait_until_active()
    camera.listen(*OUTPUTS)
    yield camera
    defaults = {p.name: p.default for p in PARAMETERS if p.change is Change.RUNNING}
    assert camera.set_parameters(**defaults).successful


def answer(camera, *topics):
    stamp = camera.send(rgb(camera.header(), picture()), camera_info())
    return camera.answers(stamp, *topics)


def test_every_parameter_describes_itself(running):
    """Over ROS: description, range, and when it may be changed."""
    request = DescribeParameters.Request(names=[p.name for p in PARAMETERS])
    described = running.call(DescribeParameters, "/sosd/describe_parameters", request)
    assert len(described.descriptors) == len(PARAMETERS)
    for parameter, descriptor in zip(PARAMETERS, described.descriptors, strict=True):
        assert descriptor.description.startswith(parameter.description)
        assert parameter.change.value in descriptor.description
        assert descriptor.additional_constraints == parameter.constraints
        assert descriptor.read_only == (parameter.change is Change.NEVER)


def test_ranges_change_while_it_runs(running):
    """All is about 2 m: beyond max_depth it is infinite, nearer than min_depth it is NaN."""
    assert running.set_parameters(max_depth=1.0).successful
    assert np.isposinf(pixels(answer(running, "depth")[0], np.float32)).all()
    assert running.set_parameters(max_depth=30).successful  # an integer will do
    assert running.set_parameters(min_depth=10.0).successful
    assert np.isnan(pixels(answer(running, "depth")[0], np.float32)).all()
    refused = running.set_parameters(min_depth=31.0)
    assert not refused.successful
    assert refused.reason == (
        "parameter min_depth is 31 m, expected less than max_depth, which is 30 m"
    )


def test_the_cloud_is_decimated_while_it_runs(running):
    """Every third row and column of 64x96, whose points are those of their pixels."""
    assert running.set_parameters(cloud_decimation=3).successful
    depth, points = answer(running, "depth", "points")
    assert (points.height, points.width) == (22, 32)
    z = np.frombuffer(points.data, np.float32).reshape(22, 32, 5)[..., 2]
    np.testing.assert_array_equal(z, pixels(depth, np.float32)[::3, ::3])
    refused = running.set_parameters(cloud_decimation=0)
    assert refused.reason == "parameter cloud_decimation is 0, expected 1 to 64"
    assert not running.set_parameters(cloud_decimation=2.0).successful


def test_what_is_beyond_the_range_clears_costmaps_if_it_is_asked_to(running):
    """All is about 2 m: beyond max_depth there are no points, or all at max_depth and a margin."""
    for margin, z in ((0.0, np.nan), (0.5, 1.5)):
        assert running.set_parameters(max_depth=1.0, cloud_clearing_margin=margin).successful
        depth, points = answer(running, "depth", "points")
        assert np.isposinf(pixels(depth, np.float32)).all()
        cloud = np.frombuffer(points.data, np.float32).reshape(-1, 5)
        np.testing.assert_array_equal(cloud[:, 2], np.float32(z))
        assert (cloud.view(np.uint32)[:, 4] == 255).all() == np.isfinite(z)


def test_uncertain_pixels_are_unlabelled(running):
    """An untrained network is certain of nothing: below a high threshold all is 255."""
    running.listen("confidence")
    confidence, semantic = answer(running, "confidence", "semantic")
    assert (pixels(semantic, np.uint8) < 40).all()
    highest = float(pixels(confidence, np.uint8).max())
    assert 0 < highest < 200
    for threshold, unlabelled in ((highest, False), (highest + 1, True)):
        assert running.set_parameters(confidence_threshold=threshold / 255).successful
        [semantic] = answer(running, "semantic")
        assert ((pixels(semantic, np.uint8) == 255) == unlabelled).all()


def test_weights_without_a_spread_cannot_leave_out_what_is_uncertain(running):
    """Who relies on it hears that it does nothing; the topic of it is not there."""
    refused = running.set_parameters(max_relative_uncertainty=0.2)
    assert not refused.successful
    assert refused.reason == (
        "parameter max_relative_uncertainty is 0.2, but these weights predict no depth "
        "uncertainty; set it to 0.0, or load weights with a spread"
    )
    assert not running.set_parameters(cloud_uncertainty=True).successful
    assert running.node.count_publishers("/sosd/depth_uncertainty") == 0
    answer(running, "depth")


def test_the_overlay_follows_its_opacity(running):
    """0 is the image itself."""
    running.listen("overlay")
    assert running.set_parameters(overlay_opacity=0.0).successful
    [picture_message] = answer(running, "overlay")
    np.testing.assert_array_equal(pixels(picture_message, np.uint8), picture())


def test_a_rate_limits_one_output_and_not_the_others(running):
    """A thousandth of a hertz: no more clouds, while labels come for every frame."""
    answer(running, "semantic", "points")
    assert running.set_parameters(publish_rate__points=0.001).successful
    before = len(running.heard["points"])
    for _ in range(5):
        answer(running, "semantic")
    assert len(running.heard["points"]) == before
    assert running.set_parameters(publish_rate__points=1000.0).successful  # counts at once
    answer(running, "semantic", "points")


def test_outputs_of_equal_rates_are_of_the_same_frames(running):
    """Though one is asked for later; and those of half the rate are among them."""

    def of_a_frame_more(topic):
        before = len(running.heard[topic])

        def is_heard():
            running.send(rgb(running.header(), picture()), camera_info())
            return len(running.heard[topic]) > before

        running.wait(is_heard, topic)

    assert running.set_parameters(publish_rate__depth=20.0).successful
    of_a_frame_more("depth")
    assert running.set_parameters(publish_rate__points=20.0).successful
    of_a_frame_more("points")
    assert running.set_parameters(publish_rate__semantic=10.0).successful
    begin = running.header().stamp.sec
    for _ in range(4):
        of_a_frame_more("semantic")
    defaults = {f"publish_rate__{name}": 0.0 for name in ("depth", "points", "semantic")}
    assert running.set_parameters(**defaults).successful
    last = running.send(rgb(running.header(), picture()), camera_info())
    running.answers(last, *OUTPUTS)
    depth, points, semantic = (
        {sec for m in running.heard[topic] if (sec := m.header.stamp.sec) > begin}
        for topic in ("depth", "points", "semantic")
    )
    assert depth == points >= semantic  # fewer, where a frame takes less than 0.1 s


def test_what_is_read_at_configure_says_so(running):
    """And the value stays; autostart is read-only; an unknown device is refused at configure."""
    for name, value in {"weights": "x", "device": "cuda", "cameras": ["a"]}.items():
        refused = running.set_parameters(**{name: value})
        assert not refused.successful
        assert refused.reason == f"{name} is read at configure: clean up first, then configure"
    assert "read-only" in running.set_parameters(autostart=False).reason
    got = running.call(
        GetParameters, "/sosd/get_parameters", GetParameters.Request(names=["device"])
    )
    assert got.values[0].string_value == "cpu"
