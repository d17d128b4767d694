"""The middleware's profiles, and the command that puts them to the test."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest
from robot import ROOT

from sosd_ros.checks import transport
from sosd_ros.checks.transport import Arrival, Case
from sosd_ros.outputs import cloud_fields

CONFIG = ROOT / "config"
FRAMES = 3  # fewer than either end keeps, so that none is lost on a busy machine


def test_our_profile_carries_large_messages():
    """The real command: images and clouds, reliable and best effort, all of them."""
    # A process of its own: what its children send is of its __main__, which a forked one has not.
    command = [sys.executable, "-m", "sosd_ros.checks.transport", "--frames", str(FRAMES)]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    rows = [line for line in finished.stdout.splitlines() if " of " in line]
    ours = [row for row in rows if row.startswith("our profile")]
    assert len(rows) == 8 and len(ours) == 4
    assert all(f"{FRAMES} of {FRAMES}" in row for row in ours)


def test_its_messages_are_as_large_as_real_ones():
    """A cloud has the fields of the node's, of four bytes each. The guide says so too."""
    image, cloud = (size for _, size in transport.MESSAGES.values())
    assert cloud == 640 * 480 * 4 * len(cloud_fields(labelled=True, doubtful=False))
    guide = (ROOT / "docs" / "middleware.md").read_text()
    sizes = f"image is {image / 1e6:.1f} MB, a cloud of 640x480 points {cloud / 1e6:.1f} MB"
    assert sizes in guide


@pytest.mark.parametrize("profiled", [False, True])
def test_only_what_is_lost_with_our_profile_is_a_failure(monkeypatch, capsys, profiled):
    """The defaults are there for comparison."""

    def measure(case, rate, frames):
        arrived = frames - (case == Case(profiled, "image 2048x1024", False))
        return {number: Arrival(number / rate, number / rate + 0.002) for number in range(arrived)}

    monkeypatch.setattr(transport, "measure", measure)
    arguments = argparse.Namespace(rate=30.0, frames=100)
    if profiled:
        with pytest.raises(SystemExit, match="1 messages were lost"):
            transport.run(arguments)
    else:
        transport.run(arguments)
    printed = capsys.readouterr().out
    assert printed.count("99 of 100") == 1 and printed.count("100 of 100") == 7


def test_a_row_has_the_figures():
    """Worked out by hand: 4 messages, 0.1 s apart, that took 1, 2, 3 and 4 ms; one is lost."""
    arrivals = {n: Arrival(n / 10, n / 10 + (n + 1) / 1000) for n in range(4)}
    row = transport.row(Case(True, "cloud 640x480", True), 5, arrivals)
    assert re.sub(" +", " ", row) == "our profile cloud 640x480 reliable 4 of 5 9.9 2.50 3.85 3.97"


@pytest.mark.parametrize(
    ("implementation", "file"),
    [
        ("rmw_fastrtps_cpp", "fastdds.xml"),
        ("rmw_cyclonedds_cpp", "cyclonedds.xml"),
        ("rmw_zenoh_cpp", "zenoh.json5"),
    ],
)
def test_every_middleware_has_its_profile(implementation, file):
    """The value of its variable leads to the file, and the guide names both."""
    variable, value = transport.profile(implementation)
    assert value.removeprefix("file://") == str(CONFIG / file)
    guide = (ROOT / "docs" / "middleware.md").read_text()
    assert variable in guide and file in guide and implementation in guide


def test_a_middleware_without_profile_is_refused():
    """In one sentence that names those that have one."""
    with pytest.raises(
        ValueError, match="no profile for rmw_connextdds, expected rmw_fastrtps_cpp"
    ):
        transport.profile("rmw_connextdds")


def test_the_profiles_are_well_formed():
    """XML, in the namespaces of the two; and JSON5, which ours is as JSON with comments."""
    fastdds = ElementTree.parse(CONFIG / "fastdds.xml").getroot()
    assert fastdds.tag == "{http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles}profiles"
    cyclonedds = ElementTree.parse(CONFIG / "cyclonedds.xml").getroot()
    assert cyclonedds.tag == "{https://cdds.io/config}CycloneDDS"
    zenoh = re.sub(r"^\s*//.*$", "", (CONFIG / "zenoh.json5").read_text(), flags=re.MULTILINE)
    assert json.loads(zenoh)["mode"] == "peer"
