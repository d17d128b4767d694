"""docs/nav2.md: its parameters and its launch file, held against what the node has and does."""

from __future__ import annotations

import ast
import re
from collections import Counter

import pytest
import yaml
from processes import ROOT
from sensor_msgs.msg import Image, PointCloud2

from sosd_ros import weights
from sosd_ros.ros.parameters import BY_NAME
from sosd_ros.ros.topics import OUTPUTS
from sosd_ros.share import DEFAULT_WEIGHTS, share

PAGE = (ROOT / "docs" / "nav2.md").read_text()
TOPICS = {f"/sosd/{output.topic}": output for output in OUTPUTS.values()}


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


def test_every_class_of_the_shipped_weights_has_a_type(semantics):
    """One, or the layer complains of it, or takes the last."""
    classes = [name for kind in semantics["class_types"] for name in semantics[kind]["classes"]]
    names = weights.read(share("weights", DEFAULT_WEIGHTS)).manifest.labels.names
    assert Counter(classes) == Counter(names)


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
