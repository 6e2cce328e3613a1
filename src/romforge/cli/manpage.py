# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual pages romforge(1) and romspec(5), in man(7), from the parser and the spec's declarations."""

from __future__ import annotations

import argparse
import inspect
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields
from typing import Any

from romforge import __version__
from romforge.base.errors import EXIT_STATUSES
from romforge.base.text import join_words
from romforge.spec import json_schema, value_types
from romforge.spec.fields import ValueType
from romforge.spec.model import ORIGINS, SECTIONS, Header, Source, Spec, Toolchain, Verify

_DAY = "2026-11-23"  # when the text changed last; no build date, so that a page is reproducible
_COMMON = 3  # commands that an option is of, to be told once for all
_MARKS = str.maketrans(
    {"\\": "\\e", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti", "-": "\\-"}
)

_ABOUT = """\
makes boot ROMs of network cards for QEMU from one file, the spec: which cards, which code, which IDs, which size. It takes images
out of an iPXE source tree, out of a Debian package or out of other ROMs, chains them, and redoes only what changed. The spec is
explained in romspec(5). In a directory with a dodo.py, doit(1) does what romforge build does.
"""
SELECTIONS = {
    "all": "the ROMs of all targets",
    "target:NAME": "those of a target",
    "nic:NAME": "those of a network card, in the targets that are built by default",
    "rom:PATH": "one ROM, by its path below the output root; rom: may be left out",
    "make:SOURCE/PLATFORM": "all images of a platform of a source tree (build, stripped)",
    "source:NAME": "the ROM files of a package (build)",
    "verify:PATH:PROOF": "one proof of a ROM (verify)",
}
ENVIRONMENT = {
    "ROMSPEC": "the spec, where --spec does not name it",
    "ROMFORGE_OUT": "the output root, where --out does not name it",
    "IPXE_SRC": "the iPXE tree to build, instead of the first that the spec names",
    "SOURCE_DATE_EPOCH": "the time that a build writes into images",
    "DEB_BUILD_OPTIONS": "parallel=N: how many jobs to run at once, where --jobs does not say",
    "MAKEFLAGS": "the jobserver of a make above, whose jobs are then used",
    "NO_COLOR": "if set, there are no colours",
}
MANUAL_FILES = {
    "romspec.toml": "the spec",
    "romspec.lock": "beside the spec: what romforge lock wrote down",
    "out/TARGET.manifest.json": "of each ROM of a target its size, its images and where they came from",
    "out/.romforge": "what is kept between runs; it may be removed",
}
_EXAMPLES = {
    "romforge build nic:e1000": "builds the ROMs of one card.",
    "romforge plan --why": "tells what a build would do, and why.",
    "romforge inspect efi-e1000.rom": "shows what is in a ROM, and what is wrong with it.",
    "romforge compat old.deb out/usr/share/qemu": "tells whether guests migrate from a package's ROMs to those that were built.",
    "romforge man romspec | man -l -": "shows the manual of the spec.",
}
EXAMPLE = """\
spec = 1

[source.ipxe]
tree = "vendor/ipxe"

[platform.pcbios]
[platform.x86_64-efi]

[nic.e1000]
id = "8086:100e"
[nic.virtio]
id = "1af4:1000"

[bucket.efi]
size = "256KiB"

[target.qemu]
dir = "usr/share/qemu"
file = "efi-{nic}.rom"
images = ["pcbios", "x86_64-efi"]
bucket = "efi"
"""


def romforge(parser: argparse.ArgumentParser) -> str:
    """romforge(1), of the command line's parser."""
    commands = _commands(parser)
    count = Counter(_identity(action) for one in commands.values() for action in _optionals(one))
    common = {key for key, number in count.items() if number >= _COMMON}
    shown = {
        _identity(action): action
        for one in commands.values()
        for action in _optionals(one)
        if _identity(action) in common
    }
    parts = [_head("romforge", 1, (parser.description or "").rstrip("."))]
    parts += [
        ".SH SYNOPSIS",
        r".B romforge",
        r"\fICOMMAND\fR [\fIARGUMENT\fR...]",
        ".br",
        ".B romforge",
        r"\-\-help | \-\-version",
    ]
    parts += [".SH DESCRIPTION", ".B romforge", *_text(_ABOUT), ".SH COMMANDS"]
    for name, one in commands.items():
        parts += [
            f".SS {_escaped(name)}",
            *_synopsis(name, one),
            ".PP",
            *_text(one.description or ""),
        ]
        parts += [
            line
            for action in one._actions
            if _identity(action) not in common
            for line in _argument(action)
        ]
    parts += [
        ".SH OPTIONS",
        "Many commands take these:",
        *(line for action in shown.values() for line in _argument(action)),
    ]
    parts += [
        line
        for action in _optionals(parser)
        if _identity(action) not in common
        for line in _argument(action)
    ]
    parts += [
        ".SH SELECTIONS",
        *_table(SELECTIONS),
        ".SH EXIT STATUS",
        *_table({str(key): one for key, one in EXIT_STATUSES.items()}),
    ]
    parts += [
        ".SH ENVIRONMENT",
        *_table(ENVIRONMENT),
        ".SH FILES",
        *_table(MANUAL_FILES),
        ".SH EXAMPLES",
        *_table(_EXAMPLES),
    ]
    return "\n".join(
        [
            *parts,
            ".SH SEE ALSO",
            r".BR romspec (5),",
            r".BR doit (1),",
            r".BR qemu-system-x86_64 (1)",
            "",
        ]
    )


def romspec(_: argparse.ArgumentParser) -> str:
    """romspec(5)."""
    tables: dict[str, type] = {
        f"{name}.{'ARCH' if name == 'qemu' else 'NAME'}": cls for name, cls in SECTIONS.items()
    }
    tables |= {"config.NAME.HEADER": Header, "verify": Verify, "toolchain": Toolchain}
    order = [one.name for one in fields(Spec)]
    parts = [
        _head("romspec", 5, "the ROM files that romforge builds"),
        ".SH SYNOPSIS",
        ".I romspec.toml",
        ".SH DESCRIPTION",
    ]
    parts += _text(
        "A spec is a TOML file. Paths in it are relative to its directory, if nothing else is said. All that is wrong with it"
    )
    parts += _text(
        "is told by romforge check, each with its line. An editor that knows JSON Schema can use romspec.schema.json."
    )
    parts += _text("A NAME begins with a letter or digit, and goes on with those and _ . + or -.")
    parts += [".TP", r"\fBspec\fR (1, required)", "The version of this format."]
    parts += [".SH TABLES"]
    for name in sorted(tables, key=lambda name: order.index(name.split(".")[0])):
        parts += [f'.SS "{_escaped(f"[{name}]")}"', *_text(inspect.getdoc(tables[name]) or "")]
        parts += _text(describe_origins()) if tables[name] is Source else []
        parts += _keys(tables[name])
    parts += [".SH EXAMPLE", ".nf", *(_line(line) for line in EXAMPLE.splitlines()), ".fi"]
    return "\n".join([*parts, ".SH SEE ALSO", r".BR romforge (1)", ""])


PAGES = {"romforge": romforge, "romspec": romspec}


def _head(name: str, section: int, about: str) -> str:
    about = about[0].lower() + about[1:]
    return f'.TH {name.upper()} {section} {_DAY} "romforge {__version__}"\n.nh\n.ad l\n.SH NAME\n{name} \\- {_escaped(about)}'


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    return next(
        dict(action.choices)
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
    )


def _optionals(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if action.option_strings]


def _identity(action: argparse.Action) -> tuple[object, ...]:
    return (
        (*action.option_strings, action.help)
        if action.option_strings
        else (action.dest, id(action))
    )


def _synopsis(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    """How a command is written: its options, those that exclude each other together, then what it works on."""
    yield rf"\fBromforge {_escaped(name)}\fR"
    groups = [group._group_actions for group in parser._mutually_exclusive_groups]
    seen: list[argparse.Action] = []
    for action in sorted(parser._actions, key=lambda action: not action.option_strings):
        if action in seen or action.dest == "help":
            continue
        together = next((group for group in groups if action in group), [action])
        seen += together
        text = " | ".join(_usage(one) for one in together)
        yield text if action.required and action.nargs != "*" else f"[{text}]"


def _usage(action: argparse.Action) -> str:
    name = f"\\fB{_escaped(action.option_strings[-1])}\\fR" if action.option_strings else ""
    return " ".join(part for part in (name, _value(action)) if part) + (
        "..." if action.nargs in ("*", "+") else ""
    )


def _value(action: argparse.Action) -> str:
    """What an argument takes, in italics; its choices as they are written."""
    if action.nargs == 0:
        return ""
    if action.choices and not action.metavar:
        return "|".join(rf"\fB{_escaped(str(choice))}\fR" for choice in action.choices)
    return rf"\fI{_escaped(str(action.metavar or action.dest.upper()))}\fR"


def _argument(action: argparse.Action) -> list[str]:
    names = ", ".join(rf"\fB{_escaped(name)}\fR" for name in action.option_strings)
    return [
        ".TP",
        " ".join(part for part in (names, _value(action)) if part),
        *_text(as_sentence(action.help or "")),
    ]


def _keys(cls: type, above: str = "") -> Iterator[str]:
    """The keys of a table, with those of the tables in it."""
    for one in fields(cls):
        kind: ValueType = one.metadata["kind"]
        kind_type = describe_type(kind.schema)
        yield ".TP"
        yield rf"\fB{_escaped(above + one.name)}\fR ({_escaped(kind_type)}{_default(one, kind)})"
        yield from _text(as_sentence(one.metadata["doc"]))
        if (
            kind.hint and kind not in (value_types.TEXT, value_types.FLAG) and '"' not in kind_type
        ):  # else it says the type again
            yield from _text(as_sentence(kind.hint))
        if kind.table:
            yield from _keys(kind.table, f"{above}{one.name}.")


def describe_type(rules: Mapping[str, Any]) -> str:
    """What a JSON Schema asks for, in a word or two."""
    if "anyOf" in rules:
        return " or ".join(dict.fromkeys(describe_type(one) for one in rules["anyOf"]))
    if "const" in rules or "enum" in rules:
        values = [rules["const"]] if "const" in rules else rules["enum"]
        return (
            "number"
            if isinstance(values[0], int)
            else join_words(map(json.dumps, values)).replace(" and ", " or ")
        )
    if rules.get("type") == "array":
        items = describe_type(rules["items"])
        return f"list of {items}s" if " " not in items and '"' not in items else f"list of {items}"
    return {"string": "text", "integer": "number", "boolean": "true or false"}.get(
        rules.get("type", ""), "table"
    )


def _default(one: Field[Any], kind: ValueType) -> str:
    if one.default is MISSING:
        return ", required"
    written = json_schema.written(
        one.default, {"type": "object"} if kind.table else dict(kind.schema)
    )
    return "" if written is None or kind.table else f", default {_escaped(json.dumps(written))}"


def describe_origins() -> str:
    told = (f"{name}, without {join_words(without)}" for name, without in ORIGINS.items())
    return f"A source has exactly one of {'; '.join(told)}."


def _table(rows: Mapping[str, str]) -> Iterator[str]:
    for name, about in rows.items():
        yield from (".TP", rf"\fB{_escaped(name)}\fR", *_text(as_sentence(about)))


def as_sentence(text: str) -> str:
    """A phrase as a sentence, unless it begins with what is typed as it is."""
    begin = text[0] if re.match(r"[\w.]*[A-Z:=]", text) else text[0].upper()
    return begin + text[1:].rstrip(".") + "."


def _text(text: str) -> Iterator[str]:
    """Running text, a sentence a line as man(7) asks for."""
    for sentence in re.split(r"(?<=[.;]) +(?=[A-Z])", " ".join(text.split())):
        yield _line(sentence)


def _line(text: str) -> str:
    """A line of text that is no request."""
    bold = re.sub(r"\\\(ga(.+?)\\\(ga", r"\\fB\1\\fR", _escaped(text))
    return re.sub(r"^\.", r"\\&.", bold)


def _escaped(text: str) -> str:
    """Text without what roff would read; each hyphen as the one that is typed."""
    return "".join(
        one if ord(one) < 128 else f"\\[u{ord(one):04X}]" for one in text.translate(_MARKS)
    )
