# SPDX-License-Identifier: GPL-2.0-or-later
"""What an object or a linked file holds and refers to, read by pyelftools.

Sizes, offsets and addresses are bytes.

Sources: the System V gABI, chapters 4 and 5. Imports pyelftools, which takes its time: import this
where it is needed.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from romforge.base.errors import RomforgeError
from romforge.base.programs import MissingTool

try:
    from elftools.elf.constants import SH_FLAGS
    from elftools.elf.elffile import ELFFile
except ImportError:  # a checkout runs without it, as long as nobody asks why
    raise MissingTool(
        "the Python module elftools: not found; install the Debian package python3-pyelftools"
    ) from None

_GLOBAL, _WEAK, _UNIQUE = _EXTERNAL = 1, 2, 10  # bindings of symbols that other files see
_OBJECT, _FUNCTION, _COMMON = 1, 2, 5  # types of symbols
_NOTHING = 0, 256  # types of relocations that do nothing: R_*_NONE
_UNDEFINED, _RESERVED = 0, 0xFF00  # indices of sections
_SYMBOLS = {32: struct.Struct("IIIBBH"), 64: struct.Struct("IBBHQQ")}


@dataclass(frozen=True)
class LinkedSection:
    """A section.

    ``merged`` is the bytes of an entry where the linker joins equal ones, and ``strings`` says
    whether these are strings.
    """

    name: str
    address: int
    size: int
    loaded: bool  # whether the program has it in memory
    filled: bool  # whether the file has its bytes
    code: bool
    merged: int
    strings: bool
    data: bytes


class Symbol(NamedTuple):
    """What an object defines: in which section, None where that is not one that is loaded.

    ``code`` tells a function from a variable; ``weak`` that another definition wins.
    """

    section: int | None
    code: bool
    weak: bool


class References(NamedTuple):
    """Where the relocations of a section point: to sections of its object, and to symbols.

    ``used`` are those symbols whose value is put somewhere. The others are only required, by
    relocations of the type R_*_NONE.
    """

    sections: set[int]
    symbols: set[str]
    used: set[str]


@dataclass(frozen=True)
class Object:
    """An object file. A symbol goes by its name; a section by its index.

    ``wants`` are the symbols that ask for other objects, which weak ones do not.
    """

    sections: dict[int, LinkedSection]
    defines: dict[str, Symbol]
    wants: tuple[str, ...]
    refers: dict[int, References]

    def uses(self) -> set[str]:
        """The symbols whose values the object needs, and not merely their presence."""
        return set().union(*(references.used for references in self.refers.values()))


class _RawSymbol(NamedTuple):
    name: str
    binding: int
    type: int
    section: int
    value: int


def read_object(path: Path) -> Object:
    """An object file; raises RomforgeError where it is none, or cannot be read."""
    with _opened(path) as file:
        raw = list(file.iter_sections())
        symbols = list(_symbols(file, raw))
        sections = {}
        for index, section in enumerate(map(_section, raw)):
            if section.loaded:
                sections[index] = section
        defines: dict[str, Symbol] = {}
        wants: dict[str, None] = {}
        for symbol in symbols:
            if symbol.binding in _EXTERNAL and symbol.section != _UNDEFINED:
                defines[symbol.name] = _defined(symbol, sections)
            elif symbol.binding == _GLOBAL and symbol.name:
                wants[symbol.name] = None
        refers = dict(_references(file, raw, symbols, sections))
        return Object(sections, defines, tuple(wants), refers)


def _defined(symbol: _RawSymbol, sections: dict[int, LinkedSection]) -> Symbol:
    section = sections.get(symbol.section)
    code = symbol.type == _FUNCTION
    if section and symbol.type not in (_OBJECT, _FUNCTION, _COMMON):
        code = section.code  # assembly need not say what a label is
    index = symbol.section if section else None
    return Symbol(index, code, symbol.binding == _WEAK)


def linked_sections(path: Path) -> list[LinkedSection]:
    """The sections of a linked file that the program has in memory; raises RomforgeError."""
    with _opened(path) as file:
        return [one for one in map(_section, file.iter_sections()) if one.loaded and one.size]


class Label(NamedTuple):
    """A symbol of a linked file: the section it lies in, its address, whether it is a function."""

    name: str
    section: str
    address: int
    code: bool


def labels(path: Path) -> list[Label]:
    """The symbols in the loaded sections of a linked file; raises RomforgeError.

    Those that were hidden in objects are local ones here, so local ones are among them.
    """
    with _opened(path) as file:
        raw = list(file.iter_sections())
        sections = dict(enumerate(map(_section, raw)))
        found = []
        for symbol in _symbols(file, raw):
            section = sections.get(symbol.section)
            if symbol.name and section and section.loaded:
                code = _defined(symbol, sections).code
                found.append(Label(symbol.name, section.name, symbol.value, code))
        return found


def sections_in_file(path: Path) -> dict[str, bool]:
    """By the name of each section that is loaded, whether the file has its bytes."""
    with _opened(path) as file:
        sections = [one for one in file.iter_sections() if one["sh_flags"] & SH_FLAGS.SHF_ALLOC]
        return {one.name: one["sh_type"] != "SHT_NOBITS" for one in sections}


def global_symbols(path: Path) -> set[str]:
    """The global and weak symbols that a file defines; raises RomforgeError."""
    with _opened(path) as file:
        symbols = _symbols(file, list(file.iter_sections()))
        return {
            symbol.name
            for symbol in symbols
            if symbol.binding in _EXTERNAL and symbol.section != _UNDEFINED
        }


def has_relocations(path: Path) -> bool:
    """Whether a linked file keeps its relocations (``ld -q``); raises RomforgeError."""
    with _opened(path) as file:
        return any(one["sh_type"] in ("SHT_REL", "SHT_RELA") for one in file.iter_sections())


class Relocation(NamedTuple):
    """A place that the linker fills in, and the symbol whose value it gets."""

    section: str
    offset: int
    symbol: str


def relocations_to(path: Path, wanted: Collection[str]) -> list[Relocation]:
    """The relocations that put the value of one of these symbols into a section that is loaded.

    R_*_NONE, which is type 0 (and 256 on arm64), puts nothing anywhere. Raises RomforgeError.
    """
    with _opened(path) as file:
        raw = list(file.iter_sections())
        symbols = [symbol.name for symbol in _symbols(file, raw)]
        interesting = {number for number, name in enumerate(symbols) if name in wanted}
        found: list[Relocation] = []
        if not interesting:
            return found
        for table in raw:
            if table["sh_type"] not in ("SHT_REL", "SHT_RELA"):
                continue
            section = raw[table["sh_info"]]
            if not section["sh_flags"] & SH_FLAGS.SHF_ALLOC:
                continue
            layout, shift, mask = _relocation_layout(file, table["sh_type"])
            for offset, info, *_ in layout.iter_unpack(table.data()):
                if info >> shift in interesting and info & mask not in _NOTHING:
                    found.append(Relocation(section.name, offset, symbols[info >> shift]))
        return found


def _relocation_layout(file: Any, kind: str) -> tuple[struct.Struct, int, int]:
    """The layout of a relocation; of its second word the symbol's shift and the type's mask."""
    word, shift, mask = ("I", 8, 0xFF) if file.elfclass == 32 else ("Q", 32, 0xFFFFFFFF)
    order = "<" if file.little_endian else ">"
    return struct.Struct(order + word * (2 if kind == "SHT_REL" else 3)), shift, mask


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A file as pyelftools reads it, which trusts every offset and count.

    What is wrong with the file becomes a RomforgeError.
    """
    try:
        stream = path.open("rb")
    except OSError as error:
        raise RomforgeError(f"{path}: cannot be read: {error.strerror}") from None
    with stream:
        try:
            yield ELFFile(stream)
        except Exception as error:
            magic = path.read_bytes()[:4] == b"\x7fELF"
            kind = "a broken" if magic else "no"
            reason = str(error) or type(error).__name__
            raise RomforgeError(f"{path}: is {kind} ELF file: {reason}") from None


def _section(one: Any) -> LinkedSection:
    flags, filled = one["sh_flags"], one["sh_type"] != "SHT_NOBITS"
    loaded = bool(flags & SH_FLAGS.SHF_ALLOC)
    return LinkedSection(
        name=one.name,
        address=one["sh_addr"],
        size=one["sh_size"],
        loaded=loaded,
        filled=filled,
        code=bool(flags & SH_FLAGS.SHF_EXECINSTR),
        merged=one["sh_entsize"] or 1 if flags & SH_FLAGS.SHF_MERGE else 0,
        strings=bool(flags & SH_FLAGS.SHF_STRINGS),
        data=one.data() if loaded and filled else b"",
    )


def _symbols(file: Any, sections: list[Any]) -> Iterator[_RawSymbol]:
    """The symbols in order; unpacked here, since pyelftools would take a hundred times as long."""
    table = next((one for one in sections if one["sh_type"] == "SHT_SYMTAB"), None)
    if table is None:
        return
    names = sections[table["sh_link"]].data()
    order = "<" if file.little_endian else ">"
    layout = struct.Struct(order + _SYMBOLS[file.elfclass].format)
    for fields in layout.iter_unpack(table.data()):
        if file.elfclass == 32:
            offset, value, _, info, _, section = fields
        else:
            offset, info, _, section, value, _ = fields
        name = names[offset : names.index(b"\0", offset)].decode(errors="replace")
        yield _RawSymbol(name, info >> 4, info & 15, section, value)


def _references(
    file: Any, raw: list[Any], symbols: list[_RawSymbol], sections: dict[int, LinkedSection]
) -> Iterator[tuple[int, References]]:
    """Of each section that is loaded what its relocations refer to."""
    for table in raw:
        if table["sh_type"] not in ("SHT_REL", "SHT_RELA") or table["sh_info"] not in sections:
            continue
        layout, shift, mask = _relocation_layout(file, table["sh_type"])
        found = References(set(), set(), set())
        for info in {fields[1] for fields in layout.iter_unpack(table.data())}:
            symbol = symbols[info >> shift]
            if symbol.binding in _EXTERNAL:
                found.symbols.add(symbol.name)
                if info & mask not in _NOTHING:
                    found.used.add(symbol.name)
            elif symbol.section != _UNDEFINED and symbol.section < _RESERVED:
                found.sections.add(symbol.section)
        yield table["sh_info"], found
