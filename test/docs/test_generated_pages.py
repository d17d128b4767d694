"""Pages that are written from the code are as the code is."""

import argparse
import re

import pytest
from processes import ROOT

pytest.importorskip("pydantic", reason="no pydantic: install the extra 'train'")
pytest.importorskip("rclpy", reason="no ROS 2: install the extra 'ros', or source a ROS 2")

from docs import generate, reference
from sosd_ros.ros.topics import OUTPUTS


def test_files_are_what_the_code_says():
    """As `python docs/generate.py` writes them."""
    for path, content in generate.files().items():
        assert path.read_text() == content, f"run python docs/generate.py, for {path.name}"


def test_every_command_has_an_example_that_it_takes(monkeypatch):
    """Its own options, as --help shows it."""
    parsers = [*reference.command_lines()]
    assert len(parsers) > 15
    for parser in parsers:
        example = parser.epilog.removeprefix(f"Example: {parser.prog} ")
        parser.parse_args(example.split())


def test_every_option_is_explained():
    for parser in reference.command_lines():
        for action in parser._actions:
            is_option = not isinstance(action, argparse._SubParsersAction)
            assert action.help or not is_option, f"{parser.prog} {action.dest}"


def test_readme_names_every_output_with_its_type():
    """Its table, row by row; several topics may share one."""
    section = (ROOT / "README.md").read_text().split("### Topics")[1].split("###")[0]
    told = {}
    for topics, kind in re.findall(r"^\| (`/sosd/.*?) \| `(.*?)` \|", section, re.MULTILINE):
        told |= dict.fromkeys(re.findall(r"`/sosd/(.*?)`", topics), kind)
    made = {output.topic: output.kind for output in OUTPUTS.values()}
    assert told.pop("label_info/json") == "std_msgs/String"
    assert told == {topic: f"sensor_msgs/{kind.__name__}" for topic, kind in made.items()}
