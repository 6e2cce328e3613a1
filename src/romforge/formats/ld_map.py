# SPDX-License-Identifier: GPL-2.0-or-later
"""The map that GNU ld writes (``-Map``): a link's objects, who asked for each, what lies where.

Sources: the ld manual's option ``-Map``, and maps of binutils 2.40. Sizes and addresses are bytes.
An object is named as the map names it, ``bin/blib.a(e1000.o)``; ``object_name`` gives ``e1000``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from romforge.base.errors import RomforgeError

_INCLUDED = "Archive member included to satisfy reference by file (symbol)"
_DISCARDED = "Discarded input sections"
_MAP = "Linker script and memory map"
_OTHER = (
    "Allocating common symbols",
    "Memory Configuration",
    "Cross Reference Table",
    "As-needed library included",
)
_BY = re.compile(r"\s+(?:(\S.*?) )?\((.+)\)$")
_PLACE = r"\s+0x(?P<address>[0-9a-f]+)\s+0x(?P<size>[0-9a-f]+)"
_OUTPUT = re.compile(rf"(?P<name>[^\s*(]\S*)(?:{_PLACE}.*)?$")
_INPUT = re.compile(rf" (?P<name>[^\s*]\S*)(?:{_PLACE} (?P<object>\S.*))?$")
_FILL = re.compile(rf" \*fill\*{_PLACE}(?P<object>)")
_REST = re.compile(rf"{_PLACE}(?: (?P<object>\S.*))?$")


class Inclusion(NamedTuple):
    """An archive member that was linked: the object and the symbol that asked for it.

    ``by`` is empty for a root, which the command line asked for (``-u``, the entry).
    """

    member: str
    by: str
    symbol: str


class MapSection(NamedTuple):
    """An input section, with the output section it is in, which is empty for a discarded one."""

    output: str
    name: str
    address: int
    size: int
    object: str


class Size(NamedTuple):
    """Bytes of a linked file, and bytes of memory of which the file has none (``.bss``)."""

    file: int = 0
    memory: int = 0


class LinkMap(NamedTuple):
    """What a link took, and what became of it."""

    included: tuple[Inclusion, ...]
    kept: tuple[MapSection, ...]
    discarded: tuple[MapSection, ...]

    def objects(self) -> list[str]:
        """The names of all objects that were linked, in the order of the map."""
        names = [object_name(inclusion.member) for inclusion in self.included]
        names += [object_name(section.object) for section in (*self.kept, *self.discarded)]
        return list(dict.fromkeys(names))

    def sizes(self, in_file: Mapping[str, bool]) -> dict[str, Size]:
        """What each object has in the linked file, by its name; 0 for one that was linked in vain.

        ``in_file`` says of each output section that is loaded whether the file has its bytes, which
        the map does not: ``{".text": True, ".bss": False}``.
        """
        sizes = dict.fromkeys(self.objects(), Size())
        for section in self.kept:
            if section.output not in in_file:
                continue
            name = object_name(section.object)
            before = sizes[name]
            if in_file[section.output]:
                sizes[name] = before._replace(file=before.file + section.size)
            else:
                sizes[name] = before._replace(memory=before.memory + section.size)
        return sizes

    def roots(self) -> list[str]:
        """The symbols that the command line asked for."""
        return [one.symbol for one in self.included if not one.by]


def object_name(member: str) -> str:
    """``e1000`` of ``bin/blib.a(e1000.o)`` or of ``bin/e1000.o``."""
    file = member[member.rindex("(") + 1 : -1] if member.endswith(")") else member
    return file.rsplit("/", 1)[-1].removesuffix(".o")


def object_file(member: str) -> str:
    """The object file that went into an archive as ``member``: it lies beside the archive."""
    archive, _, name = member.rpartition("(")
    return f"{archive.rpartition('/')[0]}/{name[:-1]}" if archive else member


def parse_map(text: str) -> LinkMap:
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
    included = tuple(_included(parts[_INCLUDED]))
    return LinkMap(included, tuple(_kept(parts[_MAP])), tuple(_discarded(parts[_DISCARDED])))


def _included(lines: list[str]) -> Iterator[Inclusion]:
    """Members stand at the margin; who asked for one stands behind it, or in the next line."""
    member = ""
    for line in lines:
        named = bool(line[:1].strip())
        member = line.partition("  ")[0].rstrip() if named else member
        if member and (match := _BY.match(line[len(member) :] if named else line)):
            yield Inclusion(member, match[1] or "", match[2])
            member = ""


def _kept(lines: list[str]) -> Iterator[MapSection]:
    """Sections, each no longer than to where the next begins.

    Of strings that were joined with others' the map has the old size.
    """
    before = None
    for section in _sections(lines):
        if before and before.object:
            size = before.size
            if before.output == section.output and section.address >= before.address:
                size = min(size, section.address - before.address)
            yield before._replace(size=size)
        before = section
    if before and before.object:
        yield before


def _sections(lines: list[str]) -> Iterator[MapSection]:
    """Output sections stand at the margin, their input sections a space in.

    Both break after a long name. Padding is nobody's.
    """
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


def _discarded(lines: list[str]) -> Iterator[MapSection]:
    return (section._replace(output="") for section in _sections(lines) if section.object)


def _section(output: str, name: str, match: re.Match[str]) -> MapSection:
    return MapSection(
        output, name, int(match["address"], 16), int(match["size"], 16), match["object"]
    )
