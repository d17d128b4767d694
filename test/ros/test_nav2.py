"""docs/nav2.md: its parameters and its launch file, held against what the node has and does."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter, defaultdict

import numpy as np
import pytest
import yaml
from aligned import check_cloud
from processes import ROOT
from rclpy.qos import QoSProfile, ReliabilityPolicy
from robot import node_for_a_file, picture, pixels, raw_info, rgb
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import String

from sosd_ros import weights
from sosd_ros.camera_info import for_image
from sosd_ros.ros.parameters import BY_NAME
from sosd_ros.ros.topics import OUTPUTS
from sosd_ros.share import DEFAULT_WEIGHTS, share

PAGE = (ROOT / "docs" / "nav2.md").read_text()
TOPICS = {f"/sosd/{output.topic}": output for output in OUTPUTS.values()}
SENSOR_DATA = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)  # the layer's


def blocks(language):
    """Code in the page."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def page():
    """The parameters in the page, by node."""
    [text] = blocks("yaml")
    nodes = yaml.safe_load(text)
    nodes["local_costmap"] = nodes["local_costmap"]["local_costmap"]
    return {name: node["ros__parameters"] for name, node in nodes.items()}


@pytest.fixture(scope="module")
def settings(page):
    """Ours, by full name."""
    rates = {f"publish_rate.{name}": rate for name, rate in page["sosd"]["publish_rate"].items()}
    return {name: v for name, v in page["sosd"].items() if name != "publish_rate"} | rates


@pytest.fixture(scope="module")
def voxels(page):
    return page["local_costmap"]["voxel_layer"]


@pytest.fixture(scope="module")
def semantics(page):
    return page["local_costmap"]["semantic_layer"]["camera"]


def test_our_parameters_are_declared_and_allowed(settings):
    for name, value in settings.items():
        assert BY_NAME[name].checked(value) == value


def test_the_manager_manages_our_node(page, settings):
    """By its name, and alone."""
    assert page["lifecycle_manager_perception"]["node_names"] == ["sosd"]
    assert settings["autostart"] is False


def test_the_voxel_layer_hears_points(voxels):
    for source in voxels["observation_sources"].split():
        assert voxels[source]["data_type"] == PointCloud2.__name__
        assert TOPICS[voxels[source]["topic"]].kind is PointCloud2


def test_the_semantic_layer_hears_images_of_one_size_and_stamp(semantics, settings):
    """Mask, confidence and points, all for the same images, and a point for each pixel."""
    kinds = {"segmentation": Image, "confidence": Image, "pointcloud": PointCloud2}
    topics = [semantics[f"{source}_topic"] for source in kinds]
    assert topics == ["/sosd/semantic", "/sosd/confidence", "/sosd/points"]
    assert [TOPICS[topic].kind for topic in topics] == list(kinds.values())
    assert len({settings[f"publish_rate.{TOPICS[topic].rate}"] for topic in topics}) == 1
    assert settings["cloud_decimation"] == 1
    # Which is no output of images: test_node.py has it.
    assert semantics["labels_topic"] == "/sosd/label_info"


def test_the_class_types_are_the_groups_of_the_shipped_weights(semantics):
    """People apart from other obstacles; every class has one type, or the layer complains of it."""
    classes = {kind: semantics[kind]["classes"] for kind in semantics["class_types"]}
    labels = weights.read(share("weights", DEFAULT_WEIGHTS)).manifest.labels
    assert classes["traversable"] == list(labels.traversable)
    assert Counter(classes["obstacle"] + classes["person"]) == Counter(labels.obstacle)
    named = Counter(name for kind in classes.values() for name in kind)
    assert named == Counter(labels.names)


@pytest.fixture(scope="module")
def perception(tmp_path_factory, small_weights, settings):
    """The node with the parameters of the page, but on a CPU and unmanaged."""
    changes = {"device": "cpu", "autostart": True}
    with node_for_a_file(tmp_path_factory, small_weights, **settings | changes) as node:
        yield node


def frames_of(camera, send, topics):
    """What the layer's exact synchroniser passes on, of three frames, to such subscriptions.

    Args:
        send: sends a frame; the stamps of all are known to the camera.
        topics: heard, with the types of their messages.

    Returns:
        For each frame its messages by topic.
    """
    waiting, passed = defaultdict(dict), []

    def hear(topic, message):
        stamp = (message.header.stamp.sec, message.header.stamp.nanosec)
        waiting[stamp][topic] = message
        if len(waiting[stamp]) == len(topics):
            passed.append(waiting.pop(stamp))

    for topic, kind in topics.items():
        camera.node.create_subscription(
            kind, topic, lambda message, topic=topic: hear(topic, message), SENSOR_DATA
        )
    camera.send_until(lambda: len(passed) >= 3, send)
    return passed


@pytest.mark.parametrize("rectified", ["rectify", "rays"])
@pytest.mark.parametrize("model", ["plumb_bob", "equidistant"])
def test_what_the_semantic_layer_receives_of_a_distorted_camera(
    perception, camera, semantics, model, rectified
):
    """All of a frame passes its synchroniser, is aligned to the pixel, and has known labels."""
    camera.wait_until_active()
    assert camera.set_parameters(rectified=rectified).successful
    info, image, sent = raw_info(model), picture(), []

    def send():
        sent.append(camera.header())
        camera.send(rgb(sent[-1], image), info)

    theirs = {semantics[f"{name}_topic"] for name in ("segmentation", "confidence", "pointcloud")}
    topics = {topic: TOPICS[topic].kind for topic in theirs | {"/sosd/depth", "/sosd/camera_info"}}
    frames = frames_of(camera, send, topics)
    if rectified == "rectify":
        maps = for_image(info, info.header, (96, 64), rectified=rectified).rectification.maps()
        image = maps.rectified(image)

    said = camera.listen_latched(String, "/sosd/label_info/json")
    camera.wait(lambda: said, "label info")
    labels = json.loads(said[0].data)
    for frame in frames:
        answers = {topic.removeprefix("/sosd/"): message for topic, message in frame.items()}
        assert all(message.header in sent for message in answers.values())
        assert {(m.height, m.width) for m in answers.values()} == {(64, 96)}
        assert len({message.header.frame_id for message in answers.values()}) == 1
        assert check_cloud(answers, image).any()
        seen = np.unique(pixels(answers["semantic"], np.uint8))
        assert all(i < len(labels["names"]) or i == labels["unlabelled"] for i in seen)
        unsure = pixels(answers["semantic"], np.uint8) == labels["unlabelled"]
        assert (pixels(answers["confidence"], np.uint8)[unsure] == 0).all()
    assert labels["traversable"] == semantics["traversable"]["classes"]
    assert {*semantics["obstacle"]["classes"], "person"} == set(labels["obstacle"])


def test_what_is_beyond_the_range_clears_and_never_marks(page, settings, voxels, semantics):
    """As the page's table has it."""
    marking, clearing = voxels["marking"], voxels["clearing"]
    beyond = settings["max_depth"] + settings["cloud_clearing_margin"]
    two_cells = 2 * page["local_costmap"]["resolution"]  # before a point, the layer stops clearing
    assert marking["obstacle_max_range"] <= settings["max_depth"]
    assert semantics["max_obstacle_distance"] <= settings["max_depth"]
    assert marking["obstacle_max_range"] < clearing["raytrace_max_range"] <= beyond - two_cells
    assert settings["cloud_clearing_margin"] >= 2 * two_cells
    # Within the map in height: a camera below its ceiling, rays of any slope.
    top = voxels["origin_z"] + voxels["z_voxels"] * voxels["z_resolution"]
    assert marking["max_obstacle_height"] <= top
    assert clearing["min_obstacle_height"] < voxels["origin_z"] < top
    assert clearing["max_obstacle_height"] > top
    assert (marking["marking"], marking["clearing"]) == (True, False)
    assert (clearing["marking"], clearing["clearing"]) == (False, True)


def test_the_launch_file_starts_the_node_and_its_manager(page):
    """Its arguments are perception.launch.py's, its manager is that of the parameters."""
    [text] = blocks("python")
    strings = [n.value for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Constant)]
    assert "perception.launch.py" in strings
    assert "lifecycle_manager_perception" in strings and "lifecycle_manager_perception" in page
    arguments = {
        key.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Dict)
        for key in node.keys
    }
    source = (ROOT / "launch" / "perception.launch.py").read_text()
    [declared] = [
        {key.value for key in node.value.keys}
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and node.targets[0].id == "ARGUMENTS"
    ]
    assert arguments and arguments <= declared


def test_the_page_names_what_operations_tells_of():
    """Whoever looks for a symptom finds the section."""
    operations = (ROOT / "docs" / "operations.md").read_text()
    assert "(nav2.md)" in operations and "(docs/nav2.md)" in (ROOT / "README.md").read_text()
    nav2 = operations.split("\n## Nav2\n")[1].split("\n## ")[0]
    headings = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    for named in re.findall(r": \*(.+?)\* \|", nav2):
        assert named in headings, named
