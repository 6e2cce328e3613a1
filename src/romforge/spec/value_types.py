# SPDX-License-Identifier: GPL-2.0-or-later
"""The kinds of values that keys of romspec.toml take: how each is read, what would be right, its JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from romforge.base.arch import BY_NAME
from romforge.base.jobserver import MOST_JOBS
from romforge.base.pci_id import PciId
from romforge.base.text import format_size, join_words
from romforge.spec.fields import HUGE, ElementsError, ValueType, show


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{show(value)} is no text")
    if not value or "\0" in value:
        raise ValueError("the text is empty" if not value else "the text holds a NUL")
    return value


def _matching(pattern: str, what: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not re.fullmatch(pattern, _text(value)):
            raise ValueError(f"{show(value)} is no {what}")
        return _text(value)

    return read


def _each(kind: ValueType) -> Callable[[object], tuple[Any, ...]]:
    """Reads a list of elements of a kind."""

    def elements(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise ValueError(f"{show(value)} is no list")
        found: list[Any] = []
        wrong: dict[str | int, str] = {}
        for index, one in enumerate(value):
            try:
                found.append(kind.read(one))
            except ValueError as error:
                found.append(kind.blank)
                wrong[index] = f"{error}; {kind.right}"
        if wrong:
            raise ElementsError(wrong, tuple(found))
        return tuple(found)

    return elements


def _nics(value: object) -> tuple[str, ...] | None:
    if isinstance(value, list) and "*" in value:
        raise ValueError('"*" is no NIC, and stands for all of them alone')
    return None if value == "*" else _each(TEXT)(value)


def _some_of(words: tuple[str, ...]) -> ValueType:
    """A list of some of a few words."""
    right = f"write a list of {join_words(show(word) for word in words)}"
    word = ValueType(right, {"enum": list(words)}, _matching("|".join(words), "such word"))
    return ValueType(right, {"type": "array", "items": word.schema}, _each(word), blank=())


def _seconds(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= 3600:
        raise ValueError(f"{show(value)} is no such number")
    return value


def _launcher(value: object) -> tuple[str, ...]:
    """The words of a command, given as such or as one text; none for an empty one."""
    if not isinstance(value, (str, list)):
        raise ValueError(f"{show(value)} is no command")
    if isinstance(value, list):
        words = list(_each(TEXT)(value))
    else:
        import shlex

        try:
            words = shlex.split(value)
        except ValueError:
            raise ValueError(
                f"{show(value)} lacks a closing quote, or ends in a backslash"
            ) from None
    if any(not word.isprintable() for word in words):
        raise ValueError("the command holds a control character")
    if words and ("=" in words[0] or words[0].startswith("-")):
        raise ValueError(f"{show(words[0])} is no program, which the first word should be")
    return tuple(words)


def _jobs(value: object) -> int | str:
    if value != "distcc" and (
        not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= MOST_JOBS
    ):
        raise ValueError(f"{show(value)} is no such number")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{show(value)} is no truth value")
    return value


def _ids(value: object) -> PciId:
    vendor, device = _matching(_IDS, "vvvv:dddd")(value).split(":")
    return PciId(int(vendor, 16), int(device, 16))


def parse_size(value: object) -> int:
    """``"256KiB"``, ``"1MiB"`` or a number of bytes: the size in bytes; raises ValueError unless a power of two."""
    if isinstance(value, str) and (match := re.fullmatch(r"([1-9][0-9]{0,8}) ?(KiB|MiB)?", value)):
        size = int(match[1]) << {None: 0, "KiB": 10, "MiB": 20}[match[2]]
    elif isinstance(value, int) and not isinstance(value, bool):
        size = value
    else:
        raise ValueError(f"{show(value)} is no size")
    shown = f"{show(value)} bytes" if size == value and abs(size) < 1 << HUGE else show(value)
    if not _SIZES[0] <= size <= _SIZES[-1]:
        raise ValueError(
            f"{shown} is {'less than 2 KiB' if size < _SIZES[0] else 'more than 16 MiB'}"
        )
    if size not in _SIZES:
        raise ValueError(
            f"{shown} is no power of two, the next is {format_size(1 << size.bit_length())}"
        )
    return size


def _amount(value: object) -> int:
    if isinstance(value, str) and (match := re.fullmatch("([0-9]{1,5}) ?KiB", value)):
        return int(match[1]) << 10
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{show(value)} is no number of bytes")
    return value


def _variables(value: object) -> tuple[tuple[str, str], ...]:
    """A table of make variables or C macros, as sorted pairs; numbers and truth values become text."""
    if not isinstance(value, dict):
        raise ValueError(f"{show(value)} is no table")
    wrong: dict[str | int, str] = {}
    for name, one in value.items():
        if not re.fullmatch(_MACRO, name):
            wrong[name] = (
                f"{show(name)} is no name of a variable or macro; write letters, digits and _, and no digit first"
            )
        elif not isinstance(one, (str, int)):
            wrong[name] = f"{show(one)} is neither text nor a whole number; write a text in quotes"
        elif isinstance(one, str) and ("\0" in one or "\n" in one):
            wrong[name] = "the text holds a line break or a NUL; write it in one line"
        elif isinstance(one, int) and one.bit_length() > HUGE:
            wrong[name] = "the number is huge; write it as a text in quotes"
    if wrong:
        raise ElementsError(wrong, ())
    return tuple(
        sorted(
            (name, str(int(one)) if isinstance(one, bool) else str(one))
            for name, one in value.items()
        )
    )


_IDS = "[0-9a-fA-F]{4}:[0-9a-fA-F]{4}"
_SIZES = [
    1 << shift for shift in range(11, 25)
]  # 2 KiB to 16 MiB: an expansion ROM's base address register
_SIZE = (
    [f"{size >> 10} ?KiB" for size in _SIZES]
    + [f"{size >> 20} ?MiB" for size in _SIZES if size >> 20]
    + [str(size) for size in _SIZES]
)
_MACRO = "[A-Za-z_][A-Za-z0-9_]*"
_OBJECT = "[A-Za-z0-9_-]+(?::[0-9]+)?"
_GOAL = "[A-Za-z0-9_]+(?:-{1,2}[A-Za-z0-9_]+)*"
_PACKAGE = (
    "[a-z0-9][a-z0-9+.-]+(?:/[a-z0-9][a-z0-9.-]*|=[0-9][A-Za-z0-9.+~:-]*)?"  # as apt-get takes it
)
_RELATIVE = r"^(?!/)(?!(?:.*/)?\.\.(?:/|$))(?!(?:\./)*\.romforge(?:/|$))"  # begins a pattern
BINS = rf"bin(?:-(?:(?:i386|x86_64)-)?pcbios|-(?:(?:{'|'.join(BY_NAME)})-)?efi(?:-sb)?)?"  # iPXE's, as a regular expression
_ENTRY = {"type": "string", "minLength": 1}

TEXT = ValueType("write a text in quotes", _ENTRY, _text)
TEXTS = ValueType(
    'write a list of texts, such as ["a", "b"]',
    {"type": "array", "items": _ENTRY},
    _each(TEXT),
    blank=(),
)
DIRECTORY = ValueType(
    'write a path in quotes, such as "usr/share/qemu"',
    {"type": "string", "minLength": 1, "pattern": _RELATIVE + r"[^{}=*\n]+$"},
    _text,
)
FILE_PATTERN = ValueType(
    'write a pattern in quotes, such as "efi-{nic}.rom"',
    {
        "type": "string",
        "minLength": 1,
        "pattern": _RELATIVE + r"(?:[^{}=*\n]|\{(?:nic|vendor|device|target)\})+$",
    },
    _text,
)
FILE_LIST = ValueType(
    'write a list of patterns, such as ["efi-{nic}.rom"]',
    {
        "type": "array",
        "items": {
            "type": "string",
            "pattern": _RELATIVE + r"(?:[^{}]|\{(?:nic|vendor|device|target)\})+$",
        },
    },
    _each(FILE_PATTERN),
    blank=(),
)
PLATFORMS = TEXTS._replace(
    right='write a list of platforms, such as ["pcbios", "x86_64-efi"]; or ["stub"] for a ROM with no code'
)
NAMES = TEXTS._replace(right='write a list of objects, such as ["efi_snp"]')
PATHS = TEXTS._replace(right='write a list of files, such as ["boot.ipxe"]')
CERTIFICATES = TEXTS._replace(right='write a list of files, such as ["ca.crt"]')
DIRECTORIES = TEXTS._replace(right='write a list of directories, such as ["usr/share/qemu"]')
FLAG = ValueType("write true or false, without quotes", {"type": "boolean"}, _flag)
ID = ValueType(
    'write vendor and device as four hexadecimal digits each, such as "8086:100e"',
    {"type": "string", "pattern": f"^{_IDS}$"},
    _ids,
    blank=None,
)
IDS = ValueType(
    'write a list of IDs, such as ["8086:100e"]',
    {"type": "array", "items": ID.schema},
    _each(ID),
    blank=(),
)
SIZE = ValueType(
    'write a power of two in KiB, MiB or bytes, such as "256KiB" or 262144',
    {"anyOf": [{"type": "string", "pattern": f"^(?:{'|'.join(_SIZE)})$"}, {"enum": _SIZES}]},
    parse_size,
)
AMOUNT = ValueType(
    'write a number of bytes, or KiB such as "4KiB"',
    {
        "anyOf": [
            {"type": "string", "pattern": "^[0-9]{1,5} ?KiB$"},
            {"type": "integer", "minimum": 0},
        ]
    },
    _amount,
)
SHA256 = ValueType(
    "write the 64 hexadecimal digits that sha256sum prints, in lower case",
    {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    _matching("[0-9a-f]{64}", "sha256"),
)
PACKAGE = ValueType(
    'write the name of a Debian package, such as "ipxe-qemu", or "ipxe-qemu/trixie" for that of a release that apt knows',
    {"type": "string", "pattern": f"^{_PACKAGE}$"},
    _matching(_PACKAGE, "package name"),
)
BIN = ValueType(
    'write what iPXE calls the directory, such as "bin" or "bin-x86_64-efi"',
    {"type": "string", "pattern": f"^{BINS}$"},
    _text,
    blank="bin",
)
MACRO = ValueType(
    "write its name alone, and a value by set = { NAME = 1 }",
    {"type": "string", "pattern": f"^{_MACRO}$"},
    _matching(_MACRO, "macro"),
)
MACROS = ValueType(
    'write a list of macros, such as ["NET_PROTO_IPV6"]',
    {"type": "array", "items": MACRO.schema},
    _each(MACRO),
    blank=(),
)
SYMBOL = ValueType(
    'write the symbol\'s name, such as "obj_config"',
    {"type": "string", "pattern": f"^{_MACRO}$"},
    _matching(_MACRO, "symbol"),
)
SYMBOLS = ValueType(
    'write a list of symbols, such as ["obj_config"]',
    {"type": "array", "items": SYMBOL.schema},
    _each(SYMBOL),
    blank=(),
)
OBJECT = ValueType(
    'write an object\'s name, and a level if there should be one, such as "http:2"',
    {"type": "string", "pattern": f"^{_OBJECT}$"},
    _matching(_OBJECT, "object to debug"),
)
OBJECTS = ValueType(
    'write a list of objects, such as ["e1000", "http:2"]',
    {"type": "array", "items": OBJECT.schema},
    _each(OBJECT),
    blank=(),
)
GOAL = ValueType(
    'write it as make\'s goal has it, such as "rtl8139", "8086100e" or "1af41000--1af41041"',
    {"type": "string", "pattern": f"^{_GOAL}$"},
    _matching(_GOAL, "name of an image"),
)
VARIABLES = ValueType(
    'write a table, such as { NAME = "value" }',
    {
        "type": "object",
        "patternProperties": {
            f"^{_MACRO}$": {"type": ["string", "integer", "boolean"], "pattern": r"^[^\n\u0000]*$"}
        },
        "additionalProperties": False,
    },
    _variables,
    blank=(),
)
MEDIA = ValueType(
    'write "rom", "mrom", "efidrv" or "efirom"',
    {"enum": ["rom", "mrom", "efidrv", "efirom"]},
    _matching("rom|mrom|efidrv|efirom", "medium of an option ROM"),
)
LEVEL = ValueType(
    'write "stored", "fast", "default" or "best"',
    {"enum": ["stored", "fast", "default", "best"]},
    _matching("stored|fast|default|best", "level of compression"),
)
_STRENGTHS = "none", "safe", "minimal"
STRENGTH = ValueType(
    'write "none", "safe" or "minimal"',
    {"enum": list(_STRENGTHS)},
    _matching("|".join(_STRENGTHS), "strength"),
)
STRENGTH_OR_TABLE = STRENGTH._replace(right=f"{STRENGTH.right}, or a table")
_WORD = "[A-Za-z0-9_.-]+"
DEVICE = ValueType(
    'write it as for -device, such as "virtio-net-pci,disable-legacy=on"',
    {"type": "string", "pattern": f"^{_WORD}(?:,{_WORD}={_WORD})*$"},
    _matching(f"{_WORD}(?:,{_WORD}={_WORD})*", "device of QEMU"),
)
MARK = ValueType(
    'write a part of a line, such as "iPXE initialising devices"; {nic}, {vendor} and {device} are filled in',
    {"type": "string", "pattern": r"^(?:[ -z|~]|\{(?:nic|vendor|device)\})+$"},
    _matching(r"(?:[ -z|~]|\{(?:nic|vendor|device)\})+", "mark"),
)
SECONDS = ValueType(
    "write a number of seconds from 1 to 3600",
    {"type": "integer", "minimum": 1, "maximum": 3600},
    _seconds,
)
LAUNCHER = ValueType(
    'write a command, such as "ccache" or ["env", "CCACHE_DIR=/srv/ccache", "ccache"]; "" for none',
    {
        "anyOf": [
            {"type": "string", "pattern": r"^\s*(?:[^-=\s][^=\s]*(?:\s.*)?)?$"},
            {"type": "array", "items": _ENTRY},
        ]
    },
    _launcher,
    blank=(),
)
JOBS = ValueType(
    f'write a number of jobs from 1 to {MOST_JOBS}, or "distcc"',
    {"anyOf": [{"type": "integer", "minimum": 1, "maximum": MOST_JOBS}, {"enum": ["distcc"]}]},
    _jobs,
    blank=None,
)
FIRMWARES_ALL = "bios", "x86_64", "arm64", "riscv64", "loong64"  # that QEMU has machines for
MODES_ALL = "default", "romfile"
NETWORKS_ALL = "ipv4", "ipv6"
NETWORKS = _some_of(NETWORKS_ALL)
FIRMWARES, MODES, STARTS = (
    _some_of(words) for words in (FIRMWARES_ALL, MODES_ALL, FIRMWARES_ALL[1:])
)
SOURCES = TEXTS._replace(right='write a list of sources, such as ["bookworm"]')
NICS = ValueType(
    'write "*" or a list of NICs, such as ["e1000"]',
    {"anyOf": [{"const": "*"}, {"type": "array", "items": _ENTRY | {"not": {"const": "*"}}}]},
    _nics,
    blank=(),
)


def subtable(cls: type) -> ValueType:
    """A key whose value is a table with keys of its own."""
    return ValueType("", {}, lambda value: value, cls)
