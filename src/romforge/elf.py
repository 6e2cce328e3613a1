# SPDX-License-Identifier: GPL-2.0-or-later
"""What an object or a linked file holds and refers to, read by pyelftools. Sizes, offsets and addresses are bytes.

Sources: the System V gABI, chapters 4 and 5. Imports pyelftools, which takes its time: import this where it is needed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from romforge.errors import RomforgeError
from romforge.tool import MissingTool

try:
    from elftools.elf.constants import SH_FLAGS
    from elftools.elf.elffile import ELFFile
except ImportError:  # a checkout runs without it, as long as nobody asks why
    raise MissingTool("the Python module elftools: not found; install the Debian package python3-pyelftools") from None

_GLOBAL, _WEAK, _UNIQUE = 1, 2, 10  # bindings of a symbol
_UNDEFINED, _RESERVED = 0, 0xFF00  # indices of sections
_SYMBOLS = {32: struct.Struct("IIIBBH"), 64: struct.Struct("IBBHQQ")}


@dataclass(frozen=True)
class Section:
    """A section: ``merged`` is the bytes of an entry where the linker joins equal ones, and ``strings`` whether these are strings."""

    name: str
    address: int
    size: int
    loaded: bool  # whether the program has it in memory
    filled: bool  # whether the file has its bytes
    merged: int
    strings: bool
    data: bytes


@dataclass(frozen=True)
class Object:
    """An object file. A symbol goes by its name; a section by its index.

    ``defines`` has a section or None, of a symbol that lies in none; ``wants`` the symbols that ask for other objects,
    which weak ones do not; ``refers`` of each section the sections and symbols to which its relocations point.
    """

    sections: dict[int, Section]
    defines: dict[str, int | None]
    wants: tuple[str, ...]
    refers: dict[int, tuple[set[int], set[str]]]


def read(path: Path) -> Object:
    """An object file; raises RomforgeError where it is none, or cannot be read."""
    with _opened(path) as file:
        raw = list(file.iter_sections())
        symbols = list(_symbols(file, raw))
        sections = {index: one for index, one in enumerate(map(_section, raw)) if one.loaded}
        defines: dict[str, int | None] = {}
        wants: dict[str, None] = {}
        for name, binding, _, index in symbols:
            if binding in (_GLOBAL, _WEAK, _UNIQUE) and index != _UNDEFINED:
                defines[name] = index if index in sections else None
            elif binding == _GLOBAL and name:
                wants[name] = None
        return Object(sections, defines, tuple(wants), dict(_references(file, raw, symbols, sections)))


def linked(path: Path) -> list[Section]:
    """The sections of a linked file that the program has in memory; raises RomforgeError."""
    with _opened(path) as file:
        return [one for one in map(_section, file.iter_sections()) if one.loaded and one.size]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A file as pyelftools reads it, which trusts every offset and count; what is wrong with it becomes a RomforgeError."""
    try:
        stream = path.open("rb")
    except OSError as error:
        raise RomforgeError(f"{path}: cannot be read: {error.strerror}") from None
    with stream:
        try:
            yield ELFFile(stream)
        except Exception as error:
            magic = path.read_bytes()[:4] == b"\x7fELF"
            raise RomforgeError(f"{path}: is {'a broken' if magic else 'no'} ELF file: {error or type(error).__name__}") from None


def _section(one: Any) -> Section:
    flags, filled = one["sh_flags"], one["sh_type"] != "SHT_NOBITS"
    loaded = bool(flags & SH_FLAGS.SHF_ALLOC)
    return Section(
        name=one.name,
        address=one["sh_addr"],
        size=one["sh_size"],
        loaded=loaded,
        filled=filled,
        merged=one["sh_entsize"] or 1 if flags & SH_FLAGS.SHF_MERGE else 0,
        strings=bool(flags & SH_FLAGS.SHF_STRINGS),
        data=one.data() if loaded and filled else b"",
    )


def _symbols(file: Any, sections: list[Any]) -> Iterator[tuple[str, int, int, int]]:
    """Each symbol's name, binding, value and section, in order; unpacked here, for pyelftools would take a hundred times as long."""
    table = next((one for one in sections if one["sh_type"] == "SHT_SYMTAB"), None)
    if table is None:
        return
    names = sections[table["sh_link"]].data()
    layout = struct.Struct(("<" if file.little_endian else ">") + _SYMBOLS[file.elfclass].format)
    for fields in layout.iter_unpack(table.data()):
        if file.elfclass == 32:
            name, value, _, info, _, index = fields
        else:
            name, info, _, index, value, _ = fields
        yield names[name : names.index(b"\0", name)].decode(errors="replace"), info >> 4, value, index


def _references(
    file: Any, raw: list[Any], symbols: list[tuple[str, int, int, int]], sections: dict[int, Section]
) -> Iterator[tuple[int, tuple[set[int], set[str]]]]:
    """Of each section that is loaded: the sections and global symbols that its relocations name."""
    word, shift = ("I", 8) if file.elfclass == 32 else ("Q", 32)
    for table in raw:
        if table["sh_type"] not in ("SHT_REL", "SHT_RELA") or table["sh_info"] not in sections:
            continue
        layout = struct.Struct(("<" if file.little_endian else ">") + word * (2 if table["sh_type"] == "SHT_REL" else 3))
        near: set[int] = set()
        far: set[str] = set()
        for number in {fields[1] >> shift for fields in layout.iter_unpack(table.data())}:
            name, binding, _, index = symbols[number]
            if binding in (_GLOBAL, _WEAK, _UNIQUE):
                far.add(name)
            elif index != _UNDEFINED and index < _RESERVED:
                near.add(index)
        yield table["sh_info"], (near, far)
