"""What colcon and pip make of the package."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest
import setuptools
from processes import ROOT

README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def manifest():
    """package.xml."""
    return ElementTree.parse(ROOT / "package.xml").getroot()


@pytest.fixture(scope="module")
def setup_arguments():
    """What setup.py calls setup() with."""
    arguments = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr(setuptools, "setup", arguments.update)
        exec(compile((ROOT / "setup.py").read_text(), "setup.py", "exec"), {"__name__": "setup"})
    return arguments


def test_the_manifest_says_what_setup_says(manifest, setup_arguments):
    """One name and one version, whoever asks."""
    for key in ("name", "version", "license", "maintainer"):
        assert manifest.findtext(key) == setup_arguments[key]


def test_colcon_takes_it_for_a_ros_package(manifest):
    """colcon silently takes it for plain Python if one of these is wrong."""
    assert manifest.get("format") == "3"
    assert manifest.findtext("export/build_type") == "ament_python"
    assert re.fullmatch(r"[\w.-]+@[\w-]+(\.[\w-]+)+", manifest.find("maintainer").get("email"))


def test_launch_and_configuration_are_installed(setup_arguments):
    """Every file, at the same place under share/sosd_ros; ROS 2 finds the package by its marker."""
    installed = dict(setup_arguments["data_files"])
    markers = installed["share/ament_index/resource_index/packages"]
    assert markers == ["resource/sosd_ros"]
    files = [*ROOT.glob("launch/*.py"), *(f for f in ROOT.glob("config/**/*") if f.is_file())]
    assert files
    for file in files:
        place = file.relative_to(ROOT)
        assert place.as_posix() in installed[f"share/sosd_ros/{place.parent.as_posix()}"]


def test_what_the_packages_read_beside_their_code_is_installed(setup_arguments):
    """Every file in them that is not Python."""
    files = [f for top in ("sosd_ros", "training") for f in (ROOT / top).rglob("*") if f.is_file()]
    data = {
        f.relative_to(ROOT).as_posix()
        for f in files
        if f.suffix not in (".py", ".pyc", ".nbi", ".nbc") and "__pycache__" not in f.parts
    }
    assert data == {
        f"{package.replace('.', '/')}/{name}"
        for package, names in setup_arguments["package_data"].items()
        for name in names
    }


def test_all_installed_files_are_there(setup_arguments):
    """setuptools fails late and unclearly where one is not."""
    for _, files in setup_arguments["data_files"]:
        assert all((ROOT / file).is_file() for file in files)


def test_the_robots_own_packages_are_not_required_from_pypi(setup_arguments):
    """No rclpy, no messages, and no OpenCV, which may be apt's: pip would put another over it."""
    required = " ".join(setup_arguments["install_requires"])
    assert not re.search(r"ros-|rclpy|cv.?bridge|opencv", required)


def test_both_generations_of_ros_bring_the_same_packages(setup_arguments):
    """What works with one would otherwise lack something with the other; all are bounded."""
    extras = setup_arguments["extras_require"]
    kilted, jazzy = (
        {re.sub(f"^ros-{generation}-|~=.*", "", requirement) for requirement in extras[extra]}
        for generation, extra in (("kilted", "ros"), ("jazzy", "ros-jazzy"))
    )
    assert kilted == jazzy
    assert all("~=" in r for extra in ("ros", "ros-jazzy") for r in extras[extra] if "ros-" in r)


def test_every_ros_package_that_is_imported_is_required(manifest, setup_arguments):
    """By the manifest for robots, and by both extras for machines without ROS."""
    imported = set()
    for file in ROOT.glob("sosd_ros/**/*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add(node.module.partition(".")[0])
    endings = ("rclpy", "bondpy", "_msgs", "_python")
    imported = {name for name in imported if name.endswith(endings)}
    assert {"diagnostic_msgs", "rclpy", "sensor_msgs"} <= imported
    assert imported <= {dependency.text for dependency in manifest.findall("exec_depend")}
    for extra in ("ros", "ros-jazzy"):
        required = " ".join(setup_arguments["extras_require"][extra]).replace("-", "_")
        optional = {"bondpy", "vision_msgs"}  # not on PyPI; the node does without
        assert [name for name in imported - optional if f"_{name}" not in required] == []


def test_the_first_target_is_the_longest_supported(setup_arguments):
    """README's table and the package's metadata name the same Pythons, Lyrical's first."""
    rows = re.findall(r"^\| (\w+), until \w+ (\d{4}) \| [\d.]+ \| (3\.\d+), ", README, re.MULTILINE)
    assert [name for name, _, _ in rows] == ["Lyrical", "Jazzy", "Humble", "Kilted"]
    assert [year for _, year, _ in rows] == sorted((year for _, year, _ in rows), reverse=True)
    python = "Programming Language :: Python :: "
    named = [c.removeprefix(python) for c in setup_arguments["classifiers"] if python in c]
    assert {row[2] for row in rows} <= set(named)
    assert setup_arguments["python_requires"] == f">={named[0]}"
    assert rows[0][2] == named[-1]


CONSTRAINED = "-c venv/constraints.txt "
# The Python of a distribution and the NumPy that its OpenCV is compiled for: the tables of REP
# 2000, and for Lyrical the page of its supported platforms.
ROBOTS = {"lyrical": ("3.14", "2.3.4"), "jazzy": ("3.12", "1.26.4"), "humble": ("3.10", "1.21.5")}


def robots_pip_lines():
    """What README lets pip install beside a distribution's own packages, line by line."""
    return re.findall(r"\bpip install ([^`\n]+)", README[README.index("## On a robot") :])


def test_the_robots_instructions_keep_numpy():
    """Its version is written down first, and every pip is held to it."""
    kept = "venv/bin/pip freeze | grep '^numpy==' > venv/constraints.txt"
    assert README.index(kept) < README.index("venv/bin/pip install")
    assert len(robots_pip_lines()) == 2
    assert all(line.startswith(CONSTRAINED) for line in robots_pip_lines())
    assert "PIP_BREAK_SYSTEM_PACKAGES" not in README


def test_the_node_sends_nobody_to_a_pip_that_moves_numpy():
    """What it says of an engine that is missing leads to README's lines."""
    said = "".join(file.read_text() for file in ROOT.glob("sosd_ros/engine/*.py"))
    assert "pip install" not in said
    assert "README says how" in said


@pytest.mark.slow
@pytest.mark.parametrize("robot", ROBOTS)
def test_numpy_stays_the_robots_whatever_pip_installs(robot, tmp_path):
    """README's lines, resolved as for that robot; without the constraint, NumPy would move.

    By uv: pip asks the running Python which requirements hold, and not the one it resolves for.
    """
    uv = pytest.importorskip("uv", reason="no uv: install the extra 'test'").find_uv_bin()
    python, numpy = ROBOTS[robot]
    lines = robots_pip_lines()
    wanted = [name for line in lines for name in line.removeprefix(CONSTRAINED).split()]
    (tmp_path / "wanted.txt").write_text("\n".join(wanted))
    is_constrained = all(line.startswith(CONSTRAINED) for line in lines)
    (tmp_path / "constraints.txt").write_text(f"numpy=={numpy}\n" if is_constrained else "")
    command = [
        *(uv, "pip", "compile", "--only-binary", ":all:", "wanted.txt", "-c", "constraints.txt"),
        *("--python-version", python, "--python-platform", "x86_64-manylinux_2_35"),
        "--system-certs",  # as pip, which trusts what the machine trusts
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    if "Failed to fetch" in done.stderr:
        pytest.skip(f"PyPI cannot be reached: {done.stderr.splitlines()[-1].strip()}")
    assert done.returncode == 0, done.stderr
    found = dict(re.findall(r"^([\w-]+)==(\S+)", done.stdout, re.MULTILINE))
    assert {"torch", "timm", "safetensors", "onnxscript", "openvino"} <= set(found)
    assert found["numpy"] == numpy


def test_commands_lead_somewhere(setup_arguments):
    """Every entry point names a function that exists."""
    pytest.importorskip("rclpy", reason="no ROS 2: install the extra 'ros', or source a ROS 2")
    for command in setup_arguments["entry_points"]["console_scripts"]:
        name, value = command.split(" = ")
        entry = importlib.metadata.EntryPoint(name, value, "console_scripts")
        assert callable(entry.load())


def test_no_two_test_files_share_a_name():
    """The pytest plugin of ROS' launch_testing imports them by their base names."""
    names = [path.name for path in ROOT.glob("test/**/test_*.py")]
    assert sorted(set(names)) == sorted(names)
