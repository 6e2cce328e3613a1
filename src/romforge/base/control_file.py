# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads Debian's control files: paragraphs of fields, and the packages that a field names.

The syntax is that of deb822(5) and of Debian Policy, 5.1 and 7.1. A value keeps its line breaks, so
that each package in it has the line on which it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from romforge.base.errors import RomforgeError
from romforge.base.text import format_size

LARGEST_FILE = 1 << 20  # bytes
_FIELD = re.compile(r"([!-,.-9;-~][!-9;-~]*)[ \t]*:(.*)", re.DOTALL)
_SUBSTVAR = r"\$\{[A-Za-z0-9][A-Za-z0-9:.+_-]*\}"
_RELATION = re.compile(
    rf"""(?P<name> @[a-z]*@? | (?:[A-Za-z0-9] | {_SUBSTVAR}) (?:[A-Za-z0-9+._-] | {_SUBSTVAR})*)
    (?: :[a-z0-9-]+ )?
    \s* (?: \( [^()]* \) )?
    (?P<architectures> \s* \[ [^][]* \] )?
    (?P<profiles> (?: \s* < [^<>]* > )*)""",
    re.VERBOSE,
)
_LONGEST_QUOTE = 60  # characters


class ControlError(RomforgeError):
    """A file that is no control file. ``line`` is None where it could not be read at all."""

    def __init__(self, line: int | None, message: str, remedy: str) -> None:
        place = "" if line is None else f"line {line}: "
        super().__init__(f"{place}{message}; {remedy}")
        self.line = line
        self.message = message
        self.remedy = remedy


class ControlField(NamedTuple):
    """A field: its name as it is written, its value, and the line of its name, from 1.

    Comments in the value are empty lines.
    """

    name: str
    value: str
    line: int


@dataclass(frozen=True)
class Paragraph:
    """Fields by their names in lower case, and the line of the first."""

    fields: Mapping[str, ControlField]
    line: int

    def text(self, name: str) -> str:
        """The value of a field without white space around it; empty if there is no such field."""
        field = self.fields.get(name.lower())
        return field.value.strip() if field else ""

    def relations(self, name: str) -> list[Relation]:
        """The packages that a field names, none if there is no such field; raises ControlError."""
        field = self.fields.get(name.lower())
        return list(_read_relations(field)) if field else []


class Relation(NamedTuple):
    """A package that a field names, alone or as one of several alternatives.

    A name may be or contain a substitution variable, as in ``${misc:Depends}``, and in the control
    file of tests be ``@``. ``profiles`` are the restrictions of build profiles as they are written.
    """

    name: str
    profiles: str
    line: int


def read_lines(path: Path) -> list[str]:
    """The lines of a text file of a package; raises ControlError."""
    try:
        if path.exists() and not path.is_file():
            raise ControlError(None, "is no file", "replace it by a text file")
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ControlError(None, f"cannot be read: {reason}", "make it a readable file") from None
    if len(data) > LARGEST_FILE:
        message = f"is larger than {format_size(LARGEST_FILE)}"
        raise ControlError(None, message, "replace it by a file of Debian's packaging")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"byte {data[error.start]:#04x} is not valid UTF-8"
        raise ControlError(line, message, "write the file in UTF-8") from None
    before, null, _ = text.partition("\0")
    if null:
        line = before.count("\n") + 1
        raise ControlError(line, "there is a null byte", "write the file as text")
    return text.split("\n")


def read_control(path: Path) -> list[Paragraph]:
    """The paragraphs of a control file, of which there may be none; raises ControlError."""
    return parse_control(read_lines(path))


def parse_control(lines: list[str]) -> list[Paragraph]:
    """The paragraphs in the lines of a control file; raises ControlError.

    >>> parse_control(["Source: x", "Build-Depends:", "# why", " gcc,"])[0].text("build-depends")
    'gcc,'
    """
    paragraphs: list[Paragraph] = []
    fields: dict[str, _OpenField] = {}
    last = None  # the field that a line may continue
    for number, raw in enumerate(lines, 1):
        line = raw.rstrip("\r")
        if line.startswith("#"):
            if last is not None:
                last.lines.append("")
        elif not line.strip():
            _end_paragraph(paragraphs, fields)
            fields, last = {}, None
        elif line[0] in " \t":
            if last is None:
                message = f"{_quote(line)} continues no field"
                raise ControlError(number, message, 'begin the line with "NAME:"')
            last.lines.append(line)
        else:
            last = _read_field(line, number)
            first = fields.setdefault(last.name.lower(), last)
            if first is not last:
                message = f"{last.name} is there twice, first in line {first.line}"
                raise ControlError(number, message, "join the two fields, or remove one")
    _end_paragraph(paragraphs, fields)
    return paragraphs


class _OpenField(NamedTuple):
    """A field that more lines may continue."""

    name: str
    lines: list[str]
    line: int


def _end_paragraph(paragraphs: list[Paragraph], fields: Mapping[str, _OpenField]) -> None:
    if not fields:
        return
    closed = {}
    for key, (name, lines, line) in fields.items():
        closed[key] = ControlField(name, "\n".join(lines), line)
    paragraphs.append(Paragraph(closed, next(iter(closed.values())).line))


def _read_field(line: str, number: int) -> _OpenField:
    match = _FIELD.fullmatch(line)
    if match is None:
        message = f"{_quote(line)} is no field"
        remedy = 'write "NAME: VALUE", or begin the line with a space if it continues a field'
        raise ControlError(number, message, remedy)
    return _OpenField(match[1], [match[2]], number)


def _read_relations(field: ControlField) -> Iterator[Relation]:
    line = field.line
    for piece in re.split("[,|]", field.value):
        before, _, _ = piece.partition(piece.strip() or "\0")
        text = " ".join(piece.split())
        if text:
            yield _read_relation(field, text, line + before.count("\n"))
        line += piece.count("\n")


def _read_relation(field: ControlField, text: str, line: int) -> Relation:
    match = _RELATION.fullmatch(text)
    if match is None:
        message = f"{field.name}: {_quote(text)} is no package"
        remedy = "write NAME, NAME (>= VERSION) or NAME [ARCH] <PROFILE>, with commas between them"
        raise ControlError(line, message, remedy)
    return Relation(match["name"], match["profiles"].strip(), line)


def _quote(text: str) -> str:
    """A text of a file for a message, without what a terminal would act on."""
    shown = "".join(character if character.isprintable() else " " for character in text.strip())
    return f'"{shown[:_LONGEST_QUOTE]}"'
