# SPDX-License-Identifier: GPL-2.0-or-later
"""The references of the documentation in Markdown, from the parser and the spec's declarations.

``python -m romforge.cli.reference spec`` prints docs/spec-reference.md, and ``… commands`` prints
docs/command-reference.md. The manual pages are made from the same declarations.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping

from romforge.cli import declarations
from romforge.cli.declarations import Argument, Command, SpecKey, as_sentence

_GENERATED = "<!-- Made by `python -m romforge.cli.reference {}`: a change made here is lost. -->\n"
_SPEC_INTRODUCTION = """\
# Spec reference

A spec is a TOML file. Its usual name is `romspec.toml`. Paths in it are relative to its directory,
unless a key says otherwise. `romforge check` shows every problem of a spec, each with its line.

A NAME begins with a letter or digit, and continues with letters, digits, `_`, `.`, `+` and `-`.
"""
_COMMAND_INTRODUCTION = """\
# Command reference

`doit`, in a directory with romforge's `dodo.py`, does what `romforge build` does.
See [Building](building.md).

Each command takes `--help`. An option that may be given more than once says so.
"""


def spec_reference() -> str:
    """All tables and keys of a spec."""
    lines = [_GENERATED.format("spec"), _SPEC_INTRODUCTION]
    lines += _header("key", "value", "meaning")
    lines += ["| `spec` | 1, required | The version of this format. |", ""]
    for table in declarations.list_tables():
        lines += [f"## `[{table.name}]`", ""]
        for paragraph in table.paragraphs:
            lines += [_text(paragraph), ""]
        lines += _header("key", "value", "meaning")
        lines += map(_key_row, table.keys)
        lines.append("")
    lines += ["## Example", "", "```toml", declarations.SPEC_EXAMPLE.rstrip(), "```"]
    return "\n".join(lines) + "\n"


def command_reference(parser: argparse.ArgumentParser) -> str:
    """All commands and options of the command line's parser."""
    lines = [_GENERATED.format("commands"), _COMMAND_INTRODUCTION]
    for command in declarations.list_commands(parser):
        lines += _command_section(command)
    lines += _list_section("Selections", "selection", declarations.SELECTIONS)
    lines += _list_section("Exit status", "status", declarations.exit_statuses())
    lines += _list_section("Environment", "variable", declarations.ENVIRONMENT)
    lines += _list_section("Files", "file", declarations.FILES)
    return "\n".join(lines[:-1]) + "\n"


def _key_row(key: SpecKey) -> str:
    value = _cell(key.value)
    if key.required:
        value += ", required"
    if key.default is not None:
        value += f", default `{key.default}`"
    return f"| `{key.name}` | {value} | {_cell(' '.join(key.meaning))} |"


def _command_section(command: Command) -> list[str]:
    synopsis = " ".join(["romforge", command.name, *command.synopsis(_usage)])
    lines = [f"## `romforge {command.name}`", "", _text(command.description), ""]
    lines += ["```text", synopsis, "```", ""]
    lines += _header("argument", "meaning")
    for argument in command.arguments:
        if not argument.is_help:
            lines.append(_argument_row(argument))
    lines.append("")
    return lines


def _usage(argument: Argument) -> str:
    """An argument in a synopsis, such as ``--jobs N`` or ``IMAGE...``."""
    words = [*argument.names[-1:], _value(argument)]
    return " ".join(filter(None, words)) + ("..." if argument.repeated else "")


def _value(argument: Argument) -> str:
    return "|".join(argument.choices) or argument.metavar or ""


def _argument_row(argument: Argument) -> str:
    names = ", ".join(argument.names)
    text = f"{names} {_value(argument)}".strip().replace("|", "\\|")
    return f"| `{text}` | {_cell(as_sentence(argument.help))} |"


def _list_section(title: str, first: str, rows: Mapping[str, str]) -> list[str]:
    """A section with a table of names and what they mean."""
    lines = [f"## {title}", "", *_header(first, "meaning")]
    for name, text in rows.items():
        lines.append(f"| `{name}` | {_cell(as_sentence(text))} |")
    lines.append("")
    return lines


def _header(*titles: str) -> list[str]:
    """The first two lines of a table."""
    return [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]


def _cell(text: str) -> str:
    """Text in a cell of a table."""
    return _text(text).replace("|", "\\|")


def _text(text: str) -> str:
    """Running text in one line, without what Markdown would read as emphasis, link or tag."""
    escaped = " ".join(text.split()).replace("*", "\\*").replace("<", "&lt;")
    return escaped.replace("[", "\\[").replace("]", "\\]")


def write_reference(arguments: list[str]) -> int:
    """Prints the page that is named; returns the exit status."""
    from romforge.cli.command_line import make_parser

    pages: dict[str, Callable[[], str]] = {
        "spec": spec_reference,
        "commands": lambda: command_reference(make_parser()),
    }
    if len(arguments) != 1 or arguments[0] not in pages:
        print(f"usage: python -m romforge.cli.reference {'|'.join(pages)}", file=sys.stderr)
        return 2
    print(pages[arguments[0]](), end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(write_reference(sys.argv[1:]))
