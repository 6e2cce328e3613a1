# SPDX-License-Identifier: GPL-2.0-or-later
"""The map that GNU ld writes (``-Map``): which objects a link took, who asked for each, and what they put where.

Sources: the ld manual's option ``-Map``, and maps of binutils 2.40. Sizes and addresses are bytes. An object is named
as the map names it, ``bin/blib.a(e1000.o)``; ``object_name`` gives its ``e1000``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from romforge.errors import RomforgeError

_INCLUDED = "Archive member included to satisfy reference by file (symbol)"
_DISCARDED = "Discarded input sections"
_MAP = "Linker script and memory map"
_OTHER = "Allocating common symbols", "Memory Configuration", "Cross Reference Table", "As-needed library included"
_NOT_LOADED = ".debug", ".comment", ".stab", ".note.GNU-stack"  # output sections that no program has at run time
_BY = re.compile(r"\s+(?:(\S.*?) )?\((.+)\)$")
_OUTPUT = re.compile(r"(?P<name>[^\s*(]\S*)(?:\s+0x(?P<address>[0-9a-f]+)\s+0x(?P<size>[0-9a-f]+).*)?$")
_INPUT = re.compile(r" (?P<name>[^\s*]\S*)(?:\s+0x(?P<address>[0-9a-f]+)\s+0x(?P<size>[0-9a-f]+) (?P<object>\S.*))?$")
_FILL = re.compile(r" \*fill\*\s+0x(?P<address>[0-9a-f]+)\s+0x(?P<size>[0-9a-f]+)(?P<object>)")
_REST = re.compile(r"\s+0x(?P<address>[0-9a-f]+)\s+0x(?P<size>[0-9a-f]+)(?: (?P<object>\S.*))?$")


class Inclusion(NamedTuple):
    """An archive member that was linked: the object and the symbol that asked for it.

    ``by`` is empty for a root, which the command line asked for (``-u``, the entry).
    """

    member: str
    by: str
    symbol: str


class Section(NamedTuple):
    """An input section: its output section (empty for a discarded one), name, address, size and object."""

    output: str
    name: str
    address: int
    size: int
    object: str


class LinkMap(NamedTuple):
    """What a link took, and what became of it."""

    included: tuple[Inclusion, ...]
    kept: tuple[Section, ...]
    discarded: tuple[Section, ...]

    def objects(self) -> list[str]:
        """The names of all objects that were linked, in the order of the map."""
        named = [one.member for one in self.included] + [one.object for one in (*self.kept, *self.discarded)]
        return list(dict.fromkeys(object_name(one) for one in named))

    def sizes(self) -> dict[str, int]:
        """The bytes of each object in what the linked file loads, by its name; 0 for one that was linked in vain."""
        sizes = dict.fromkeys(self.objects(), 0)
        for section in self.kept:
            if not section.output.startswith(_NOT_LOADED):
                sizes[object_name(section.object)] += section.size
        return sizes

    def roots(self) -> list[str]:
        """The symbols that the command line asked for."""
        return [one.symbol for one in self.included if not one.by]


def object_name(member: str) -> str:
    """``e1000`` of ``bin/blib.a(e1000.o)`` or of ``bin/e1000.o``."""
    file = member[member.rindex("(") + 1 : -1] if member.endswith(")") else member
    return file.rsplit("/", 1)[-1].removesuffix(".o")


def parse(text: str) -> LinkMap:
    """Reads a map; raises RomforgeError where the text is none."""
    parts: dict[str, list[str]] = {_INCLUDED: [], _DISCARDED: [], _MAP: []}
    lines: list[str] = []
    for line in text.splitlines():
        if line in parts:
            lines = parts[line]
        elif line.startswith(_OTHER):
            lines = []
        else:
            lines.append(line)
    if _MAP not in text:
        raise RomforgeError(f'no map of GNU ld: it has no "{_MAP}"; gold and lld write others')
    return LinkMap(tuple(_included(parts[_INCLUDED])), tuple(_kept(parts[_MAP])), tuple(_discarded(parts[_DISCARDED])))


def _included(lines: list[str]) -> Iterator[Inclusion]:
    """Members stand at the margin; who asked for one stands behind it, or in the next line."""
    member = ""
    for line in lines:
        named = bool(line[:1].strip())
        member = line.partition("  ")[0].rstrip() if named else member
        if member and (match := _BY.match(line[len(member) :] if named else line)):
            yield Inclusion(member, match[1] or "", match[2])
            member = ""


def _kept(lines: list[str]) -> Iterator[Section]:
    """Sections, each no longer than to where the next begins: of strings that were joined with others' the map has the old size."""
    before = None
    for section in _sections(lines):
        if before and before.object:
            shared = before.output == section.output and section.address >= before.address
            yield before._replace(size=min(before.size, section.address - before.address)) if shared else before
        before = section
    if before and before.object:
        yield before


def _sections(lines: list[str]) -> Iterator[Section]:
    """Output sections stand at the margin, their input sections a space in; both break after a long name. Padding is nobody's."""
    output = name = ""
    for line in lines:
        if match := _OUTPUT.match(line):
            output, name = match["name"], ""
        elif match := _FILL.match(line):
            yield _section(output, "", match)
        elif match := _INPUT.match(line):
            name = match["name"]
            if match["object"]:
                yield _section(output, name, match)
                name = ""
        elif name and (match := _REST.match(line)):
            if match["object"]:
                yield _section(output, name, match)
            name = ""


def _discarded(lines: list[str]) -> Iterator[Section]:
    return (section._replace(output="") for section in _sections(lines) if section.object)


def _section(output: str, name: str, match: re.Match[str]) -> Section:
    return Section(output, name, int(match["address"], 16), int(match["size"], 16), match["object"])
