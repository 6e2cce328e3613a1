# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads tables of romspec.toml into dataclasses.

Each key of a table is a field of the dataclass. ``key`` declares it, with the type of its value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, field, fields
from typing import Any, NamedTuple, TypeVar

from romforge.base.text import did_you_mean, join_words

Path = tuple[str | int, ...]  # keys and list indices from the top of the file
T = TypeVar("T")
_LONGEST_SHOWN = 80  # characters
HUGE = 256  # bits; Python refuses to print numbers of some thousand digits
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


class ValueType(NamedTuple):
    """The type of a key's value.

    ``read`` converts a value of the TOML parser to the form that the program uses. For a wrong
    value it raises ValueError, for wrong elements of a list or table ElementsError.
    """

    hint: str  # the remedy, in errors: "write ..."
    schema: Mapping[str, Any]  # JSON Schema
    read: Callable[[Any], Any]
    table: type | None = None  # the dataclass of the table that may be written instead
    placeholder: Any = ""  # replaces a missing or wrong value, so that the rest can be checked


class ElementsError(ValueError):
    """Elements of a list or table are wrong.

    ``messages`` has a message for each, by index or key. ``value`` is the list or table with
    placeholders for the wrong elements.
    """

    def __init__(self, messages: Mapping[str | int, str], value: Any) -> None:
        super().__init__("; ".join(messages.values()))
        self.messages = messages
        self.value = value


class Problem(NamedTuple):
    """A problem of the spec, and where it is."""

    path: Path
    message: str
    hint: str | None = None  # the remedy
    name: str | None = None  # a name that may be a near miss of one in ``known``
    known: Iterable[str] = ()

    @property
    def text(self) -> str:
        """Message, near miss and remedy.

        A property, since near misses take time to find: only the problems that are shown need it.
        """
        text = self.message
        if self.name:
            text += did_you_mean(self.name, self.known)
        if self.hint:
            text += f"; {self.hint}"
        return text


def key(value_type: ValueType, doc: str, default: Any = MISSING) -> Any:
    """A dataclass field for a key of the spec; a key without ``default`` is required."""
    return field(default=default, metadata={"kind": value_type, "doc": doc})


def read_table(cls: type[T], raw: object, path: Path, problems: list[Problem]) -> T | None:
    """Reads a table into a dataclass of ``key`` fields, and appends to ``problems``.

    A wrong or missing value is replaced by the placeholder of its type. Returns None if ``raw`` is
    not a table.
    """
    known = {declared.name: declared for declared in fields(cls)}  # type: ignore[arg-type]
    if not isinstance(raw, dict):
        hint = f"its keys are {join_words(known)}"
        problems.append(Problem(path, f"must be a table, not {show(raw)}", hint))
        return None
    if not raw.keys() <= known.keys():
        hint = f"known keys are {join_words(known)}"
        for name in raw:
            if name not in known:
                problems.append(Problem((*path, name), "unknown key", hint, name, known))
    values = {}
    for name, declared in known.items():
        value_type: ValueType = declared.metadata["kind"]
        if name in raw:
            values[name] = _read_value(value_type, raw[name], (*path, name), problems)
        elif declared.default is not MISSING:
            values[name] = declared.default
        else:
            values[name] = value_type.placeholder
            message = f"missing: {declared.metadata['doc']}"
            problems.append(Problem((*path, name), message, value_type.hint))
    return cls(**values)


def _read_value(value_type: ValueType, raw: object, path: Path, problems: list[Problem]) -> Any:
    if value_type.table and isinstance(raw, dict):
        return read_table(value_type.table, raw, path, problems)
    try:
        return value_type.read(raw)
    except ElementsError as error:
        for part, message in error.messages.items():
            problems.append(Problem((*path, part), message))
        return error.value
    except ValueError as error:
        problems.append(Problem(path, str(error), value_type.hint))
        return value_type.placeholder


def show(value: object) -> str:
    """A value as TOML writes it; long strings are cut.

    >>> show("e1000"), show(True), show([1, 2])
    ('"e1000"', 'true', 'a list')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _show_string(value)
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, int) and value.bit_length() > HUGE:
        return "a huge number"
    return str(value)


def _show_string(text: str) -> str:
    if len(text) > _LONGEST_SHOWN:
        text = text[: _LONGEST_SHOWN - 3] + "..."
    return '"' + "".join(map(_escape_character, text)) + '"'


def _escape_character(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    return f"\\u{ord(character):04x}"
