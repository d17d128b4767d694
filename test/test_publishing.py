"""What a release consists of besides code: held against the code, and built as users get it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml
from processes import ROOT

from sosd_ros.share import DEFAULT_WEIGHTS

VERSION = ElementTree.parse(ROOT / "package.xml").getroot().findtext("version")
WORKFLOW = (ROOT / ".github" / "workflows" / "test.yml").read_text()
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()


def test_what_is_cited_is_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (cited["version"], cited["license"]) == (VERSION, "Apache-2.0")


def test_the_changelog_is_in_catkins_form():
    """Forthcoming first, then each version with its date, newest first; older than this one."""
    text = (ROOT / "CHANGELOG.rst").read_text()
    assert text.startswith("^" * 30 + "\nChangelog for package sosd_ros\n")
    titles = re.findall(r"^(.+)\n(-+)$", text, re.MULTILINE)
    assert all(len(title) == len(line) for title, line in titles)
    (first, _), *released = titles
    assert first == "Forthcoming" or first.startswith(f"{VERSION} (")
    versions = [re.fullmatch(r"(\d+\.\d+\.\d+) \(\d{4}-\d\d-\d\d\)", t)[1] for t, _ in released]
    assert versions == sorted(versions, reverse=True) and versions[0] <= VERSION


def test_git_checks_before_a_commit_what_make_test_checks_first():
    """By the same tools; git names the files itself, and may mend them."""
    [repository] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    hooks = [hook["entry"].removeprefix(".venv/bin/") for hook in repository["hooks"]]
    recipe = re.search(r"^lint: .*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    checks = [line.removeprefix("\t$(BIN)/") for line in recipe[1].splitlines()]
    assert [check.replace(" --check", "").removesuffix(" .") for check in checks] == hooks


def test_the_workflow_runs_on_every_distribution_of_the_readme():
    rows = re.findall(r"^\| (\w+), until \w+ \d{4} \|", (ROOT / "README.md").read_text(), re.M)
    matrix = yaml.safe_load(WORKFLOW)["jobs"]["distribution"]["strategy"]["matrix"]
    assert sorted(matrix["ros"]) == sorted(row.lower() for row in rows)


@pytest.mark.parametrize("text", [WORKFLOW, DOCKERFILE], ids=["workflow", "Dockerfile"])
def test_numpy_stays_apts_in_containers(text):
    """Every pip is held to it, once it has been written down."""
    lines = re.findall(r"pip install (.*)", text)
    assert lines and all("-c venv/constraints.txt" in line for line in lines)
    assert "pip freeze | grep '^numpy=='" in text


def test_issues_ask_for_the_doctor():
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / "bug.yml").read_text())
    [field] = [field for field in form["body"] if field.get("id") == "doctor"]
    assert "sosd_ros.doctor" in field["attributes"]["description"]
    assert field["validations"]["required"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A virtual environment with the wheel, built of what git would give to others.

    What the package requires comes from the Python that runs the tests.
    """
    folder = tmp_path_factory.mktemp("wheel")
    source, wheels, environment = folder / "source", folder / "wheels", folder / "venv"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    build = ("pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", wheels, source)
    subprocess.run([sys.executable, "-m", *map(str, build)], check=True)
    [wheel] = wheels.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", wheel], check=True)
    [packages] = environment.glob("lib/python3*/site-packages")
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return environment


@pytest.mark.slow
def test_a_wheel_brings_what_the_commands_need(installed, tmp_path):
    """Found without ROS and from any folder: code, weights, profiles, launch files."""
    code = (
        "import sosd_ros.share as s\n"
        f"print(s.__file__, s.share('weights', {DEFAULT_WEIGHTS!r}),\n"
        "      s.share('config', 'fastdds.xml'), s.share('launch', 'perception.launch.py'),\n"
        "      *sorted(s.share('demo').glob('*.jpg')), sep='\\n')"
    )
    python = installed / "bin" / "python"
    done = subprocess.run(
        [python, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    paths = [Path(line) for line in done.stdout.splitlines()]
    assert len(paths) == 4 + 12
    assert all(path.is_file() and path.is_relative_to(installed) for path in paths)


@pytest.mark.slow
def test_the_commands_of_a_wheel_start(installed, tmp_path):
    """By their own names, with help that shows an example."""
    command = [installed / "bin" / "sosd_doctor", "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "Example: python -m sosd_ros.doctor" in done.stdout
