# SPDX-License-Identifier: GPL-2.0-or-later
"""romforge(1) and romspec(5), made from the parser of the command line and the declarations that specs are read by.

The macros are those of man(7). A page bears no date: the same source gives the same page.
"""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, Field, fields
from typing import Any

from romforge import RELEASED, __version__
from romforge.errors import listing
from romforge.keys import Kind, show
from romforge.spec import ORIGINS, SECTIONS, Header, Spec, Toolchain, Verify

_STATUSES = {
    "0": "All is fine.",
    "1": "What was checked is wrong, or the build failed.",
    "2": "The command line or the spec is wrong.",
    "130": "Interrupted.",
}
_ENVIRONMENT = {
    "ROMSPEC": "The spec, where --spec names none; default romspec.toml.",
    "ROMFORGE_OUT": "The output root, where --out names none; default out.",
    "IPXE_SRC": "The iPXE source tree to build, in the place of the first that the spec names.",
    "SOURCE_DATE_EPOCH": "The time that images are stamped with, in seconds since 1970; with it a build is reproducible.",
    "DEB_BUILD_OPTIONS": "Its parallel=N is the number of jobs, where --jobs names none.",
    "NO_COLOR": "Where it is set, nothing is coloured.",
}
_FILES = {
    "romspec.toml": "The spec; see romspec(5).",
    "romspec.lock": "What was built last, for review; romforge lock writes it.",
    "out": "The output root. TARGET.manifest.json there tells what each ROM of a target holds, and .romforge is for romforge alone.",
}
_INTRODUCTION = (
    "romforge builds the network-boot option ROMs of QEMU's NICs, from an iPXE source tree or from existing ROMs, as romspec.toml says.",
    "In a directory with a dodo.py, doit does the same as romforge build, and doit verify as romforge verify.",
)
_EXAMPLE = """\
spec = 1

[source.ipxe]
tree = "vendor/ipxe"

[platform.pcbios]
[platform.x86_64-efi]

[nic.e1000]
id = "8086:100e"

[bucket.efi]
size = "256KiB"

[target.efi]
source = "ipxe"
dir = "usr/share/qemu"
file = "efi-{nic}.rom"
images = ["pcbios", "x86_64-efi"]
bucket = "efi"
"""


def commands(parser: argparse.ArgumentParser) -> str:
    """romforge(1)."""
    (found,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    lines = [*_head("romforge", 1, "builds QEMU's network-boot option ROMs"), ".SH SYNOPSIS"]
    lines += [".B romforge", r".I COMMAND", r"[\fIARGUMENT\fR \&...]", ".SH DESCRIPTION"]
    lines += _paragraphs(_INTRODUCTION)
    lines.append(".SH COMMANDS")
    for name, command in found.choices.items():
        lines += [f".SS {_text(name)}", *_command(command)]
    lines += [".SH OPTIONS", *_arguments(action for action in parser._actions if action is not found)]
    for title, entries in (("EXIT STATUS", _STATUSES), ("ENVIRONMENT", _ENVIRONMENT), ("FILES", _FILES)):
        lines += [f".SH {title}", *(line for name, text in entries.items() for line in _entry(rf"\fB{_text(name)}\fR", text))]
    return _page(lines, "romspec(5), doit(1)")


def spec() -> str:
    """romspec(5)."""
    lines = [*_head("romspec", 5, "what romforge builds"), ".SH DESCRIPTION"]
    lines += _paragraphs(
        (
            "romspec.toml is a file in TOML 1.0. Its first key is spec = 1, the version of the format. Its tables bear names of one's own, "
            "by which others refer to them. Paths are relative to the directory of the spec, where nothing else is said.",
            "Nothing unknown is ignored: romforge check tells all that is wrong, each with its line.",
        )
    )
    tables: dict[str, type] = {"source": SECTIONS["source"], "config": Header, **SECTIONS, "verify": Verify, "toolchain": Toolchain}
    for one in fields(Spec):
        if cls := tables.get(one.name):
            lines += [f".SH {_text(_heading(one.name))}", *_table(cls)]
    lines += [".SH EXAMPLE", ".nf", *(_text(line) or r"\&" for line in _EXAMPLE.splitlines()), ".fi"]
    return _page(lines, "romforge(1)")


def _heading(section: str) -> str:
    special = {"config": "[config.NAME.HEADER]", "qemu": "[qemu.ARCH]", "verify": "[verify]", "toolchain": "[toolchain]"}
    return special.get(section, f"[{section}.NAME]")


def _table(cls: type, prefix: str = "") -> Iterator[str]:
    """The keys of a table, those of tables in it included."""
    if not prefix:
        yield from _paragraphs([inspect.getdoc(cls) or ""])
        if cls is SECTIONS["source"]:
            yield from _lines(f"It must have exactly one of {listing(ORIGINS)}.")
    for one in fields(cls):
        kind: Kind = one.metadata["kind"]
        yield from _entry(rf"\fB{_text(prefix + one.name)}\fR", *_about(one, kind))
        if kind.table:
            yield from _table(kind.table, f"{prefix}{one.name}.")


def _about(one: Field[Any], kind: Kind) -> Iterator[str]:
    """What a key is, what is right there, and its default."""
    doc = one.metadata["doc"]
    yield _sentence(doc)
    if kind.right:
        yield _sentence(kind.right)
    if one.default is MISSING:
        yield "Must be given."
    elif one.default not in (None, ()):
        default = one.default
        written = f"[{', '.join(map(show, default))}]" if isinstance(default, tuple) else show(default)
        yield f"Default: {written}."


def _command(command: argparse.ArgumentParser) -> Iterator[str]:
    """How a command is called, what it does, and its arguments."""
    usage = " ".join(command.format_usage().removeprefix("usage: ").split())
    yield from (rf"\fB{_text(usage)}\fR", ".PP", _text(command.description or ""))
    yield from _arguments(command._actions)


def _arguments(actions: Iterable[argparse.Action]) -> Iterator[str]:
    for action in actions:
        if action.dest == "help" or action.help == argparse.SUPPRESS:
            continue
        value = action.metavar or (action.dest.upper() if action.nargs != 0 and action.option_strings and not action.choices else "")
        choices = "|".join(map(str, action.choices)) if action.choices else ""
        given = _text(str(choices or value))
        names = ", ".join(rf"\fB{_text(one)}\fR" for one in action.option_strings)
        title = " ".join(filter(None, [names, rf"\fI{given}\fR" if given else ""])) or rf"\fI{_text(action.dest)}\fR"
        text = (action.help or "").replace("%(prog)s", "romforge")
        yield from _entry(title, _sentence(text) if text else "")


def _sentence(text: str) -> str:
    """Text as a sentence; its first word stays as it is where it is more than a word."""
    first = text.split(maxsplit=1)[0]
    return (
        f"{text[0].upper() if first.rstrip(',:;').isalpha() and first.islower() else text[0]}{text[1:]}{'' if text.endswith('.') else '.'}"
    )


def _head(name: str, section: int, about: str) -> list[str]:
    return [
        r".\" SPDX-License-Identifier: GPL-2.0-or-later",
        f'.TH {name.upper()} {section} {RELEASED} "romforge {__version__}"',
        ".nh",
        ".SH NAME",
        rf"{name} \- {about}",
    ]


def _page(lines: Iterable[str], see: str) -> str:
    pages = re.sub(r"([a-z]+)\((\d)\)", r"\\fB\1\\fR(\2)", see)
    return "\n".join([*filter(None, lines), ".SH SEE ALSO", pages]) + "\n"


def _paragraphs(texts: Iterable[str]) -> Iterator[str]:
    for index, text in enumerate(texts):
        yield from ([".PP"] if index else [])
        yield from _lines(text)


def _entry(title: str, *texts: str) -> Iterator[str]:
    yield from (".TP", title)
    yield from (line for text in texts for line in _lines(text))


def _lines(text: str) -> Iterator[str]:
    """Text with each sentence on a line of its own, as roff wants it."""
    yield from (_text(one) for one in re.split(r"(?<=[.;:]) (?=[A-Z])", " ".join(text.replace("``", "").split())) if one)


def _text(text: str) -> str:
    r"""Text for roff: no escapes of its own, and no line that would be a request."""
    marks = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti", "…": r"\&...", "→": r"\(->", "–": r"\(en"}
    found = "".join(marks.get(one, one) for one in text)
    return rf"\&{found}" if found.startswith((".", "'")) else found
