# SPDX-License-Identifier: GPL-2.0-or-later
"""The kinds of values that keys of romspec.toml take: how each is read, what would be right, its JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, field, fields
from typing import Any, NamedTuple, TypeVar

from romforge.errors import listing, near

Path = tuple[str | int, ...]  # keys and list indices from the top of the file
T = TypeVar("T")


class Kind(NamedTuple):
    """A kind of value: ``read`` returns it in the form the program uses, or raises ValueError with what is wrong."""

    right: str
    schema: Mapping[str, Any]
    read: Callable[[Any], Any]
    table: type | None = None  # the dataclass of a table in the table
    blank: Any = ""  # stands in for a missing or wrong value, so that the rest can be checked


class _ElementError(ValueError):
    """An element of a list is wrong."""

    def __init__(self, index: int, text: str) -> None:
        super().__init__(text)
        self.index = index


class Problem(NamedTuple):
    """Something wrong with the spec at a path of keys: what, and what would be right."""

    path: Path
    text: str


def key(kind: Kind, doc: str, default: Any = MISSING) -> Any:
    """A dataclass field that is a key of the spec; without ``default`` the key must be given."""
    return field(default=default, metadata={"kind": kind, "doc": doc})


def read_table(cls: type[T], raw: object, path: Path, problems: list[Problem]) -> T | None:
    """Reads a table into a dataclass of ``key`` fields, adding what is wrong to ``problems``.

    A wrong key takes its default, or its kind's blank where it has none; None where there is no table at all.
    """
    if not isinstance(raw, dict):
        problems.append(Problem(path, f"must be a table, not {show(raw)}"))
        return None
    known = {one.name: one for one in fields(cls)}  # type: ignore[arg-type]
    for name in raw.keys() - known.keys():
        problems.append(Problem((*path, name), f"unknown key{near(name, known)}; known are {listing(sorted(known))}"))
    values = {}
    for name, one in known.items():
        kind: Kind = one.metadata["kind"]
        needed = one.default is MISSING
        value = kind.blank if needed else one.default
        if name not in raw:
            if needed:
                problems.append(Problem((*path, name), f"missing: {one.metadata['doc']}; {kind.right}"))
        elif kind.table:
            value = read_table(kind.table, raw[name], (*path, name), problems)
        else:
            try:
                value = kind.read(raw[name])
            except ValueError as error:
                inside = (error.index,) if isinstance(error, _ElementError) else ()
                problems.append(Problem((*path, name, *inside), f"{error}; {kind.right}"))
        values[name] = value
    return cls(**values)


def show(value: object) -> str:
    """A value as the spec would write it, cut where it is long."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + (value if len(value) <= 60 else value[:57] + "...") + '"'
    if isinstance(value, dict):
        return "a table"
    return "a list" if isinstance(value, list) else str(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{show(value)} is no text")
    if not value or "\0" in value:
        raise ValueError("the text is empty" if not value else "the text holds a NUL")
    return value


def _matching(pattern: str, what: str) -> Callable[[object], str]:
    compiled = re.compile(pattern)

    def read(value: object) -> str:
        if not compiled.fullmatch(_text(value)):
            raise ValueError(f"{show(value)} is no {what}")
        return _text(value)

    return read


def _each(read: Callable[[Any], T]) -> Callable[[object], tuple[T, ...]]:
    """Reads a list whose elements ``read`` reads."""

    def elements(value: object) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise ValueError(f"{show(value)} is no list")
        found = []
        for index, one in enumerate(value):
            try:
                found.append(read(one))
            except ValueError as error:
                raise _ElementError(index, str(error)) from None
        return tuple(found)

    return elements


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{show(value)} is neither true nor false")
    return value


def _ids(value: object) -> tuple[int, int]:
    vendor, device = _matching(_IDS, "vvvv:dddd")(value).split(":")
    return int(vendor, 16), int(device, 16)


def parse_size(value: object) -> int:
    """``"256KiB"``, ``"1MiB"`` or a number of bytes: the size in bytes; raises ValueError unless a power of two."""
    if isinstance(value, str) and (match := re.fullmatch(r"(\d{1,9}) ?(KiB|MiB)?", value)):
        size = int(match[1]) << {None: 0, "KiB": 10, "MiB": 20}[match[2]]
    elif isinstance(value, int) and not isinstance(value, bool):
        size = value
    else:
        raise ValueError(f"{show(value)} is no size")
    if not _SMALLEST <= size <= _LARGEST or size & (size - 1):
        raise ValueError(f"{show(value)} is no power of two from 2 KiB to 16 MiB")
    return size


def _variables(value: object) -> tuple[tuple[str, str], ...]:
    """A table of make variables or C macros, as sorted pairs; numbers and truth values become text."""
    if not isinstance(value, dict):
        raise ValueError(f"{show(value)} is no table")
    for name, one in value.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ValueError(f'"{name}" is no name of a variable')
        if not isinstance(one, (str, int)):
            raise ValueError(f"the value of {name} is neither text nor a number")
    return tuple(sorted((name, str(int(one)) if isinstance(one, bool) else str(one)) for name, one in value.items()))


_IDS = "[0-9a-fA-F]{4}:[0-9a-fA-F]{4}"
_SMALLEST, _LARGEST = 2 << 10, 16 << 20  # an expansion ROM's base address register
_LIST = {"type": "array", "items": {"type": "string", "minLength": 1}}

TEXT = Kind("write a text in quotes", {"type": "string", "minLength": 1}, _text)
TEXTS = Kind('write a list of texts, such as ["a", "b"]', _LIST, _each(_text), blank=())
FLAG = Kind("write true or false", {"type": "boolean"}, _flag)
ID = Kind(
    'write vendor and device as four hexadecimal digits each, such as "8086:100e"',
    {"type": "string", "pattern": f"^{_IDS}$"},
    _ids,
    blank=None,
)
IDS = Kind(
    'write a list of IDs, such as ["8086:100e"]', {"type": "array", "items": {"type": "string", "pattern": f"^{_IDS}$"}}, _each(_ids)
)
SIZE = Kind(
    'write a power of two, such as "256KiB" or 262144',
    {"anyOf": [{"type": "string", "pattern": "^[0-9]{1,9} ?(KiB|MiB)?$"}, {"type": "integer", "minimum": _SMALLEST, "maximum": _LARGEST}]},
    parse_size,
)
SHA256 = Kind(
    "write the 64 hexadecimal digits that sha256sum prints",
    {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    _matching("[0-9a-f]{64}", "sha256"),
)
PACKAGE = Kind(
    'write the name of a Debian package, such as "ipxe-qemu"',
    {"type": "string", "pattern": "^[a-z0-9][a-z0-9+.-]+$"},
    _matching("[a-z0-9][a-z0-9+.-]+", "package name"),
)
BIN = Kind(
    'write what iPXE calls the directory, such as "bin" or "bin-x86_64-efi"',
    {"type": "string", "pattern": "^bin(-[a-z0-9_]+)*$"},
    _matching(r"bin(-[a-z0-9_]+)*", "BIN directory of iPXE's"),
)
VARIABLES = Kind(
    'write a table, such as { NAME = "value" }',
    {"type": "object", "additionalProperties": {"type": ["string", "integer", "boolean"]}},
    _variables,
)
MEDIA = Kind(
    'write "rom", "mrom", "efidrv" or "efirom"',
    {"enum": ["rom", "mrom", "efidrv", "efirom"]},
    _matching("rom|mrom|efidrv|efirom", "medium of an option ROM"),
)
NICS = Kind(
    'write "*" or a list of NICs, such as ["e1000"]', {"anyOf": [{"const": "*"}, _LIST]}, lambda v: None if v == "*" else _each(_text)(v)
)


def subtable(cls: type) -> Kind:
    """A key whose value is a table with keys of its own."""
    return Kind("", {}, lambda value: value, cls)
