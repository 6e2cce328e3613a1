# SPDX-License-Identifier: GPL-2.0-or-later
"""The references of the documentation in Markdown, from the parser and the spec's declarations.

``python -m romforge.cli.reference spec`` prints docs/spec-reference.md, ``… commands`` prints
docs/command-reference.md. The manual pages (``manpage``) are made from the same declarations.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, fields
from typing import Any

from romforge.base.errors import EXIT_STATUSES
from romforge.cli import manpage
from romforge.spec import json_schema, value_types
from romforge.spec.fields import ValueType
from romforge.spec.model import SECTIONS, Header, Source, Spec, Toolchain, Verify

_GENERATED = "<!-- Made by `python -m romforge.cli.reference {}`: a change made here is lost. -->\n"
_SPEC_INTRODUCTION = """\
# Spec reference

A spec is a TOML file. Its usual name is `romspec.toml`. Paths in it are relative to its directory,
unless a key says otherwise. `romforge check` shows every problem of a spec, each with its line.

A NAME begins with a letter or digit, and goes on with letters, digits, `_`, `.`, `+` and `-`.
"""
_COMMAND_INTRODUCTION = """\
# Command reference

`doit`, in a directory with romforge's `dodo.py`, does what `romforge build` does.
See [Building](building.md).
"""


def spec_reference() -> str:
    """All tables and keys of a spec."""
    lines = [_GENERATED.format("spec"), _SPEC_INTRODUCTION]
    lines += ["| key | value | meaning |", "|---|---|---|"]
    lines += ["| `spec` | 1, required | The version of this format. |", ""]
    for name, table in _tables().items():
        lines += [f"## `[{name}]`", "", _text(inspect.getdoc(table) or ""), ""]
        if table is Source:
            lines += [_text(manpage.describe_origins()), ""]
        lines += ["| key | value | meaning |", "|---|---|---|"]
        lines += [*_key_rows(table), ""]
    lines += ["## Example", "", "```toml", manpage.EXAMPLE.rstrip(), "```"]
    return "\n".join(lines) + "\n"


def command_reference(parser: argparse.ArgumentParser) -> str:
    """All commands and options of the command line's parser."""
    lines = [_GENERATED.format("commands"), _COMMAND_INTRODUCTION]
    lines += ["Each command takes `--help`.", ""]
    for name, command in _commands(parser).items():
        lines += [f"## `romforge {name}`", "", _text(command.description or ""), ""]
        lines += ["```text", _synopsis(command), "```", ""]
        arguments = [action for action in command._actions if action.dest != "help"]
        if arguments:
            lines += ["| argument | meaning |", "|---|---|"]
            lines += [_argument_row(action) for action in arguments]
            lines.append("")
    for title, first, rows in (
        ("Selections", "selection", manpage.SELECTIONS),
        ("Exit status", "status", {str(key): text for key, text in EXIT_STATUSES.items()}),
        ("Environment", "variable", manpage.ENVIRONMENT),
        ("Files", "file", manpage.MANUAL_FILES),
    ):
        lines += [f"## {title}", "", f"| {first} | meaning |", "|---|---|"]
        for name, text in rows.items():
            lines.append(f"| `{name}` | {_cell(manpage.as_sentence(text))} |")
        lines.append("")
    return "\n".join(lines[:-1]) + "\n"


def _tables() -> dict[str, type]:
    """The classes of a spec's tables by what stands in their brackets, in the spec's order."""
    tables: dict[str, type] = {}
    for name, table in SECTIONS.items():
        tables[f"{name}.ARCH" if name == "qemu" else f"{name}.NAME"] = table
    tables |= {"config.NAME.HEADER": Header, "verify": Verify, "toolchain": Toolchain}
    order = [field.name for field in fields(Spec)]
    return dict(sorted(tables.items(), key=lambda item: order.index(item[0].split(".")[0])))


def _key_rows(table: type, above: str = "") -> Iterator[str]:
    """A row for each key of a table, with those of the tables in it."""
    for field in fields(table):
        kind: ValueType = field.metadata["kind"]
        value = manpage.describe_type(kind.schema)
        meaning = manpage.as_sentence(field.metadata["doc"])
        if _says_more(kind, value):
            meaning += " " + manpage.as_sentence(kind.hint)
        takes = _cell(value) + _default(field, kind)
        yield f"| `{above}{field.name}` | {takes} | {_cell(meaning)} |"
        if kind.table:
            yield from _key_rows(kind.table, f"{above}{field.name}.")


def _says_more(kind: ValueType, value: str) -> bool:
    """Whether the hint of a kind says more than what the key takes."""
    return bool(kind.hint) and kind not in (value_types.TEXT, value_types.FLAG) and '"' not in value


def _default(field: Field[Any], kind: ValueType) -> str:
    if field.default is MISSING:
        return ", required"
    rules = {"type": "object"} if kind.table else dict(kind.schema)
    written = json_schema.written(field.default, rules)
    if written is None or kind.table:
        return ""
    return f", default `{json.dumps(written)}`"


def _commands(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return action.choices
    return {}


def _synopsis(command: argparse.ArgumentParser) -> str:
    """How a command is written: options first, those that exclude each other together."""
    groups = [group._group_actions for group in command._mutually_exclusive_groups]
    words = [command.prog]
    shown: list[argparse.Action] = []
    for action in sorted(command._actions, key=lambda action: not action.option_strings):
        if action in shown or action.dest == "help":
            continue
        together = next((group for group in groups if action in group), [action])
        shown += together
        text = " | ".join(_usage(alternative) for alternative in together)
        words.append(text if action.required and action.nargs != "*" else f"[{text}]")
    return " ".join(words)


def _usage(action: argparse.Action) -> str:
    words = [action.option_strings[-1]] if action.option_strings else []
    words += [_value(action)] if _value(action) else []
    return " ".join(words) + ("..." if action.nargs in ("*", "+") else "")


def _value(action: argparse.Action) -> str:
    """What an argument takes: its choices as they are written, or a word for it."""
    if action.nargs == 0:
        return ""
    if action.choices and not action.metavar:
        return "|".join(str(choice) for choice in action.choices)
    return str(action.metavar or action.dest.upper())


def _argument_row(action: argparse.Action) -> str:
    names = ", ".join(action.option_strings)
    text = f"{names} {_value(action)}".strip().replace("|", "\\|")
    return f"| `{text}` | {_cell(manpage.as_sentence(action.help or ''))} |"


def _cell(text: str) -> str:
    """Text in a cell of a table."""
    return _text(text).replace("|", "\\|")


def _text(text: str) -> str:
    """Running text in one line, without what Markdown would read as emphasis, link or tag."""
    escaped = " ".join(text.split()).replace("*", "\\*").replace("<", "&lt;")
    return escaped.replace("[", "\\[").replace("]", "\\]")


def write_reference(arguments: list[str]) -> int:
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
