# SPDX-License-Identifier: GPL-2.0-or-later
"""How tables of romspec.toml are read: keys of a dataclass, each of a kind of value, and what is said where one is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, field, fields
from typing import Any, NamedTuple, TypeVar

from romforge.base.text import did_you_mean, join_words

Path = tuple[str | int, ...]  # keys and list indices from the top of the file
T = TypeVar("T")
_LONGEST_SHOWN = 80  # characters
HUGE = 256  # bits; Python refuses to write numbers of some thousand digits
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


class ValueType(NamedTuple):
    """A kind of value: ``read`` returns it in the form the program uses, or raises ValueError with what is wrong.

    Where elements of a list or table are wrong, that is an ElementsError.
    """

    right: str
    schema: Mapping[str, Any]
    read: Callable[[Any], Any]
    table: type | None = None  # the dataclass of a table in the table
    blank: Any = ""  # stands in for a missing or wrong value, so that the rest can be checked


class ElementsError(ValueError):
    """Elements of a list or table are wrong: the text for each, and the rest with blanks in their places."""

    def __init__(self, wrong: Mapping[str | int, str], rest: Any) -> None:
        super().__init__("; ".join(wrong.values()))
        self.wrong = wrong
        self.rest = rest


class Problem(NamedTuple):
    """Something wrong with the spec at a path of keys: what, and what would be right."""

    path: Path
    what: str
    right: str = ""
    word: str = ""  # may be a near miss of one of ``known``
    known: Iterable[str] = ()

    @property
    def text(self) -> str:
        """All of it; made for the problems that are shown only, since near misses take their time."""
        return (
            self.what
            + (did_you_mean(self.word, self.known) if self.word else "")
            + (f"; {self.right}" if self.right else "")
        )


def key(kind: ValueType, doc: str, default: Any = MISSING) -> Any:
    """A dataclass field that is a key of the spec; without ``default`` the key must be given."""
    return field(default=default, metadata={"kind": kind, "doc": doc})


def read_table(cls: type[T], raw: object, path: Path, problems: list[Problem]) -> T | None:
    """Reads a table into a dataclass of ``key`` fields, adding what is wrong to ``problems``.

    A wrong or missing key takes its kind's blank; None where there is no table at all.
    """
    known = {one.name: one for one in fields(cls)}  # type: ignore[arg-type]
    if not isinstance(raw, dict):
        hint = f"its keys are {join_words(known)}"
        problems.append(Problem(path, f"must be a table, not {show(raw)}", hint))
        return None
    if not raw.keys() <= known.keys():
        right = f"known are {join_words(known)}"
        problems += [
            Problem((*path, name), "unknown key", right, name, known)
            for name in raw
            if name not in known
        ]
    values = {}
    for name, one in known.items():
        kind: ValueType = one.metadata["kind"]
        if name in raw:
            values[name] = _value(kind, raw[name], (*path, name), problems)
        elif one.default is not MISSING:
            values[name] = one.default
        else:
            values[name] = kind.blank
            problems.append(Problem((*path, name), f"missing: {one.metadata['doc']}", kind.right))
    return cls(**values)


def _value(kind: ValueType, raw: object, path: Path, problems: list[Problem]) -> Any:
    if kind.table and (isinstance(raw, dict) or not kind.schema):
        return read_table(kind.table, raw, path, problems)
    try:
        return kind.read(raw)
    except ElementsError as error:
        problems += [Problem((*path, part), text) for part, text in error.wrong.items()]
        return error.rest
    except ValueError as error:
        problems.append(Problem(path, str(error), kind.right))
        return kind.blank


def show(value: object) -> str:
    """A value as the spec would write it, cut where it is long."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        text = value if len(value) <= _LONGEST_SHOWN else value[: _LONGEST_SHOWN - 3] + "..."
        return (
            '"'
            + "".join(
                _ESCAPES.get(one) or (one if one.isprintable() else f"\\u{ord(one):04x}")
                for one in text
            )
            + '"'
        )
    if isinstance(value, (dict, list)):
        return "a table" if isinstance(value, dict) else "a list"
    return "a huge number" if isinstance(value, int) and value.bit_length() > HUGE else str(value)
