"""Write what follows from the code: ``python docs/generate.py``.

``config/perception.yaml`` and ``docs/parameters.md`` come from ``sosd_ros/ros/parameters.py``,
``docs/commands.md`` from the commands' own options, ``docs/configuration.md`` from
``training/config.py``, ``docs/topics.md`` from the topics that the node has,
``docs/architecture.svg`` from the imports, and the drawings in ``docs/pictures`` from
``docs/figures.py``. A test holds the files to what this writes.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from docs.drawing import drawing  # noqa: E402
from docs.figures import FIGURES, svg  # noqa: E402
from docs.reference import commands_page, configuration_page  # noqa: E402
from docs.topics import topics_page  # noqa: E402
from sosd_ros.ros.parameters import PARAMETERS, Change, Parameter  # noqa: E402

# When a parameter may be changed: a heading, and what it means.
SECTIONS = {
    Change.UNCONFIGURED: (
        "Read at configure",
        "To change one, clean up, set it, and configure again; or start the node again.",
    ),
    Change.RUNNING: (
        "Read all the time",
        "They may be changed while the node runs: `ros2 param set /sosd max_depth 5.0`.",
    ),
    Change.NEVER: ("Read at start", "To change one, start the node again."),
}


def files() -> dict[Path, str]:
    """The content of each file."""
    return {
        ROOT / "config" / "perception.yaml": parameters_file(),
        ROOT / "docs" / "parameters.md": parameters_page(),
        ROOT / "docs" / "topics.md": topics_page(),
        ROOT / "docs" / "architecture.svg": drawing() + "\n",
        ROOT / "docs" / "commands.md": commands_page(),
        ROOT / "docs" / "configuration.md": configuration_page(),
        **{
            ROOT / "docs" / "pictures" / f"{name}.svg": svg(figure) + "\n"
            for name, figure in FIGURES.items()
        },
    }


def parameters_file() -> str:
    """All parameters at their defaults, as a file for ``--params-file``."""
    lines = [
        "# All parameters of the perception node, at their defaults.",
        "# Written by docs/generate.py from sosd_ros/ros/parameters.py.",
        "/**:",
        "  ros__parameters:",
    ]
    for change, (title, meaning) in SECTIONS.items():
        lines += [f"    # {title}. {meaning}", ""]
        chosen = [p for p in PARAMETERS if p.change is change]
        for group, members in groupby(chosen, lambda p: p.name.rpartition(".")[0]):
            if group:
                lines += [f"    {group}:"]
            for parameter in members:
                lines += _yaml(parameter, "      " if group else "    ")
            lines += [""] * bool(group)
        lines += [""] * bool(lines[-1])
    return "\n".join(lines).rstrip() + "\n"


def _yaml(parameter: Parameter, indent: str) -> Iterator[str]:
    allowed = f" [{parameter.constraints}]" if parameter.constraints else ""
    words = f"{parameter.description}{allowed}"
    for line in textwrap.wrap(words, 99 - len(indent) - 2, break_on_hyphens=False):
        yield f"{indent}# {line}"
    yield f"{indent}{parameter.name.rpartition('.')[2]}: {_default(parameter)}"


def parameters_page() -> str:
    """The reference of all parameters, in Markdown."""
    lines = [
        "# Parameters",
        "",
        "What you can set on the perception node. Copy what you want to change from",
        "[config/perception.yaml](../config/perception.yaml) into a file of your own:",
        "",
        "```sh",
        "ros2 launch sosd_ros perception.launch.py params_file:=/path/to/mine.yaml",
        "```",
        "",
        "A wrong value is refused in a sentence that says what was expected. `ros2 param describe`",
        "has the same text. This page is written by `python docs/generate.py`.",
    ]
    for change, (title, meaning) in SECTIONS.items():
        lines += ["", f"## {title}", "", meaning, ""]
        lines += ["| parameter | default | allowed | |", "|---|---|---|---|"]
        for parameter in PARAMETERS:
            if parameter.change is change:
                allowed = parameter.constraints.removeprefix("one of ")
                lines.append(
                    f"| `{parameter.name}` | `{_default(parameter)}` | {allowed} "
                    f"| {parameter.description} |"
                )
    return "\n".join(lines) + "\n"


def _default(parameter: Parameter) -> str:
    default = parameter.default
    value = list(default) if isinstance(default, tuple) else default
    text = yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()
    return text.replace("''", '""')


def main() -> None:
    for path, content in files().items():
        if not path.exists() or path.read_text() != content:
            path.write_text(content)
            print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
