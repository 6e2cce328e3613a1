# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads the sections, symbols and relocations of ELF files by pyelftools.

Source: the System V gABI, chapters 4 and 5. Sizes, offsets and addresses are in bytes. The import
of pyelftools is slow: import this module only where it is needed.
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
except ImportError:  # only `romforge why` and the like need it
    raise MissingTool(
        "the Python module elftools: not found; install the Debian package python3-pyelftools"
    ) from None

_GLOBAL, _WEAK, _UNIQUE = _EXTERNAL = 1, 2, 10  # STB_*: bindings of symbols that other files see
_OBJECT, _FUNCTION, _COMMON = 1, 2, 5  # STT_*: types of symbols
_NO_RELOCATION = 0, 256  # R_*_NONE, on arm64 also 256: types of relocations without an effect
_UNDEFINED, _RESERVED = 0, 0xFF00  # SHN_UNDEF, SHN_LORESERVE: indices of sections
_SYMBOL_FORMATS = {32: "IIIBBH", 64: "IBBHQQ"}  # by the bits of the ELF class
_RELOCATION_TABLES = "SHT_REL", "SHT_RELA"


@dataclass(frozen=True)
class LinkedSection:
    """A section.

    ``merged`` is the size of an entry if the linker merges equal entries, else 0. ``strings`` says
    whether the entries are strings.
    """

    name: str
    address: int
    size: int
    loaded: bool  # whether the program has it in memory (SHF_ALLOC)
    filled: bool  # whether the file contains its bytes, unlike .bss
    code: bool
    merged: int
    strings: bool
    data: bytes


class Symbol(NamedTuple):
    """A symbol that an object defines.

    ``section`` is an index, None if the section is not loaded. ``code`` is true for a function.
    Another definition takes precedence over a ``weak`` one.
    """

    section: int | None
    code: bool
    weak: bool


class References(NamedTuple):
    """The sections of its object and the symbols to which the relocations of a section refer.

    ``used`` are the symbols whose value is stored somewhere. The others are only required, by
    relocations of the type R_*_NONE.
    """

    sections: set[int]
    symbols: set[str]
    used: set[str]


@dataclass(frozen=True)
class Object:
    """An object file: its loaded sections and their references, by index, and its symbols, by name.

    ``wants`` are the undefined symbols that make the linker take other objects. Weak ones do not.
    """

    sections: dict[int, LinkedSection]
    defines: dict[str, Symbol]
    wants: tuple[str, ...]
    refers: dict[int, References]

    def uses(self) -> set[str]:
        """The symbols whose values the object uses. See ``References.used``."""
        used: set[str] = set()
        for references in self.refers.values():
            used |= references.used
        return used


class _RawSymbol(NamedTuple):
    name: str
    binding: int
    type: int
    section: int
    value: int


def read_object(path: Path) -> Object:
    """Reads an object file.

    Raises RomforgeError if it cannot be read, or is not a valid ELF file.
    """
    with _open_elf(path) as file:
        raw = list(file.iter_sections())
        symbols = list(_read_symbols(file, raw))
        sections = {}
        for index, raw_section in enumerate(raw):
            section = _read_section(raw_section)
            if section.loaded:
                sections[index] = section
        defines: dict[str, Symbol] = {}
        wants: dict[str, None] = {}  # as an ordered set
        for symbol in symbols:
            if symbol.binding in _EXTERNAL and symbol.section != _UNDEFINED:
                defines[symbol.name] = _classify(symbol, sections)
            elif symbol.binding == _GLOBAL and symbol.name:
                wants[symbol.name] = None
        refers = dict(_read_references(file, raw, symbols, sections))
        return Object(sections, defines, tuple(wants), refers)


def _classify(symbol: _RawSymbol, sections: dict[int, LinkedSection]) -> Symbol:
    """Adds to a symbol whether it is a function, and its section if that is loaded."""
    section = sections.get(symbol.section)
    code = symbol.type == _FUNCTION
    if section and symbol.type not in (_OBJECT, _FUNCTION, _COMMON):
        code = section.code  # labels of assembly have no type
    index = symbol.section if section else None
    return Symbol(index, code, symbol.binding == _WEAK)


def linked_sections(path: Path) -> list[LinkedSection]:
    """The loaded sections of a linked file that are not empty. Raises RomforgeError."""
    with _open_elf(path) as file:
        sections = map(_read_section, file.iter_sections())
        return [section for section in sections if section.loaded and section.size]


class Label(NamedTuple):
    """A symbol of a linked file: the section it lies in, its address, whether it is a function."""

    name: str
    section: str
    address: int
    code: bool


def labels(path: Path) -> list[Label]:
    """The symbols in the loaded sections of a linked file. Raises RomforgeError.

    Local symbols are included: symbols that are hidden in objects are local in the linked file.
    """
    with _open_elf(path) as file:
        raw = list(file.iter_sections())
        sections = dict(enumerate(map(_read_section, raw)))
        loaded = []
        for symbol in _read_symbols(file, raw):
            section = sections.get(symbol.section)
            if symbol.name and section and section.loaded:
                code = _classify(symbol, sections).code
                loaded.append(Label(symbol.name, section.name, symbol.value, code))
        return loaded


def sections_in_file(path: Path) -> dict[str, bool]:
    """The names of the loaded sections, each with whether the file contains its bytes.

    Example: ``{".text": True, ".bss": False}``. Raises RomforgeError.
    """
    in_file = {}
    with _open_elf(path) as file:
        for section in file.iter_sections():
            if section["sh_flags"] & SH_FLAGS.SHF_ALLOC:
                in_file[section.name] = section["sh_type"] != "SHT_NOBITS"
    return in_file


def global_symbols(path: Path) -> set[str]:
    """The global and weak symbols that a file defines. Raises RomforgeError."""
    names = set()
    with _open_elf(path) as file:
        for symbol in _read_symbols(file, list(file.iter_sections())):
            if symbol.binding in _EXTERNAL and symbol.section != _UNDEFINED:
                names.add(symbol.name)
    return names


def has_relocations(path: Path) -> bool:
    """Whether a linked file contains its relocations (``ld -q``). Raises RomforgeError."""
    with _open_elf(path) as file:
        return any(section["sh_type"] in _RELOCATION_TABLES for section in file.iter_sections())


class Relocation(NamedTuple):
    """A place in a section into which the linker writes the value of a symbol."""

    section: str
    offset: int
    symbol: str


def relocations_to(path: Path, wanted: Collection[str]) -> list[Relocation]:
    """The relocations in loaded sections that store the value of one of the ``wanted`` symbols.

    Relocations of the type R_*_NONE store nothing and are left out. Raises RomforgeError.
    """
    relocations: list[Relocation] = []
    with _open_elf(path) as file:
        raw = list(file.iter_sections())
        names = [symbol.name for symbol in _read_symbols(file, raw)]
        numbers = {number for number, name in enumerate(names) if name in wanted}
        if not numbers:
            return relocations
        for table in raw:
            if table["sh_type"] not in _RELOCATION_TABLES:
                continue
            section = raw[table["sh_info"]]
            if not section["sh_flags"] & SH_FLAGS.SHF_ALLOC:
                continue
            layout, shift, mask = _relocation_layout(file, table["sh_type"])
            for offset, info, *_ in layout.iter_unpack(table.data()):
                number = info >> shift
                if number in numbers and info & mask not in _NO_RELOCATION:
                    relocations.append(Relocation(section.name, offset, names[number]))
    return relocations


class _RelocationLayout(NamedTuple):
    """The layout of a relocation. Its second word is ``symbol << shift | type``."""

    layout: struct.Struct
    shift: int
    type_mask: int


def _relocation_layout(file: Any, table_type: str) -> _RelocationLayout:
    byte_order = "<" if file.little_endian else ">"
    words = 2 if table_type == "SHT_REL" else 3
    if file.elfclass == 32:
        return _RelocationLayout(struct.Struct(byte_order + "I" * words), 8, 0xFF)
    return _RelocationLayout(struct.Struct(byte_order + "Q" * words), 32, 0xFFFFFFFF)


@contextmanager
def _open_elf(path: Path) -> Iterator[Any]:
    """Opens a file by pyelftools.

    pyelftools trusts every offset and count. So any exception within the context means a wrong
    file, and is raised as RomforgeError.
    """
    try:
        stream = path.open("rb")
    except OSError as error:
        raise RomforgeError(f"{path}: cannot be read: {error.strerror}") from None
    with stream:
        try:
            yield ELFFile(stream)
        except Exception as error:
            has_magic = path.read_bytes()[:4] == b"\x7fELF"
            problem = "a corrupted ELF file" if has_magic else "not an ELF file"
            reason = str(error) or type(error).__name__
            raise RomforgeError(f"{path}: {problem}: {reason}") from None


def compilers(path: Path) -> tuple[str, ...]:
    """What the compilers of a file wrote into it: ``GCC: (Debian 14.2.0-19) 14.2.0``.

    Empty for a file that was assembled. Raises RomforgeError if it is not an ELF file.
    """
    with _open_elf(path) as file:
        section = file.get_section_by_name(".comment")
        texts = section.data().decode(errors="replace").split("\0") if section else []
    return tuple(dict.fromkeys(text for text in texts if text))


def _read_section(section: Any) -> LinkedSection:
    flags = section["sh_flags"]
    loaded = bool(flags & SH_FLAGS.SHF_ALLOC)
    filled = section["sh_type"] != "SHT_NOBITS"
    merged = 0
    if flags & SH_FLAGS.SHF_MERGE:
        merged = section["sh_entsize"] or 1
    return LinkedSection(
        name=section.name,
        address=section["sh_addr"],
        size=section["sh_size"],
        loaded=loaded,
        filled=filled,
        code=bool(flags & SH_FLAGS.SHF_EXECINSTR),
        merged=merged,
        strings=bool(flags & SH_FLAGS.SHF_STRINGS),
        data=section.data() if loaded and filled else b"",
    )


def _read_symbols(file: Any, sections: list[Any]) -> Iterator[_RawSymbol]:
    """The symbols in the order of their table. pyelftools would take a hundred times as long."""
    table = next((section for section in sections if section["sh_type"] == "SHT_SYMTAB"), None)
    if table is None:
        return
    names = sections[table["sh_link"]].data()
    byte_order = "<" if file.little_endian else ">"
    layout = struct.Struct(byte_order + _SYMBOL_FORMATS[file.elfclass])
    for fields in layout.iter_unpack(table.data()):
        if file.elfclass == 32:
            offset, value, _, info, _, section = fields
        else:
            offset, info, _, section, value, _ = fields
        name = names[offset : names.index(b"\0", offset)].decode(errors="replace")
        yield _RawSymbol(name, info >> 4, info & 15, section, value)


def _read_references(
    file: Any, raw: list[Any], symbols: list[_RawSymbol], sections: dict[int, LinkedSection]
) -> Iterator[tuple[int, References]]:
    """For each loaded section that has relocations: its index, and to what they refer."""
    for table in raw:
        if table["sh_type"] not in _RELOCATION_TABLES or table["sh_info"] not in sections:
            continue
        layout, shift, mask = _relocation_layout(file, table["sh_type"])
        references = References(set(), set(), set())
        for info in {fields[1] for fields in layout.iter_unpack(table.data())}:
            symbol = symbols[info >> shift]
            if symbol.binding in _EXTERNAL:
                references.symbols.add(symbol.name)
                if info & mask not in _NO_RELOCATION:
                    references.used.add(symbol.name)
            elif symbol.section != _UNDEFINED and symbol.section < _RESERVED:
                references.sections.add(symbol.section)
        yield table["sh_info"], references
