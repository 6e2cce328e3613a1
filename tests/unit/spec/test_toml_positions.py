# SPDX-License-Identifier: GPL-2.0-or-later
"""The lines of keys and elements, in all that TOML can write."""

from __future__ import annotations

import random
import sys
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from romforge.spec.toml_positions import locate_keys
from tests.support.project import TOP, spec_text
from tests.support.specs import WHOLE
from tests.support.yardstick import ratio

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

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
        '"a\\"b" = 1\n"\\u00e9" = 2\n"\\U0001F600" = 3\n"tab\\there" = 4\n"\\\\" = 5\n\'\\u00e9\' = 6\n',
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
        "a = [1979-05-27 07:32:00.5,\n07:32:00,\n-1.5e+3, inf]\nb = 1979-05-27T07:32:00-07:00\nc = 1\n",
        {("a", 0): 1, ("a", 1): 2, ("a", 2): 3, ("a", 3): 3, ("b",): 4, ("c",): 5},
    ),
    "basic strings of several lines": (
        'a = """\n[x]\nb = 1 # no comment\n"quotes" and "" too\\"""\n\\\n  """\nc = """"four""""\nd = """""five"""""\ne = 1\n',
        {("a",): 1, ("c",): 7, ("d",): 8, ("e",): 9},
    ),
    "literal strings of several lines": (
        "a = '''\n[x]\n'b' = 1\\'''\nc = '''''five'''''\nd = ['''\n''', '''\n''']\ne = 1\n",
        {("a",): 1, ("c",): 4, ("d", 0): 5, ("d", 1): 6, ("e",): 8},
    ),
    "arrays of tables": (
        "[[a]]\nb = 1\n[[a]]\nb = 2\n[a.c]\nd = 3\n[[a.e]]\nf = 4\n[[a.e]]\nf = 5\n[[a]]\n[a.c]\n[[a.e]]\n",
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
    """All paths of a document, the deepest ones that the reader tells apart included."""
    inside = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [one for key, below in inside for one in ((*path, key), *paths(below, (*path, key)))]


@pytest.mark.parametrize("name", CASES)
def test_the_line_of_each_key(name):
    """By hand, for each construct; and the parser finds the same keys."""
    text, wanted = CASES[name]
    lines = locate_keys(text)
    assert {path: lines.get(path) for path in wanted} == wanted
    assert set(lines) == set(paths(tomllib.loads(text)))


def test_toml_1_1_is_read_too():
    """Line breaks and a last comma in inline tables, and the new escapes, which newer parsers let through."""
    lines = locate_keys('a = {\n  b = 1, # c\n  "\\x41\\e" = 2,\n}\nd = 1\n')
    assert lines == {("a",): 1, ("a", "b"): 2, ("a", "A\x1b"): 3, ("d",): 5}


def test_the_real_specs_are_located_whole():
    """Each key of the checkout's spec, and of one that says all, stands where its line says."""
    for text in ((TOP / "romspec.toml").read_text(), WHOLE):
        lines = locate_keys(text)
        assert set(lines) == set(paths(tomllib.loads(text)))
        source = text.split("\n")
        assert all(
            str(path[-1]) in source[line - 1]
            for path, line in lines.items()
            if isinstance(path[-1], str)
        )


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
    """Writes a document in a way that chance takes, and keeps the line of each key and element."""

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.text = chance, ""
        self.lines: dict[tuple[str | int, ...], int] = {}

    def document(self, table: dict[str, Any]) -> str:
        self.table(table, ())
        return self.text

    def line(self) -> int:
        return self.text.count("\n") + 1

    def gap(self) -> None:
        """Anything that may stand between the elements of a list."""
        self.text += self.chance.choice(["", " ", "\n", " # ] = [x\n", "\n\n\t"])

    def table(self, table: dict[str, Any], path: tuple[str | int, ...]) -> None:
        own = {key: one for key, one in table.items() if not self.apart(one)}
        for key, one in own.items():
            self.lines[(*path, key)] = self.line()
            self.text += self.key(key) + self.chance.choice([" = ", "=", "\t= "])
            self.value(one, (*path, key))
            self.text += self.chance.choice(["\n", " # c = 1\n", "\n\n"])
        for key, one in table.items():
            if key in own:
                continue
            for index, below in enumerate(one if isinstance(one, list) else [one]):
                inside = (*path, key, index) if isinstance(one, list) else (*path, key)
                names = ".".join(self.key(part) for part in inside if isinstance(part, str))
                self.lines.setdefault((*path, key), self.line())
                self.lines[inside] = self.line()
                self.text += f"[[{names}]]\n" if isinstance(one, list) else f"[{names}]\n"
                self.table(below, inside)

    def apart(self, value: Any) -> bool:
        """Whether to write a value under a header of its own."""
        tables = isinstance(value, dict) or (
            isinstance(value, list) and value and all(isinstance(one, dict) for one in value)
        )
        return bool(tables) and self.chance.random() < 0.7

    def key(self, key: str) -> str:
        if (
            key
            and all(one.isascii() and (one.isalnum() or one in "_-") for one in key)
            and self.chance.random() < 0.7
        ):
            return key
        literal = "'" not in key and "\t" not in key
        return f"'{key}'" if literal and self.chance.random() < 0.5 else self.basic(key)

    def basic(self, text: str) -> str:
        escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
        return '"' + "".join(escapes.get(one, one) for one in text) + '"'

    def value(self, value: Any, path: tuple[str | int, ...]) -> None:
        if isinstance(value, dict):
            self.text += "{ "
            for number, (key, one) in enumerate(value.items()):
                self.text += ", " if number else ""
                self.lines[(*path, key)] = self.line()
                self.text += self.key(key) + " = "
                self.value(one, (*path, key))
            self.text += " }"
        elif isinstance(value, list):
            self.text += "["
            for index, one in enumerate(value):
                self.gap()
                self.lines[(*path, index)] = self.line()
                self.value(one, (*path, index))
                self.text += "," if index < len(value) - 1 or self.chance.random() < 0.3 else ""
            self.gap()
            self.text += "]"
        elif isinstance(value, bool):
            self.text += str(value).lower()
        else:
            self.text += self.string(value) if isinstance(value, str) else str(value)

    def string(self, text: str) -> str:
        if "'" not in text and self.chance.random() < 0.3:
            return f"'''\n{text}'''"
        return (
            '"""' + self.basic(text)[1:-1].replace("\\n", "\n") + '"""'
            if self.chance.random() < 0.3
            else self.basic(text)
        )


@given(TABLES, st.integers(0, 1 << 32))
@settings(max_examples=400, deadline=None)
def test_each_key_of_a_written_document_is_where_it_was_written(table, seed):
    """Whatever way the tables are written in, every path is found, and on its line."""
    writer = Writer(random.Random(seed))
    text = writer.document(table)
    assert tomllib.loads(text) == table
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
def test_whatever_the_parser_takes_is_located(text, mutations):
    """Never an exception nor an endless loop; and every key is found, whatever happened to the text."""
    for place, length, new in mutations:
        start = int(place * len(text))
        text = text[:start] + new + text[start + length :]
    try:
        document = tomllib.loads(text)
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
def test_a_large_document_is_located_in_no_time(text):
    """Neither time nor memory grow with depth times width.

    It takes about as long as the parser, and six times that at most.
    """
    assert locate_keys(text)[("a",)] == 1
    assert ratio(lambda: locate_keys(text), lambda: tomllib.loads(text), enough=6) <= 6
