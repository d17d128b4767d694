"""The command as users run it, and what it says of parts that are broken."""

import json
import sys

import pytest
from processes import ROOT, ForkedProcess

from sosd_ros.doctor import middleware, python
from sosd_ros.doctor.finding import Finding, lines, summary


def run(folder, *arguments):
    """The command; its status and what it printed."""
    said, errors = folder / "said.txt", folder / "errors.txt"
    program = ["-m", "sosd_ros.doctor", "--device=cpu", "--seconds=1", *map(str, arguments)]
    status = ForkedProcess(program, said, errors).wait()
    assert not errors.read_text()
    return status, said.read_text()


def levels(findings):
    """By subject."""
    return {finding["subject"]: finding["level"] for finding in findings}


@pytest.fixture(scope="module")
def here(tmp_path_factory, middleware):
    """What the command finds on the machine that the tests run on."""
    folder = tmp_path_factory.mktemp("here")
    status, said = run(folder, "--json", "--cache", folder / "cache")
    return status, json.loads(said)


def test_nothing_is_broken_where_the_tests_pass(here):
    status, findings = here
    assert [finding for finding in findings if finding["level"] == "broken"] == []
    assert status == 0
    names = {"Python", "torch", "rclpy", "device", "weights", "engines", "cache", "middleware"}
    assert names | {"profile", "discovery"} <= levels(findings).keys()


def test_who_is_told_to_look_is_told_what_to_do(here):
    for finding in here[1]:
        assert (finding["level"] == "ok") == (not finding["cure"]), finding


def test_an_empty_cache_has_no_engine(here):
    assert levels(here[1])["engines"] == "look"


def test_what_is_broken_is_the_status(tmp_path, middleware):
    """A file that is no weights file, for people; the rest is looked at all the same."""
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"nothing")
    status, said = run(tmp_path, "--weights", path)
    assert status == 1
    assert "broken    weights: " in said and str(path) in said
    assert "middleware: " in said and "\n1 broken, " in said


@pytest.mark.parametrize(
    ("found", "level"), [((3, 9), "look"), ((3, 10), "ok"), ((3, 14), "ok"), ((3, 15), "look")]
)
def test_versions_of_python(found, level):
    assert python.version(found, "python").level == level


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Makes a module of that name and code."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(name, code):
        (tmp_path / f"{name}.py").write_text(code)
        monkeypatch.delitem(sys.modules, name, raising=False)
        return name

    return make


@pytest.mark.parametrize(
    ("code", "what", "cure"),
    [
        ("__version__ = '1.2'", "1.2 at ", ""),
        ("import nowhere_to_be_found", "needs nowhere_to_be_found, which is missing", "install it"),
        (
            "raise ImportError('numpy.core.multiarray failed to import')",
            "numpy.core.multiarray failed",
            "compiled for another NumPy",
        ),
        (
            "raise ImportError('libGL.so.1: cannot open shared object file')",
            "libGL.so.1",
            "opencv-python-headless",
        ),
        ("raise OSError('damaged')", "damaged", "install it"),
    ],
)
def test_a_package_that_does_not_load(module, code, what, cure):
    loaded, finding = python.imported(module("broken_package", code), "install it")
    assert what in finding.what and cure in finding.cure
    assert (finding.level == "ok") == (loaded is not None) == (not cure)


def test_a_package_that_is_not_there():
    _, finding = python.imported("nowhere_to_be_found", "install it")
    expected = Finding("nowhere_to_be_found", "broken", "not installed", "install it")
    assert finding == expected


@pytest.mark.parametrize(
    ("distributions", "count"),
    [({"opencv-python": "5"}, 0), ({"opencv-python": "5", "opencv-python-headless": "5"}, 1)],
)
def test_two_distributions_of_cv2(distributions, count):
    assert len(list(python.several_opencvs(distributions))) == count


@pytest.mark.parametrize(
    ("sourced", "wheels", "level"),
    [
        ("jazzy", {}, "ok"),
        ("", {"ros-kilted-rclpy": "9"}, "ok"),
        ("jazzy", {"ros-kilted-rclpy": "9"}, "broken"),
        ("", {"ros-kilted-rclpy": "9", "ros-jazzy-rclpy": "7"}, "broken"),
    ],
)
def test_two_generations_of_ros(sourced, wheels, level):
    [finding] = python.generations(sourced, wheels)
    assert finding.level == level


@pytest.mark.parametrize(
    ("implementation", "environ", "level"),
    [
        ("rmw_fastrtps_cpp", {}, "look"),
        ("rmw_fastrtps_cpp", {"FASTDDS": "{config}/fastdds.xml"}, "ok"),
        ("rmw_fastrtps_cpp", {"FASTDDS": "/nowhere/fastdds.xml"}, "broken"),
        ("rmw_cyclonedds_cpp", {"FASTDDS": "{config}/fastdds.xml"}, "look"),
        ("rmw_cyclonedds_cpp", {"CYCLONEDDS_URI": "file://{config}/cyclonedds.xml"}, "ok"),
        ("rmw_cyclonedds_cpp", {"CYCLONEDDS_URI": "<CycloneDDS></CycloneDDS>"}, "ok"),
        ("rmw_zenoh_cpp", {"ZENOH_SESSION_CONFIG_URI": "{config}/zenoh.json5"}, "ok"),
        ("rmw_of_somebody", {}, "look"),
    ],
)
def test_the_profile_of_each_middleware(implementation, environ, level):
    config = ROOT / "config"
    environ = {name: value.format(config=config) for name, value in environ.items()}
    *_, finding = middleware.profile(environ, implementation, "FASTDDS", config)
    assert finding.level == level


@pytest.mark.parametrize(
    ("environ", "level"),
    [
        ({}, "ok"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "OFF"}, "broken"),
        ({"ROS_LOCALHOST_ONLY": "1"}, "ok"),
        ({"ROS_LOCALHOST_ONLY": "1", "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}, "look"),
    ],
)
def test_who_is_found(environ, level):
    [finding] = middleware.discovery(environ)
    assert finding.level == level


@pytest.mark.parametrize(
    ("total", "free", "level"),
    [(2048, 2000, "ok"), (2048, 100, "look"), (128, 128, "look"), (63, 63, "broken")],
)
def test_shared_memory_holds_the_segments(total, free, level):
    """In MiB: Docker gives 64, of which a little is always taken."""
    assert middleware.shared_memory(total * 2**20, free * 2**20).level == level


@pytest.mark.parametrize(("most", "level"), [(212992, "look"), (32 * 2**20, "ok")])
def test_the_kernels_receive_buffer(most, level):
    assert middleware.receive_buffer(most).level == level


def test_lines_are_indented_below_their_subject():
    findings = [
        Finding("a", "ok", "fine"),
        Finding("b", "look", "word " * 30, "cure " * 30),
    ]
    first, *rest = lines(findings)
    assert first == "ok        a: fine"
    assert rest[0].startswith("look      b: word") and rest[1].startswith("          word")
    assert rest[2].startswith("          -> cure") and rest[3].startswith("             cure")
    assert max(map(len, rest)) <= 100
    assert summary(findings) == "0 broken, 1 to look at, 1 fine"
