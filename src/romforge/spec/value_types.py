# SPDX-License-Identifier: GPL-2.0-or-later
"""The types of values in romspec.toml: how each is read, the hint in errors, the JSON Schema."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypeGuard

from romforge.base.arch import BY_NAME
from romforge.base.jobserver import MOST_JOBS
from romforge.base.pci_id import PciId
from romforge.base.text import format_size, join_words
from romforge.spec.fields import HUGE, ElementsError, ValueType, show


def _read_string(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{show(value)} is not a string")
    if not value:
        raise ValueError("the string is empty")
    if "\0" in value:
        raise ValueError("the string contains a NUL character")
    return value


def _is_integer(value: object) -> TypeGuard[int]:
    """Whether a value is an integer; in Python a boolean is one, in TOML it is not."""
    return isinstance(value, int) and not isinstance(value, bool)


def _match(pattern: str, expected: str) -> Callable[[object], str]:
    """A reader of strings that match a pattern; ``expected`` is what they are, with its article."""

    def read(value: object) -> str:
        text = _read_string(value)
        if not re.fullmatch(pattern, text):
            raise ValueError(f"{show(text)} is not {expected}")
        return text

    return read


def _read_each(element: ValueType) -> Callable[[object], tuple[Any, ...]]:
    """A reader of lists whose elements are of one type."""

    def read(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise ValueError(f"{show(value)} is not a list")
        elements: list[Any] = []
        messages: dict[str | int, str] = {}
        for index, raw in enumerate(value):
            try:
                elements.append(element.read(raw))
            except ValueError as error:
                elements.append(element.placeholder)
                messages[index] = f"{error}; {element.hint}"
        if messages:
            raise ElementsError(messages, tuple(elements))
        return tuple(elements)

    return read


def _list_of(element: ValueType, hint: str) -> ValueType:
    schema = {"type": "array", "items": element.schema}
    return ValueType(hint, schema, _read_each(element), placeholder=())


def _one_of(choices: tuple[str, ...], expected: str) -> ValueType:
    """One of a few words; ``expected`` is what they are, with its article."""
    hint = f"write {_join_choices(choices)}"
    return ValueType(hint, {"enum": list(choices)}, _match("|".join(choices), expected))


def _some_of(choices: tuple[str, ...]) -> ValueType:
    """A list of some of a few words."""
    hint = f"write a list of {join_words(map(show, choices))}"
    return _list_of(_one_of(choices, "a known value")._replace(hint=hint), hint)


def _join_choices(choices: tuple[str, ...]) -> str:
    """``("rom", "mrom")`` as ``"rom" or "mrom"``."""
    *others, last = map(show, choices)
    return f"{', '.join(others)} or {last}"


def _read_nics(value: object) -> tuple[str, ...] | None:
    if value == "*":
        return None
    if isinstance(value, list) and "*" in value:
        raise ValueError('"*" is not allowed in a list')
    return _read_each(TEXT)(value)


def _read_machines(value: object) -> tuple[str, ...]:
    patterns = _read_each(MACHINE)(value)
    if not patterns:
        raise ValueError("the list is empty")
    return patterns


def _read_seconds(value: object) -> int:
    if not _is_integer(value) or not 0 < value <= 3600:
        raise ValueError(f"{show(value)} is not a valid number of seconds")
    return value


def _read_launcher(value: object) -> tuple[str, ...]:
    """The words of a command, from a list or a shell-quoted string; empty for no launcher."""
    if isinstance(value, list):
        words = list(_read_each(TEXT)(value))
    elif isinstance(value, str):
        words = _split_command(value)
    else:
        raise ValueError(f"{show(value)} is not a command")
    if not all(word.isprintable() for word in words):
        raise ValueError("the command contains a control character")
    if words and ("=" in words[0] or words[0].startswith("-")):
        raise ValueError(f"the command begins with {show(words[0])}, which is not a program")
    return tuple(words)


def _split_command(command: str) -> list[str]:
    import shlex

    try:
        return shlex.split(command)
    except ValueError:
        message = f"{show(command)} has no closing quote, or ends in a backslash"
        raise ValueError(message) from None


def _read_jobs(value: object) -> int | str:
    if value == "distcc":
        return "distcc"
    if not _is_integer(value) or not 0 < value <= MOST_JOBS:
        raise ValueError(f"{show(value)} is not a valid number of jobs")
    return value


def _read_flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{show(value)} is not a boolean")
    return value


def _read_ids(value: object) -> PciId:
    vendor, device = _match(_IDS, "of the form vvvv:dddd")(value).split(":")
    return PciId(int(vendor, 16), int(device, 16))


def parse_size(value: object) -> int:
    """The size in bytes of ``"256KiB"``, ``"1MiB"`` or a number of bytes.

    Raises ValueError unless it is a power of two from 2 KiB to 16 MiB.

    >>> parse_size("256KiB"), parse_size(2048)
    (262144, 2048)
    """
    size, shown = _read_bytes(value, r"([1-9][0-9]{0,8}) ?(KiB|MiB)?")
    if size < _SIZES[0]:
        raise ValueError(f"{shown} is less than 2 KiB")
    if size > _SIZES[-1]:
        raise ValueError(f"{shown} is more than 16 MiB")
    if size not in _SIZES:
        larger = format_size(1 << size.bit_length())
        raise ValueError(f"{shown} is not a power of two, the next is {larger}")
    return size


def _read_bytes(value: object, pattern: str) -> tuple[int, str]:
    """The bytes of a number, or of text with a number and a unit, and how to show the value.

    ``pattern`` is a regular expression with a group for each. Raises ValueError.
    """
    shown = show(value)
    if isinstance(value, str):
        match = re.fullmatch(pattern, value)
        if match:
            return int(match[1]) << _SHIFTS[match[2]], shown
    elif _is_integer(value):
        if abs(value) < 1 << HUGE:
            shown += " bytes"
        return value, shown
    raise ValueError(f"{shown} is not a valid size")


def _read_limit(value: object) -> int:
    """A size in bytes, which need not be a power of two; from a block to 16 MiB."""
    size, shown = _read_bytes(value, r"([1-9][0-9]{0,4}) ?(KiB|MiB)")
    if size < _SMALLEST_LIMIT:
        raise ValueError(f"{shown} is less than {_SMALLEST_LIMIT} bytes, the smallest image")
    if size > _SIZES[-1]:
        raise ValueError(f"{shown} is more than 16 MiB")
    return size


def _read_byte_count(value: object) -> int:
    if isinstance(value, str):
        match = re.fullmatch("([0-9]{1,5}) ?KiB", value)
        if match:
            return int(match[1]) << 10
    elif _is_integer(value) and value >= 0:
        return value
    raise ValueError(f"{show(value)} is not a valid number of bytes")


class Variable(NamedTuple):
    """A variable of make. ``environment`` names the variable that its value came from, if any."""

    name: str
    value: str
    environment: str | None = None


def _read_make_variables(value: object) -> tuple[Variable, ...]:
    """A table of make variables, sorted by name.

    A value may be ``{ env = NAME }`` or ``{ env = NAME, default = VALUE }``: it is then what the
    environment has as the spec is read.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{show(value)} is not a table")
    written: dict[str, object] = {}
    origins: dict[str, str] = {}
    messages: dict[str | int, str] = {}
    for name, raw in value.items():
        written[name] = raw
        if isinstance(raw, dict):
            try:
                origins[name], written[name] = _from_environment(raw)
            except ValueError as error:
                messages[name] = str(error)
                del written[name]
    try:
        pairs = _read_variables(written)
    except ElementsError as error:
        messages.update(error.messages)
    if messages:
        raise ElementsError(messages, ())
    return tuple(Variable(name, text, origins.get(name)) for name, text in pairs)


def _from_environment(table: dict[str, object]) -> tuple[str, object]:
    """The name of a variable of the environment, and its value or the default.

    Raises ValueError.
    """
    name = table.get("env")
    if not isinstance(name, str) or not re.fullmatch(_MACRO, name) or not table.keys() <= _ENV_KEYS:
        raise ValueError('write { env = "NAME" }, or { env = "NAME", default = "VALUE" }')
    value = os.environ.get(name, table.get("default"))
    if value is None:
        raise ValueError(f"the environment has no {name}; export it, or write default = VALUE")
    return name, value


def _read_variables(value: object) -> tuple[tuple[str, str], ...]:
    """A table of make variables or C macros, as pairs sorted by name.

    Numbers and booleans become strings.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{show(value)} is not a table")
    messages: dict[str | int, str] = {}
    variables = []
    for name, raw in value.items():
        message = _check_variable(name, raw)
        if message:
            messages[name] = message
        elif isinstance(raw, bool):
            variables.append((name, str(int(raw))))
        else:
            variables.append((name, str(raw)))
    if messages:
        raise ElementsError(messages, ())
    return tuple(sorted(variables))


def _check_variable(name: str, value: object) -> str | None:
    """What is wrong with a variable and what to write instead; None if it is valid."""
    if not re.fullmatch(_MACRO, name):
        return (
            f"{show(name)} is not a valid name of a variable or macro;"
            " write letters, digits and _, but not a digit first"
        )
    if not isinstance(value, (str, int)):
        return f"{show(value)} is neither a string nor an integer; write a string in quotes"
    if isinstance(value, str) and ("\0" in value or "\n" in value):
        return "the string contains a line break or a NUL character; write a single line"
    if isinstance(value, int) and value.bit_length() > HUGE:
        return "the number is too large; write it as a string in quotes"
    return None


def _read_no_table(value: object) -> object:
    raise ValueError(f"{show(value)} is not a table")


_ENV_KEYS = {"env", "default"}
_SHIFTS = {None: 0, "KiB": 10, "MiB": 20}
# 2 KiB to 16 MiB, the sizes that a PCI expansion ROM base address register can request
_SIZES = [1 << shift for shift in range(11, 25)]
_SIZE = "|".join(
    [f"{size >> 10} ?KiB" for size in _SIZES]
    + [f"{size >> 20} ?MiB" for size in _SIZES if size >> 20]
    + [str(size) for size in _SIZES]
)
_SMALLEST_LIMIT = 512  # bytes: a block, of which each image is a whole number
# 1 to 16384 KiB, or 1 to 16 MiB
_KIB = "[1-9][0-9]{0,3}|1[0-5][0-9]{3}|16[0-2][0-9]{2}|163[0-7][0-9]|1638[0-4]"
_LIMIT = f"(?:{_KIB}) ?KiB|(?:[1-9]|1[0-6]) ?MiB"
_IDS = "[0-9a-fA-F]{4}:[0-9a-fA-F]{4}"
_MACRO = "[A-Za-z_][A-Za-z0-9_]*"
_OBJECT = "[A-Za-z0-9_-]+(?::[0-9]+)?"
_GOAL = "[A-Za-z0-9_]+(?:-{1,2}[A-Za-z0-9_]+)*"
# The forms that apt-get takes: NAME, NAME/RELEASE, NAME=VERSION.
_PACKAGE = "[a-z0-9][a-z0-9+.-]+(?:/[a-z0-9][a-z0-9.-]*|=[0-9][A-Za-z0-9.+~:-]*)?"
_WORD = "[A-Za-z0-9_.-]+"
_DEVICE = f"{_WORD}(?:,{_WORD}={_WORD})*"
_MACHINE = r"(?=.*[A-Za-z0-9])[A-Za-z0-9_.+*?-]+"
_MARK = r"(?:[ -z|~]|\{(?:nic|vendor|device)\})+"
# The start of a pattern: relative paths that neither go up nor lead into romforge's state.
_RELATIVE = r"^(?!/)(?!(?:.*/)?\.\.(?:/|$))(?!(?:\./)*\.romforge(?:/|$))"
_PLACEHOLDER = r"\{(?:nic|vendor|device|target)\}"
_EFI_ARCHS = "|".join(BY_NAME)
# A regular expression for the names of iPXE's BIN directories.
BINS = rf"bin(?:-(?:(?:i386|x86_64)-)?pcbios|-(?:(?:{_EFI_ARCHS})-)?efi(?:-sb)?)?"
_NONEMPTY = {"type": "string", "minLength": 1}


def _pattern(expression: str, **rules: object) -> dict[str, object]:
    """The JSON Schema of strings that match a whole regular expression."""
    return {"type": "string", **rules, "pattern": expression}


TEXT = ValueType("write a string in quotes", _NONEMPTY, _read_string)
TEXTS = _list_of(TEXT, 'write a list of strings, such as ["a", "b"]')
DIRECTORY = ValueType(
    'write a path in quotes, such as "usr/share/qemu"',
    _pattern(_RELATIVE + r"[^{}=*\n]+$", minLength=1),
    _read_string,
)
FILE_PATTERN = ValueType(
    'write a pattern in quotes, such as "efi-{nic}.rom"',
    _pattern(_RELATIVE + rf"(?:[^{{}}=*\n]|{_PLACEHOLDER})+$", minLength=1),
    _read_string,
)
FILE_LIST = ValueType(
    'write a list of patterns, such as ["efi-{nic}.rom"]',
    {"type": "array", "items": _pattern(_RELATIVE + rf"(?:[^{{}}]|{_PLACEHOLDER})+$")},
    _read_each(FILE_PATTERN),
    placeholder=(),
)
PLATFORMS = TEXTS._replace(
    hint=(
        'write a list of platforms, such as ["pcbios", "x86_64-efi"],'
        ' or ["stub"] for a ROM without code'
    )
)
NAMES = TEXTS._replace(hint='write a list of objects, such as ["efi_snp"]')
PATHS = TEXTS._replace(hint='write a list of files, such as ["boot.ipxe"]')
CERTIFICATES = TEXTS._replace(hint='write a list of files, such as ["ca.crt"]')
DIRECTORIES = TEXTS._replace(hint='write a list of directories, such as ["usr/share/qemu"]')
SOURCES = TEXTS._replace(hint='write a list of sources, such as ["bookworm"]')
NICS = ValueType(
    'write "*" or a list of NICs, such as ["e1000"]',
    {"anyOf": [{"const": "*"}, {"type": "array", "items": _NONEMPTY | {"not": {"const": "*"}}}]},
    _read_nics,
    placeholder=(),
)
FLAG = ValueType("write true or false, without quotes", {"type": "boolean"}, _read_flag)
ID = ValueType(
    'write vendor and device as four hexadecimal digits each, such as "8086:100e"',
    _pattern(f"^{_IDS}$"),
    _read_ids,
    placeholder=None,
)
IDS = _list_of(ID, 'write a list of IDs, such as ["8086:100e"]')
SIZE = ValueType(
    'write a power of two in KiB, MiB or bytes, such as "256KiB" or 262144',
    {"anyOf": [_pattern(f"^(?:{_SIZE})$"), {"enum": _SIZES}]},
    parse_size,
)
LIMIT = ValueType(
    'write a size in KiB, MiB or bytes, such as "56KiB" or 57344',
    {
        "anyOf": [
            _pattern(f"^(?:{_LIMIT})$"),
            {"type": "integer", "minimum": _SMALLEST_LIMIT, "maximum": _SIZES[-1]},
        ]
    },
    _read_limit,
    placeholder=None,
)
AMOUNT = ValueType(
    'write a number of bytes, or of KiB such as "4KiB"',
    {"anyOf": [_pattern("^[0-9]{1,5} ?KiB$"), {"type": "integer", "minimum": 0}]},
    _read_byte_count,
)
SHA256 = ValueType(
    "write the 64 hexadecimal digits that sha256sum prints, in lower case",
    _pattern("^[0-9a-f]{64}$"),
    _match("[0-9a-f]{64}", "a SHA-256 digest"),
)
# A tag's name may have what git allows, but no character that means something to git elsewhere.
COMMIT = "[0-9a-f]{40}|[0-9a-f]{64}"
_TAG = r"(?![0-9a-f]{4,}$)(?!.*\.\.)(?!.*\.lock$)[A-Za-z0-9](?:[A-Za-z0-9._/+-]*[A-Za-z0-9])?"
REVISION = ValueType(
    "write all 40 digits of a commit, or the name of a signed tag",
    _pattern(f"^(?:{COMMIT}|{_TAG})$"),
    _match(f"{COMMIT}|{_TAG}", "a commit or a tag"),
)
PACKAGE = ValueType(
    'write the name of a Debian package, such as "ipxe-qemu",'
    ' or with a release that apt knows, such as "ipxe-qemu/trixie"',
    _pattern(f"^{_PACKAGE}$"),
    _match(_PACKAGE, "a package name"),
)
BIN = ValueType(
    'write the name of iPXE\'s directory, such as "bin" or "bin-x86_64-efi"',
    _pattern(f"^{BINS}$"),
    _read_string,
    placeholder="bin",
)
MACRO = ValueType(
    "write the name alone, and a value in set = { NAME = 1 }",
    _pattern(f"^{_MACRO}$"),
    _match(_MACRO, "the name of a macro"),
)
MACROS = _list_of(MACRO, 'write a list of macros, such as ["NET_PROTO_IPV6"]')
SYMBOL = ValueType(
    'write the name of a symbol, such as "obj_config"',
    _pattern(f"^{_MACRO}$"),
    _match(_MACRO, "the name of a symbol"),
)
SYMBOLS = _list_of(SYMBOL, 'write a list of symbols, such as ["obj_config"]')
OBJECT = ValueType(
    'write the name of an object, with a level if you want one, such as "http:2"',
    _pattern(f"^{_OBJECT}$"),
    _match(_OBJECT, "a valid object to debug"),
)
OBJECTS = _list_of(OBJECT, 'write a list of objects, such as ["e1000", "http:2"]')
GOAL = ValueType(
    'write it as in a goal of make, such as "rtl8139", "8086100e" or "1af41000--1af41041"',
    _pattern(f"^{_GOAL}$"),
    _match(_GOAL, "the name of an image"),
)
BOOT_FILE = ValueType(
    'write the name of a file that make builds in BIN, such as "ipxe.lkrn" or "snponly.efi"',
    _pattern(r"^[A-Za-z0-9_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)+$"),
    _match(r"[A-Za-z0-9_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)+", "the name of a file of iPXE"),
)
_VALUE = {"type": ["string", "integer", "boolean"], "pattern": r"^[^\n\u0000]*$"}
VARIABLES = ValueType(
    'write a table, such as { NAME = "value" }',
    {
        "type": "object",
        "patternProperties": {f"^{_MACRO}$": _VALUE},
        "additionalProperties": False,
    },
    _read_variables,
    placeholder=(),
)
_FROM_ENVIRONMENT = {
    "type": "object",
    "properties": {"env": _pattern(f"^{_MACRO}$"), "default": _VALUE},
    "required": ["env"],
    "additionalProperties": False,
}
MAKE_VARIABLES = VARIABLES._replace(
    hint='write a table, such as { NAME = "value" } or { NAME = { env = "NAME" } }',
    schema={
        "type": "object",
        "patternProperties": {f"^{_MACRO}$": {"anyOf": [_VALUE, _FROM_ENVIRONMENT]}},
        "additionalProperties": False,
    },
    read=_read_make_variables,
)
MEDIA = _one_of(("rom", "mrom", "efidrv", "efirom"), "a medium of an option ROM")
LEVEL = _one_of(("stored", "fast", "default", "best"), "a level of compression")
STRENGTH = _one_of(("none", "safe", "minimal"), "a strength")
STRENGTH_OR_TABLE = STRENGTH._replace(hint=f"{STRENGTH.hint}, or a table")
SIGN_TABLE = ValueType(
    'write a table, such as { key = "db.key", certificate = "db.crt" }',
    {},
    _read_no_table,
    placeholder=None,
)
DEVICE = ValueType(
    'write it as for -device, such as "virtio-net-pci,disable-legacy=on"',
    _pattern(f"^{_DEVICE}$"),
    _match(_DEVICE, "a QEMU device"),
)
MACHINE = ValueType(
    "write the name of a machine type, in which * and ? may stand for other characters,"
    ' such as "pc-i440fx-7.2" or "pc-*-6.*"',
    _pattern(f"^{_MACHINE}$"),
    _match(_MACHINE, "a pattern of machine types"),
)
MACHINE_TYPES = ValueType(
    'write a list of machine types, such as ["pc-i440fx-7.2", "pc-*-6.*"],'
    " or leave machines out for all types that no other target names",
    {"type": "array", "items": MACHINE.schema, "minItems": 1},
    _read_machines,
    placeholder=None,
)
MARK = ValueType(
    'write part of a line, such as "iPXE initialising devices";'
    " {nic}, {vendor} and {device} are replaced",
    _pattern(f"^{_MARK}$"),
    _match(_MARK, "a valid mark"),
)
SECONDS = ValueType(
    "write a number of seconds from 1 to 3600",
    {"type": "integer", "minimum": 1, "maximum": 3600},
    _read_seconds,
)
LAUNCHER = ValueType(
    'write a command, such as "ccache" or ["env", "CCACHE_DIR=/srv/ccache", "ccache"]; "" for none',
    {
        "anyOf": [
            _pattern(r"^\s*(?:[^-=\s][^=\s]*(?:\s.*)?)?$"),
            {"type": "array", "items": _NONEMPTY},
        ]
    },
    _read_launcher,
    placeholder=(),
)
JOBS = ValueType(
    f'write a number of jobs from 1 to {MOST_JOBS}, or "distcc"',
    {"anyOf": [{"type": "integer", "minimum": 1, "maximum": MOST_JOBS}, {"enum": ["distcc"]}]},
    _read_jobs,
    placeholder=None,
)
FIRMWARES_ALL = "bios", "i386", "x86_64", "arm64", "riscv64", "loong64"  # QEMU has machines for all
MODES_ALL = "default", "romfile"
NETWORKS_ALL = "ipv4", "ipv6"
MACHINES_ALL = "pc", "q35", "arm64", "riscv64", "loong64"  # those on which guests migrate
FIRMWARES = _some_of(FIRMWARES_ALL)
MODES = _some_of(MODES_ALL)
NETWORKS = _some_of(NETWORKS_ALL)
MACHINES = _some_of(MACHINES_ALL)
STARTS = _some_of(FIRMWARES_ALL[1:])  # architectures
