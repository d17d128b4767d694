"""Pages that list what users can set, from the code that reads it: commands and configuration."""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from training import config, strategies

ROOT = Path(__file__).parents[1]
WRITTEN = "This page is written by `python docs/generate.py`."

# Commands


def command_lines() -> Iterator[argparse.ArgumentParser]:
    """The options of every command: those of the node's side first."""
    for top in ("sosd_ros", "training"):
        for path in sorted((ROOT / top).rglob("*.py")):
            if "\ndef command_line()" in path.read_text():
                parts = path.relative_to(ROOT).with_suffix("").parts
                yield importlib.import_module(".".join(parts)).command_line()


def commands_page() -> str:
    """What each command does and takes, in Markdown."""
    lines = [
        "# Commands",
        "",
        "All that can be run, with all options, as `--help` says. A command ends with status 0,",
        "with 1 and a sentence on what is wrong and what to do, or with 2 if an option is wrong.",
        "`python` is that of the virtual environment: `. .venv/bin/activate`.",
        WRITTEN,
    ]
    for parser in command_lines():
        lines += ["", f"## {parser.prog}", "", *_described(parser), *_options(parser)]
        for name, below in _parsers_below(parser):
            lines += ["", f"### {parser.prog} {name}", "", *_options(below)]
    return "\n".join(lines) + "\n"


def _described(parser: argparse.ArgumentParser) -> list[str]:
    description = inspect.cleandoc(parser.description or "")
    # A module's own text begins with its command, in the markup of docstrings.
    text = re.sub(r"^``python -m [\w.]+``: (\w)", lambda m: m[1].upper(), description)
    example = (parser.epilog or "").removeprefix("Example: ")
    return [text.replace("``", "`"), "", "```sh", example, "```", ""]


def _options(parser: argparse.ArgumentParser) -> list[str]:
    rows = [_row(action) for action in parser._actions if _is_shown(action)]
    return ["| option | |", "|---|---|", *rows] if rows else []


def _is_shown(action: argparse.Action) -> bool:
    is_option = not isinstance(action, argparse._HelpAction | argparse._SubParsersAction)
    return is_option and action.help != argparse.SUPPRESS


def _row(action: argparse.Action) -> str:
    name = ", ".join(action.option_strings)
    takes = action.metavar or (
        "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper()
    )
    value = "" if action.nargs == 0 else str(takes)
    help = (action.help or "") % vars(action)
    if action.dest == "device":  # whose default is another on every machine
        help = help.replace(f"here: {action.default}", "default: the GPU if there is one")
    must = "; required" if action.required and name else ""
    return f"| `{_escaped(f'{name} {value}'.strip())}` | {_escaped(help)}{must} |"


def _parsers_below(
    parser: argparse.ArgumentParser,
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


# Configuration


def configuration_page() -> str:
    """Every key of a training's configuration, in Markdown."""
    lines = [
        "# Configuration of a training",
        "",
        "The keys of the files in [config/training](../config/training), which `--set KEY=VALUE`",
        "overrides. A wrong value is refused with file and line. Files inherit: `base: OTHER.yaml`",
        f"has the settings of that one but for those that it states. {WRITTEN}",
    ]
    sections: dict[str, Any] = {
        name: field.annotation
        for name, field in config.Config.model_fields.items()
        if name != "strategy" and _is_section(field.annotation)
    }
    names = ", ".join(f"`{name}`" for name in strategies.NAMES)
    lines += ["", "## The run", "", _first_sentence(config.Config), ""]
    lines += _keys(config.Config, "", leave_out={*sections, "strategy"})
    for name, section in sections.items():
        lines += ["", f"## {name}", "", _first_sentence(section), ""]
        lines += _keys(section, f"{name}.")
        if section is config.Data:
            lines += ["", "### data.sources", "", _first_sentence(config.Source), ""]
            lines += _keys(config.Source, "")
    lines += [
        "",
        "## strategy",
        "",
        f"`strategy: NAME`, one of {names}, or with options",
        f"`strategy: {{name: NAME, OPTION: VALUE}}`. The default is `{strategies.DEFAULT}`.",
    ]
    for name in strategies.NAMES:
        options = strategies.kind(name).Options
        lines += ["", f"### {name}", ""]
        lines += _keys(options, "strategy.", leave_out={"name"}) or ["It has no options."]
    return "\n".join(lines) + "\n"


def _is_section(annotation: Any) -> bool:
    return inspect.isclass(annotation) and issubclass(annotation, BaseModel)


def _first_sentence(section: type[BaseModel]) -> str:
    return (inspect.getdoc(section) or "").split("\n\n")[0].replace("``", "`")


def _keys(section: type[BaseModel], prefix: str, leave_out: Set[str] = frozenset()) -> list[str]:
    schema, described = section.model_json_schema()["properties"], _attributes(section)
    defaults = section.model_construct().model_dump(mode="json")
    rows = [
        f"| `{prefix}{name}` | `{_value(defaults[name])}` | {_allowed(schema[name])} "
        f"| {_escaped(described[name])} |"
        for name in section.model_fields
        if name not in leave_out
    ]
    return ["| key | default | allowed | |", "|---|---|---|---|", *rows] if rows else []


def _attributes(section: type[BaseModel]) -> dict[str, str]:
    """What a class' docstring says of each attribute."""
    _, _, listed = (inspect.getdoc(section) or "").partition("Attributes:\n")
    described = {}
    for entry in re.split(r"\n(?=    \w)", listed.rstrip()):
        names, _, text = entry.strip().partition(": ")
        for name in filter(None, names.split(", ")):
            described[name] = " ".join(text.split()).replace("``", "`").removesuffix(".")
    return described


def _value(default: Any) -> str:
    if default is None:
        return "null"
    return str(default).lower() if isinstance(default, bool) else str(default).replace("'", "")


def _allowed(schema: dict[str, Any]) -> str:
    """What JSON schema says of a value, in words."""
    if "anyOf" in schema:
        words = [_allowed(part) for part in schema["anyOf"] if part.get("type") != "null"]
        return " or ".join(filter(None, words))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    limits = {"minimum": "from {}", "exclusiveMinimum": "above {}", "maximum": "to {}"}
    limits |= {"exclusiveMaximum": "below {}"}
    bounds = [words.format(f"{schema[key]:g}") for key, words in limits.items() if key in schema]
    kinds = {"integer": "whole number", "number": "number", "boolean": "`true`, `false`"}
    kinds |= {"array": "list", "string": "text", "object": "mapping"}
    kind = kinds.get(schema.get("type", ""), "")
    return " ".join(filter(None, [kind, *bounds]))
