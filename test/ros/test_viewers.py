"""config/sosd.rviz and config/foxglove_layout.json, held against what the node publishes."""

import json

import pytest
import yaml
from processes import ROOT
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from sosd_ros.ros.topics import OUTPUT_QOS, OUTPUTS

TOPICS = {f"/sosd/{output.topic}": output for output in OUTPUTS.values()}
# Images whose pixels a viewer shows as they are. In the others there are metres or class ids: a
# viewer scales metres by their extremes, infinity among them, and ids are nearly black.
SHOWABLE = {"/sosd/overlay", "/sosd/depth/colored", "/sosd/confidence"}
RVIZ_KINDS = {"rviz_default_plugins/Image": Image, "rviz_default_plugins/PointCloud2": PointCloud2}
RVIZ = yaml.safe_load((ROOT / "config" / "sosd.rviz").read_text())["Visualization Manager"]
FOXGLOVE = json.loads((ROOT / "config" / "foxglove_layout.json").read_text())
SUBSCRIBING = [display for display in RVIZ["Displays"] if "Topic" in display]


@pytest.mark.parametrize("display", SUBSCRIBING, ids=lambda display: display["Name"])
def test_an_rviz_display_takes_what_its_topic_carries(display):
    topic = display["Topic"]
    assert TOPICS[topic["Value"]].kind is RVIZ_KINDS[display["Class"]]
    assert display["Class"] != "rviz_default_plugins/Image" or topic["Value"] in SHOWABLE
    assert topic["Reliability Policy"].upper() == OUTPUT_QOS.reliability.name
    assert topic["Durability Policy"].upper() == OUTPUT_QOS.durability.name


def test_rviz_shows_what_people_look_at_first():
    """The cloud in the image's colours, labels and depth; the rest costs nothing until asked."""
    enabled = {display["Topic"]["Value"] for display in SUBSCRIBING if display["Enabled"]}
    assert enabled == {"/sosd/points", "/sosd/overlay", "/sosd/depth/colored"}
    assert all(display["Enabled"] == display["Value"] for display in RVIZ["Displays"])
    [cloud] = [d for d in SUBSCRIBING if d["Class"] == "rviz_default_plugins/PointCloud2"]
    assert cloud["Color Transformer"] == "RGB8"


def panels(layout):
    """The names of the panels in a layout, from left to right and from top to bottom."""
    if isinstance(layout, str):
        return [layout]
    return panels(layout["first"]) + panels(layout["second"])


def test_every_foxglove_panel_has_a_place_and_a_configuration():
    names = panels(FOXGLOVE["layout"])
    assert sorted(names) == sorted(FOXGLOVE["configById"])


def test_foxglove_images_are_those_that_can_be_shown():
    panels = FOXGLOVE["configById"].values()
    images = [panel["imageMode"] for panel in panels if "imageMode" in panel]
    assert {image["imageTopic"] for image in images} == SHOWABLE
    assert {TOPICS[image["calibrationTopic"]].kind for image in images} == {CameraInfo}


def test_foxglove_draws_the_cloud_and_the_camera():
    [scene] = [panel["topics"] for panel in FOXGLOVE["configById"].values() if "topics" in panel]
    assert {TOPICS[topic].kind for topic in scene} == {PointCloud2, CameraInfo}
    assert scene["/sosd/points"]["colorField"] == "rgb"
