# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual pages romforge(1) and romspec(5), from the parser and the spec's declarations.

They are written in the macros of man(7). The references in Markdown are made from the same
declarations.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from romforge import __version__
from romforge.cli import declarations
from romforge.cli.declarations import Argument, Command, SpecKey, as_sentence

# When the text changed last. A page must be reproducible, so this is not the date of a build.
_DATE = "2026-11-26"
_COMMON = 3  # an option that as many commands have is described once for all of them
_ESCAPES = str.maketrans(
    {"\\": "\\e", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti", "-": "\\-"}
)

_DESCRIPTION = """\
builds the boot ROMs of QEMU's network cards from one TOML file, the spec. The spec names the cards,
their IDs, the code in each ROM and its size. Images of code come from an iPXE source tree, from a
Debian package or from other ROMs. They are chained into ROMs. A build repeats only the steps whose
inputs changed. The spec is described in romspec(5). In a directory with romforge's dodo.py, doit(1)
does what romforge build does.
"""
_EXAMPLES = {
    "romforge build nic:e1000": "builds the ROMs of one card",
    "romforge plan --why": "shows what a build would do, and why",
    "romforge inspect efi-e1000.rom": "shows the images and the faults of a ROM",
    "romforge compat old.deb out/usr/share/qemu": (
        "shows whether guests can migrate from the ROMs of a package to the built ones"
    ),
    "romforge man romspec | man -l -": "shows the manual page of the spec",
}
_SPEC_DESCRIPTION = """\
A spec is a TOML file. Paths in it are relative to its directory, unless a key says otherwise.
The command romforge check shows every problem of a spec, each with its line. Editors that support
JSON Schema can use romspec.schema.json. A NAME begins with a letter or digit, and continues with
letters, digits and _ . + or -.
"""


def romforge(parser: argparse.ArgumentParser) -> str:
    """romforge(1), of the command line's parser."""
    commands = declarations.list_commands(parser)
    common = _common_options(commands)
    title = _lower_first((parser.description or "").rstrip("."))
    lines = list(_head("romforge", 1, title))
    lines += [".SH SYNOPSIS", ".B romforge", r"\fICOMMAND\fR [\fIARGUMENT\fR...]"]
    lines += [".br", ".B romforge", r"\-\-help | \-\-version"]
    lines += [".SH DESCRIPTION", ".B romforge", *_text(_DESCRIPTION)]
    lines.append(".SH COMMANDS")
    for command in commands:
        lines += _command_section(command, common)
    lines += [".SH OPTIONS", "An option that may be given more than once says so."]
    lines.append("Many commands take these:")
    others = [option for option in declarations.list_options(parser) if option not in common]
    for option in (*common, *others):
        lines += _argument_item(option)
    lines += [".SH SELECTIONS", *_items(declarations.SELECTIONS)]
    lines += [".SH EXIT STATUS", *_items(declarations.exit_statuses())]
    lines += [".SH ENVIRONMENT", *_items(declarations.ENVIRONMENT)]
    lines += [".SH FILES", *_items(declarations.FILES)]
    lines += [".SH EXAMPLES", *_items(_EXAMPLES)]
    lines += [".SH SEE ALSO", ".BR romspec (5),", ".BR doit (1),", ".BR qemu-system-x86_64 (1)"]
    return "\n".join(lines) + "\n"


def romspec(_: argparse.ArgumentParser) -> str:
    """romspec(5)."""
    lines = list(_head("romspec", 5, "the ROM files that romforge builds"))
    lines += [".SH SYNOPSIS", ".I romspec.toml"]
    lines += [".SH DESCRIPTION", *_text(_SPEC_DESCRIPTION)]
    lines += [".TP", r"\fBspec\fR (1, required)", "The version of this format."]
    lines.append(".SH TABLES")
    for table in declarations.list_tables():
        lines.append(f'.SS "{_escape(f"[{table.name}]")}"')
        for paragraph in table.paragraphs:
            lines += _text(paragraph)
        for key in table.keys:
            lines += _key_item(key)
    lines += [".SH EXAMPLE", ".nf"]
    lines += map(_line, declarations.SPEC_EXAMPLE.splitlines())
    lines += [".fi", ".SH SEE ALSO", ".BR romforge (1)"]
    return "\n".join(lines) + "\n"


PAGES = {"romforge": romforge, "romspec": romspec}


def _head(name: str, section: int, title: str) -> Iterator[str]:
    yield f'.TH {name.upper()} {section} {_DATE} "romforge {__version__}"'
    yield ".nh"
    yield ".ad l"
    yield ".SH NAME"
    yield f"{name} \\- {_escape(title)}"


def _lower_first(text: str) -> str:
    return text[0].lower() + text[1:]


def _common_options(commands: Sequence[Command]) -> list[Argument]:
    """The options that many commands have, in the order in which they first occur."""
    counts: Counter[Argument] = Counter()
    for command in commands:
        for argument in command.arguments:
            if argument.is_option:
                counts[argument] += 1
    return [option for option, count in counts.items() if count >= _COMMON]


def _command_section(command: Command, common: Sequence[Argument]) -> Iterator[str]:
    yield f".SS {_escape(command.name)}"
    yield rf"\fBromforge {_escape(command.name)}\fR"
    yield from command.synopsis(_usage)
    yield ".PP"
    yield from _text(command.description)
    for argument in command.arguments:
        if argument not in common:
            yield from _argument_item(argument)


def _usage(argument: Argument) -> str:
    """An argument in a synopsis, such as ``--jobs N`` or ``IMAGE...``."""
    words = [*map(_bold, argument.names[-1:]), _value(argument)]
    return " ".join(filter(None, words)) + ("..." if argument.repeated else "")


def _value(argument: Argument) -> str:
    """What an argument takes, in italics; its choices in bold, as they are typed."""
    if argument.metavar:
        return rf"\fI{_escape(argument.metavar)}\fR"
    return "|".join(map(_bold, argument.choices))


def _argument_item(argument: Argument) -> Iterator[str]:
    names = ", ".join(map(_bold, argument.names))
    yield ".TP"
    yield " ".join(filter(None, [names, _value(argument)]))
    yield from _text(as_sentence(argument.help))


def _key_item(key: SpecKey) -> Iterator[str]:
    value = key.value
    if key.required:
        value += ", required"
    if key.default is not None:
        value += f", default {key.default}"
    yield ".TP"
    yield f"{_bold(key.name)} ({_escape(value)})"
    for sentence in key.meaning:
        yield from _text(sentence)


def _items(rows: Mapping[str, str]) -> Iterator[str]:
    """A list of names and what they mean."""
    for name, text in rows.items():
        yield ".TP"
        yield _bold(name)
        yield from _text(as_sentence(text))


def _text(text: str) -> Iterator[str]:
    """Running text, each sentence on a line of its own, as man(7) recommends."""
    for sentence in re.split(r"(?<=[.;]) +(?=[A-Z])", " ".join(text.split())):
        yield _line(sentence)


def _line(text: str) -> str:
    """A line of text that roff does not take for a request; what is in backticks is bold."""
    bold = re.sub(r"\\\(ga(.+?)\\\(ga", r"\\fB\1\\fR", _escape(text))
    return re.sub(r"^\.", r"\\&.", bold)


def _bold(text: str) -> str:
    return rf"\fB{_escape(text)}\fR"


def _escape(text: str) -> str:
    """Text without what roff would interpret; each hyphen is the one that is typed."""
    characters = []
    for character in text.translate(_ESCAPES):
        is_ascii = ord(character) < 128
        characters.append(character if is_ascii else f"\\[u{ord(character):04X}]")
    return "".join(characters)
