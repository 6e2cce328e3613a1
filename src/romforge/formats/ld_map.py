# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads the link map of GNU ld (``-Map``): the objects, why each was linked, and their sections.

Sources: the ld manual's option ``-Map``, and maps of binutils 2.40. Sizes and addresses are in
bytes. Objects have the names of the map, such as ``bin/blib.a(e1000.o)``. See ``object_name``.
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
_LINKERS_OWN = "linker stubs"  # what binutils 2.47 calls the file of sections that ld itself adds
_REFERENCE = re.compile(r"\s+(?:(\S.*?) )?\((.+)\)$")
_PLACE = r"\s+0x(?P<address>[0-9a-f]+)\s+0x(?P<size>[0-9a-f]+)"
_OUTPUT = re.compile(rf"(?P<name>[^\s*(]\S*)(?:{_PLACE}.*)?$")
_INPUT = re.compile(rf" (?P<name>[^\s*]\S*)(?:{_PLACE} (?P<object>\S.*))?$")
_FILL = re.compile(rf" \*fill\*{_PLACE}(?P<object>)")
_CONTINUED = re.compile(rf"{_PLACE}(?: (?P<object>\S.*))?$")


class Inclusion(NamedTuple):
    """An archive member that was linked, the object that refers to it, and by which symbol.

    ``by`` is None for a root, to which the command line refers (``-u``, the entry).
    """

    member: str
    by: str | None
    symbol: str


class MapSection(NamedTuple):
    """An input section. ``output`` is its output section, empty if the input was discarded."""

    output: str
    name: str
    address: int
    size: int
    object: str


class Size(NamedTuple):
    """Bytes in a linked file, and bytes in memory that the file does not contain (``.bss``)."""

    file: int = 0
    memory: int = 0


class LinkMap(NamedTuple):
    """The archive members of a link, and its input sections."""

    included: tuple[Inclusion, ...]
    kept: tuple[MapSection, ...]
    discarded: tuple[MapSection, ...]

    def objects(self) -> list[str]:
        """The names of all objects that were linked, in the order of the map."""
        members = [inclusion.member for inclusion in self.included]
        members += [section.object for section in self.kept]
        members += [section.object for section in self.discarded]
        return list(dict.fromkeys(map(object_name, members)))

    def sizes(self, in_file: Mapping[str, bool]) -> dict[str, Size]:
        """The size of each object in the linked file, by its name. It is 0 if nothing was kept.

        ``in_file`` maps each loaded output section to whether the file contains its bytes, such as
        ``{".text": True, ".bss": False}``. The map lacks that: see ``elf.sections_in_file``.
        """
        sizes = dict.fromkeys(self.objects(), Size())
        for section in self.kept:
            if section.output not in in_file:
                continue
            name = object_name(section.object)
            size = sizes[name]
            if in_file[section.output]:
                sizes[name] = size._replace(file=size.file + section.size)
            else:
                sizes[name] = size._replace(memory=size.memory + section.size)
        return sizes

    def roots(self) -> list[str]:
        """The symbols to which the command line refers, and for which a member was linked."""
        return [inclusion.symbol for inclusion in self.included if inclusion.by is None]


def object_name(member: str) -> str:
    """The short name of an object: ``e1000`` for ``bin/blib.a(e1000.o)`` and ``bin/e1000.o``."""
    file = member
    if member.endswith(")"):
        file = member[member.rindex("(") + 1 : -1]
    return file.rsplit("/", 1)[-1].removesuffix(".o")


def object_file(member: str) -> str:
    """The file of an object. Those of an archive's members are beside the archive.

    Example: ``bin/e1000.o`` for ``bin/blib.a(e1000.o)``.
    """
    archive, _, name = member.rpartition("(")
    if not archive:
        return member
    directory, _, _ = archive.rpartition("/")
    return f"{directory}/{name.removesuffix(')')}"


def parse_map(text: str) -> LinkMap:
    """Reads a map. Raises RomforgeError if the text is not a map of GNU ld."""
    if _MAP not in text:
        raise RomforgeError(f'not a map of GNU ld: "{_MAP}" is missing; gold and lld write others')
    parts: dict[str, list[str]] = {_INCLUDED: [], _DISCARDED: [], _MAP: []}
    lines: list[str] = []
    for line in text.splitlines():
        if line in parts:
            lines = parts[line]
        elif line.startswith(_OTHER):
            lines = []
        else:
            lines.append(line)
    return LinkMap(
        included=tuple(_read_inclusions(parts[_INCLUDED])),
        kept=tuple(_read_kept(parts[_MAP])),
        discarded=tuple(_read_discarded(parts[_DISCARDED])),
    )


def _read_inclusions(lines: list[str]) -> Iterator[Inclusion]:
    """A member begins its line. What refers to it follows, after a long name in the next line."""
    member = ""
    for line in lines:
        reference = line
        if line[:1].strip():
            member = line.partition("  ")[0].rstrip()
            reference = line[len(member) :]
        match = _REFERENCE.match(reference)
        if member and match:
            yield Inclusion(member, match[1], match[2])
            member = ""


def _read_kept(lines: list[str]) -> Iterator[MapSection]:
    """The sections of objects, cut off where the next section begins.

    The map has a section of strings with the size before the linker merged them.
    """
    previous = None
    for section in _read_sections(lines):
        if previous and previous.object:
            size = previous.size
            if previous.output == section.output and section.address >= previous.address:
                size = min(size, section.address - previous.address)
            yield previous._replace(size=size)
        previous = section
    if previous and previous.object:
        yield previous


def _read_discarded(lines: list[str]) -> Iterator[MapSection]:
    for section in _read_sections(lines):
        if section.object:
            yield section._replace(output="")


def _read_sections(lines: list[str]) -> Iterator[MapSection]:
    """The input sections. Padding has no object.

    An output section begins its line, an input section is indented by a space. After a long name,
    both continue in the next line.
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
        elif name and (match := _CONTINUED.match(line)):
            if match["object"]:
                yield _section(output, name, match)
            name = ""


def _section(output: str, name: str, match: re.Match[str]) -> MapSection:
    address, size = int(match["address"], 16), int(match["size"], 16)
    file = match["object"]
    if file == _LINKERS_OWN:
        file = ""
    return MapSection(output, name, address, size, file)
