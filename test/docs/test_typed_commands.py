"""Every command on a page of the documentation can be typed as it stands there.

Our own are parsed by their own parsers, and what they name is looked up: targets, parameters,
launch arguments, extras. Others are on a list that says why no test runs them. What the commands
do is tested where they are: test/infer, test/bag, test/demo, test/training and so on.
"""

import ast
import importlib.util
import re
import shlex
from itertools import dropwhile

import pytest
import yaml
from processes import ROOT

pytest.importorskip("pydantic", reason="no pydantic: install the extra 'train'")
pytest.importorskip("rclpy", reason="no ROS 2: install the extra 'ros', or source a ROS 2")

from docs import reference
from sosd_ros.ros.parameters import BY_NAME
from training import config

SETUP = (ROOT / "setup.py").read_text()
ABLATION = ROOT / "config" / "training" / "nyuv2_ablation.yaml"
MAKEFILE = (ROOT / "Makefile").read_text()
PARSERS = {parser.prog.split()[-1]: parser for parser in reference.command_lines()}
EXECUTABLES = dict(re.findall(r'"(\w+) = ([\w.]+?)(?:\.__main__)?:main"', SETUP))
# What begins like this is not ours; no test runs it, because
NOT_RUN = {
    "cd": "it is the shell's",
    "docker": "nobody has built the image yet, as its page says",
    "export": "it is the shell's",
    "git clone": "tests have no network",
    "name=$": "it is the shell's",
    "python -m colcon": "colcon is not among what `make venv` installs",
    "python -m venv": "`make` makes its virtual environments so",
    "pip freeze": "it only prints",
    "pip install -c": "test/test_package.py resolves it",
    "grep": "it filters what the command before it printed",
    "ray start": "test/test_many.py starts Ray's machines in Python",
    "ros2 bag record": "it needs a robot; test/training/recording writes its recordings",
    "ros2 lifecycle": "test/ros/test_node.py calls the same services",
    "ros2 run camera_calibration": "it needs a camera and a board",
    "ros2 topic": "it only looks; test/ros/test_topics.py subscribes",
    "rosdep": "tests have no network",
    "rviz2": "test/ros/test_viewers.py reads its configuration",
    "shift": "it is the shell's",
    "source": "it is the shell's",
    "touch": "it is the shell's",
    "for": "it is the shell's",
}


def pages():
    """The files of the site's navigation."""
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "site" / "hooks.py")
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    return hooks.pages(nav)


def commands(text):
    """The words of each command in the fenced blocks of a page."""
    for block in re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", text, re.M | re.S):
        block = re.sub(r"\$\([^)]*\)|<[^>\n]+>", "X", block.replace("\\\n", " "))
        block = re.sub(r'"\$@"', "", block)
        block = with_values(block)
        for line in block.splitlines():
            if re.match(r"[/\d,]+:? |\w+\(\)", line):  # what a command prints; a function's name
                continue
            yield from split(line)


def with_values(block):
    """A block whose variables have values: the first one of a loop's."""
    given = re.findall(r'^ *(\w+)="(.*)"$', block, re.M)
    given += re.findall(r"\bfor (\w+) in (\S+)\b", block)
    for name, value in given:
        block = re.sub(rf"\${name}\b|\${{{name}}}", value, block.replace(f'{name}="{value}"', ""))
    return block


def split(line):
    """The commands of a line, without what is around them: variables, redirections, loops."""
    tokens = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
    tokens.whitespace_split, tokens.commenters = True, "#"
    words = []
    for token in [*tokens, ";"]:
        if set(token) <= set(";&|"):
            while words and (words[0] in ("do", "then", "{") or re.match(r"[A-Z_]+=", words[0])):
                words.pop(0)
            if words and words[0] not in ("done", "}"):
                yield words[: words.index(">")] if ">" in words else words
            words = []
        else:
            words.append(token)


FOUND = [(page, words) for page in pages() for words in commands((ROOT / page).read_text())]


def check(words):
    """Fail if the words are no command that we know; nothing is run."""
    name = words[0].rpartition("/")[2].rstrip("3")
    words = [name, *words[1:]]
    line = " ".join(words)
    if name in ("srun", "time"):  # which run the rest
        check([*dropwhile(lambda word: word.startswith("-"), words[1:])])
    elif name in ("python", "torchrun") and "-m" in words and named(words) in PARSERS:
        check_options(named(words), words[words.index("-m") + 2 :])
    elif name == "row":  # a function around the training, on the page of results
        check_options("training.train", [str(ABLATION), "--out", "runs/row", *words[2:]])
    elif name == "make":
        for word in words[1:]:
            variable, is_set, _ = word.partition("=")
            shape = rf"^{variable} \?=" if is_set else rf"^{variable}:"
            assert re.search(shape, MAKEFILE, re.M), f"the Makefile has no {variable}"
    elif words[:3] == ["ros2", "launch", "sosd_ros"]:
        known = launch_arguments(words[3])
        for word in words[4:]:
            assert word.partition(":=")[0] in known, f"{words[3]} has no argument {word}"
    elif words[:3] == ["ros2", "param", "set"]:
        BY_NAME[words[4]].checked(yaml.safe_load(words[5]))
    elif words[:4] == ["ros2", "run", "sosd_ros", "perception_node"]:
        for assigned in re.findall(r"-p (\S+)", line):
            parameter, _, value = assigned.partition(":=")
            BY_NAME[parameter].checked(yaml.safe_load(value))
    elif words[:3] == ["ros2", "run", "sosd_ros"]:
        check_options(EXECUTABLES[words[3]], words[4:])
    elif extras := re.search(r"pip install .*?\[([\w,-]+)\]", line):
        for extra in extras[1].split(","):
            assert f'"{extra}": [' in SETUP, f"setup.py has no extra {extra}"
    else:
        assert any(line.startswith(start) for start in NOT_RUN), "no test runs it; say why"


def named(words):
    return words[words.index("-m") + 1]


def check_options(module, options):
    arguments = PARSERS[module].parse_args(options)
    if module == "training.train" and (ROOT / arguments.config).is_file():
        config.load(ROOT / arguments.config, arguments.set or [])


def launch_arguments(name):
    """Names that a launch file declares."""
    tree = ast.parse((ROOT / "launch" / name).read_text())
    declared = {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "DeclareLaunchArgument"
        and isinstance(node.args[0], ast.Constant)
    }
    tables = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "ARGUMENTS"
    ]
    return declared | {key.value for table in tables for key in table.keys}


@pytest.mark.parametrize(
    ("page", "words"), FOUND, ids=[f"{page}: {' '.join(words)[:70]}" for page, words in FOUND]
)
def test_a_command_can_be_typed_as_it_stands(page, words):
    check(words)


def test_commands_are_found():
    """On most pages, continued lines and parts of lines among them."""
    assert len({page for page, _ in FOUND}) > 15 and len(FOUND) > 80
    text = "```sh\ncd a && make demo \\\n    SOURCE=b # c\nX=1 python -m d > e\n```\n"
    assert [*commands(text)] == [["cd", "a"], ["make", "demo", "SOURCE=b"], ["python", "-m", "d"]]


def test_reasons_are_needed():
    """No command is excused that is on no page."""
    lines = [" ".join([words[0].rpartition("/")[2].rstrip("3"), *words[1:]]) for _, words in FOUND]
    for start in NOT_RUN:
        assert any(line.startswith(start) for line in lines), start


@pytest.mark.parametrize(
    "wrong",
    [
        "make nothing",
        "make demo NOTHING=1",
        "ros2 param set /sosd max_depth far",
        "ros2 launch sosd_ros perception.launch.py imago:=/x",
        "ros2 run sosd_ros sosd_measure --nothing",
        "python -m sosd_ros.infer --nothing",
        "python -m pip install -e .[nothing]",
        "sosd_nothing",
        "srun --nodes=2 sosd_nothing",
    ],
)
def test_what_cannot_be_typed_is_found(wrong):
    with pytest.raises((AssertionError, KeyError, ValueError, SystemExit)):
        check(shlex.split(wrong))
