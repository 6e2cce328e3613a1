# SPDX-License-Identifier: GPL-2.0-or-later
"""The lines of keys and list elements, for each construct of TOML."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from romforge.base.toml_parser import parse_toml
from romforge.spec.toml_positions import locate_keys
from tests.support.project import TOP, spec_text
from tests.support.specs import WHOLE
from tests.support.yardstick import ratio

CASES: dict[str, tuple[str, dict[tuple[str | int, ...], int]]] = {
    "plain keys": ("a = 1\n\n# comment\nb = 2 # b = 3\n", {("a",): 1, ("b",): 4}),
    "dotted keys": (
        "a.b.c = 1\na . d = 2\n",
        {("a",): 1, ("a", "b"): 1, ("a", "b", "c"): 1, ("a", "d"): 2},
    ),
    "quoted keys": (
        '"a.b" = 1\n\'c#d\' = 2\n"[e]" = 3\n"f = g" = 4\n"" = 5\n"\'" = 6\n\'"\' = 7\n',
        {("a.b",): 1, ("c#d",): 2, ("[e]",): 3, ("f = g",): 4, ("",): 5, ("'",): 6, ('"',): 7},
    ),
    "escapes in keys": (
        '"a\\"b" = 1\n"\\u00e9" = 2\n"\\U0001F600" = 3\n'
        '"tab\\there" = 4\n"\\\\" = 5\n\'\\u00e9\' = 6\n',
        {('a"b',): 1, ("é",): 2, ("😀",): 3, ("tab\there",): 4, ("\\",): 5, ("\\u00e9",): 6},
    ),
    "quoted keys in headers": (
        "x = 1\n[\"a.b\" . 'c]']\nd = 1\n",
        {("a.b",): 2, ("a.b", "c]"): 2, ("a.b", "c]", "d"): 3},
    ),
    "keys that look like values": (
        "1 = 1\n3.14 = 2\ntrue = 3\n1979-05-27 = 4\ninf = 5\n-1 = 6\n",
        {("1",): 1, ("3", "14"): 2, ("true",): 3, ("1979-05-27",): 4, ("inf",): 5, ("-1",): 6},
    ),
    "tables": (
        "[a]\nb = 1\n[ c . d ]\ne = 2\n",
        {("a",): 1, ("a", "b"): 2, ("c",): 3, ("c", "d"): 3, ("c", "d", "e"): 4},
    ),
    "a table after one in it": (
        "[a.b]\nc = 1\n[a]\nd = 2\n",
        {("a",): 3, ("a", "b"): 1, ("a", "b", "c"): 2, ("a", "d"): 4},
    ),
    "a dotted key under a header": (
        "[a]\nb.c = 1\nb.d = 2\n",
        {("a", "b"): 2, ("a", "b", "c"): 2, ("a", "b", "d"): 3},
    ),
    "inline tables": (
        "a = { b = 1, c.d = 2, 'e' = { f = [1] } }\n",
        dict.fromkeys(
            [
                ("a",),
                ("a", "b"),
                ("a", "c"),
                ("a", "c", "d"),
                ("a", "e"),
                ("a", "e", "f"),
                ("a", "e", "f", 0),
            ],
            1,
        ),
    ),
    "empty values": (
        "a = {}\nb = []\nc = ''\nd = \"\"\ne = 1\n",
        {("a",): 1, ("b",): 2, ("c",): 3, ("d",): 4, ("e",): 5},
    ),
    "lists over lines": (
        'a = [\n  1, # ] one\n\n  "]", [\n    2,\n    { b = 3 },\n  ],\n]\nc = 1\n',
        {
            ("a",): 1,
            ("a", 0): 2,
            ("a", 1): 4,
            ("a", 2): 4,
            ("a", 2, 0): 5,
            ("a", 2, 1): 6,
            ("a", 2, 1, "b"): 6,
            ("c",): 9,
        },
    ),
    "a list of dates and floats": (
        "a = [1979-05-27 07:32:00.5,\n07:32:00,\n-1.5e+3, inf]\n"
        "b = 1979-05-27T07:32:00-07:00\nc = 1\n",
        {("a", 0): 1, ("a", 1): 2, ("a", 2): 3, ("a", 3): 3, ("b",): 4, ("c",): 5},
    ),
    "basic strings of several lines": (
        'a = """\n[x]\nb = 1 # no comment\n"quotes" and "" too\\"""\n\\\n  """\n'
        'c = """"four""""\nd = """""five"""""\ne = 1\n',
        {("a",): 1, ("c",): 7, ("d",): 8, ("e",): 9},
    ),
    "literal strings of several lines": (
        "a = '''\n[x]\n'b' = 1\\'''\nc = '''''five'''''\nd = ['''\n''', '''\n''']\ne = 1\n",
        {("a",): 1, ("c",): 4, ("d", 0): 5, ("d", 1): 6, ("e",): 8},
    ),
    "arrays of tables": (
        "[[a]]\nb = 1\n[[a]]\nb = 2\n[a.c]\nd = 3\n[[a.e]]\nf = 4\n"
        "[[a.e]]\nf = 5\n[[a]]\n[a.c]\n[[a.e]]\n",
        {
            ("a",): 1,
            ("a", 0): 1,
            ("a", 0, "b"): 2,
            ("a", 1): 3,
            ("a", 1, "b"): 4,
            ("a", 1, "c"): 5,
            ("a", 1, "c", "d"): 6,
            ("a", 1, "e"): 7,
            ("a", 1, "e", 0, "f"): 8,
            ("a", 1, "e", 1): 9,
            ("a", 1, "e", 1, "f"): 10,
            ("a", 2): 11,
            ("a", 2, "c"): 12,
            ("a", 2, "e", 0): 13,
        },
    ),
    "carriage returns": (
        'a = 1\r\n[b]\r\nc = """\r\n\\\r\n"""\r\nd = 2 # x\r\ne = [\r\n1]',
        {("b", "c"): 3, ("b", "d"): 6, ("b", "e", 0): 8},
    ),
    "odd line breaks": ('# \u2028 \x85\na = "\u2029"\nb = 1', {("a",): 2, ("b",): 3}),
    "tabs and spaces": (
        "\ta\t=\t1\n  [ b ]\n\t\tc=[ 1 ,\t2 ]",
        {("a",): 1, ("b",): 2, ("b", "c", 1): 3},
    ),
    "no end of line": ("a = 1\nb = 2", {("b",): 2}),
    "nothing": ("", {}),
}


def paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The paths of all keys and list elements of a document."""
    children: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    collected = []
    for key, child in children:
        collected.append((*path, key))
        collected += paths(child, (*path, key))
    return collected


@pytest.mark.parametrize("name", CASES)
def test_the_line_of_each_key(name):
    """The reader finds the expected lines, and the same keys as the parser."""
    text, expected = CASES[name]
    lines = locate_keys(text)
    assert {path: lines.get(path) for path in expected} == expected
    assert set(lines) == set(paths(parse_toml(text)))


def test_toml_1_1_is_read_too():
    """Line breaks and a trailing comma in inline tables, and the new escape sequences."""
    lines = locate_keys('a = {\n  b = 1, # c\n  "\\x41\\e" = 2,\n}\nd = 1\n')
    assert lines == {("a",): 1, ("a", "b"): 2, ("a", "A\x1b"): 3, ("d",): 5}


def test_every_key_of_real_specs_is_located():
    """Each key of the checkout's spec, and of the spec with all keys, is on its line."""
    for text in ((TOP / "romspec.toml").read_text(), WHOLE):
        lines = locate_keys(text)
        assert set(lines) == set(paths(parse_toml(text)))
        source = text.split("\n")
        for path, line in lines.items():
            if isinstance(path[-1], str):
                assert path[-1] in source[line - 1]


KEYS = st.one_of(
    st.sampled_from(
        [
            "a",
            "1",
            "true",
            "a-b",
            "a.b",
            "a b",
            "#",
            "[",
            "]",
            "{",
            "=",
            '"',
            "'",
            "\\",
            "é",
            "",
            "tab\t",
            "\u2028",
        ]
    ),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=5),
)
LEAVES = st.one_of(
    st.integers(-99, 99),
    st.booleans(),
    st.sampled_from(
        ["", "x", "[a]", "b = 1", '"', "'", "#", "a\nb = 1\n[c]", '"""', "\\", "]", "}", ","]
    ),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
TABLES = st.dictionaries(KEYS, VALUES, max_size=5)


class Writer:
    """Writes a document in randomly chosen ways, and records the line of each key and element."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.text = ""
        self.lines: dict[tuple[str | int, ...], int] = {}

    def document(self, table: dict[str, Any]) -> str:
        self.table(table, ())
        return self.text

    def line(self) -> int:
        return self.text.count("\n") + 1

    def gap(self) -> None:
        """What may be between the elements of a list."""
        self.text += self.chance.choice(["", " ", "\n", " # ] = [x\n", "\n\n\t"])

    def table(self, table: dict[str, Any], path: tuple[str | int, ...]) -> None:
        """Pairs first, then the tables that get headers of their own."""
        with_headers = {}
        for key, value in table.items():
            if self.gets_header(value):
                with_headers[key] = value
                continue
            self.lines[(*path, key)] = self.line()
            self.text += self.key(key) + self.chance.choice([" = ", "=", "\t= "])
            self.value(value, (*path, key))
            self.text += self.chance.choice(["\n", " # c = 1\n", "\n\n"])
        for key, value in with_headers.items():
            self.lines[(*path, key)] = self.line()
            if isinstance(value, list):
                for index, element in enumerate(value):
                    self.table_with_header(element, (*path, key, index), "[[", "]]")
            else:
                self.table_with_header(value, (*path, key), "[", "]")

    def table_with_header(
        self, table: dict[str, Any], path: tuple[str | int, ...], opening: str, closing: str
    ) -> None:
        self.lines[path] = self.line()
        names = ".".join(self.key(part) for part in path if isinstance(part, str))
        self.text += f"{opening}{names}{closing}\n"
        self.table(table, path)

    def gets_header(self, value: Any) -> bool:
        """Whether to write a value as tables with headers."""
        if isinstance(value, list):
            is_table = bool(value) and all(isinstance(element, dict) for element in value)
        else:
            is_table = isinstance(value, dict)
        return is_table and self.chance.random() < 0.7

    def key(self, key: str) -> str:
        if re.fullmatch("[A-Za-z0-9_-]+", key) and self.chance.random() < 0.7:
            return key
        if "'" not in key and "\t" not in key and self.chance.random() < 0.5:
            return f"'{key}'"
        return self.basic_string(key)

    def basic_string(self, text: str) -> str:
        escapes = str.maketrans({'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"})
        return f'"{text.translate(escapes)}"'

    def value(self, value: Any, path: tuple[str | int, ...]) -> None:
        if isinstance(value, dict):
            self.inline_table(value, path)
        elif isinstance(value, list):
            self.list(value, path)
        elif isinstance(value, bool):
            self.text += str(value).lower()
        elif isinstance(value, str):
            self.text += self.string(value)
        else:
            self.text += str(value)

    def inline_table(self, table: dict[str, Any], path: tuple[str | int, ...]) -> None:
        self.text += "{ "
        for number, (key, value) in enumerate(table.items()):
            if number:
                self.text += ", "
            self.lines[(*path, key)] = self.line()
            self.text += self.key(key) + " = "
            self.value(value, (*path, key))
        self.text += " }"

    def list(self, elements: list[Any], path: tuple[str | int, ...]) -> None:
        self.text += "["
        for index, element in enumerate(elements):
            self.gap()
            self.lines[(*path, index)] = self.line()
            self.value(element, (*path, index))
            if index < len(elements) - 1 or self.chance.random() < 0.3:
                self.text += ","
        self.gap()
        self.text += "]"

    def string(self, text: str) -> str:
        if "'" not in text and self.chance.random() < 0.3:
            return f"'''\n{text}'''"
        basic = self.basic_string(text)
        if self.chance.random() < 0.3:
            return '"""' + basic[1:-1].replace("\\n", "\n") + '"""'
        return basic


@given(TABLES, st.integers(0, 1 << 32))
@settings(max_examples=400, deadline=None)
def test_each_key_of_a_written_document_is_where_it_was_written(table, seed):
    """However the tables are written, every path is found on its line."""
    writer = Writer(random.Random(seed))
    text = writer.document(table)
    assert parse_toml(text) == table
    assert locate_keys(text) == writer.lines


MUTATIONS = [
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    ",",
    ".",
    "=",
    "#",
    '"',
    "'",
    '"""',
    "'''",
    "\n",
    "\r\n",
    "\\",
    " ",
    "a",
    "1",
    "a = 1\n",
    "[a]\n",
]


@given(
    st.sampled_from([spec_text("roms"), WHOLE, *(text for text, _ in CASES.values())]),
    st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 12), st.sampled_from(MUTATIONS)), max_size=4
    ),
)
@settings(max_examples=2000, deadline=None)
@example('a = "\\\\"\n', [])
def test_every_valid_document_is_located(text, mutations):
    """In any text that the parser accepts, every key is found without an exception."""
    for place, length, new in mutations:
        start = int(place * len(text))
        text = text[:start] + new + text[start + length :]
    try:
        document = parse_toml(text)
    except ValueError:
        return
    lines = locate_keys(text)
    assert set(lines) == set(paths(document))
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 300 + "1," * 50_000 + "]" * 300,
        "a = [" + "{b.c = [1]}," * 10_000 + "]",
        "[a]\n" + "".join(f"b{i} = 1\n" for i in range(20_000)),
    ],
    ids=["deep", "wide", "long"],
)
def test_a_large_document_is_located_fast(text):
    """Time and memory do not grow with depth times width.

    It takes about as long as the parser, and at most six times as long.
    """
    assert locate_keys(text)[("a",)] == 1
    assert ratio(lambda: locate_keys(text), lambda: parse_toml(text), enough=6) <= 6
