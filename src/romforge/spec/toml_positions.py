# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds the places of keys and list elements in a TOML file. Only error messages need them.

The parser of the standard library keeps no positions. The text has passed that parser, so it is
valid TOML 1.0 or 1.1, and only its structure is read here.
"""

from __future__ import annotations

import re

from romforge.spec.fields import Path

_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""{1,3}'  # strings of several lines, which may end in quotes
    r"|'''.*?'''{1,3}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*"
    r"|[][{},=.\n]"
    r"|[^][{},=.\s#\"']+",  # bare keys, numbers, dates, true and false
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)")
_CONTROLS = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b"}
_DEEPEST = 16  # parts of a path; a spec has six, and deeper keys are not recorded


Position = tuple[int, int]  # a line and a column, from 1; columns are characters


def locate_keys(text: str) -> dict[Path, int]:
    """The line (from 1) of every table, key and list element, by its path of keys and indices.

    >>> locate_keys("[a]\\nb = [\\n  1,\\n]\\n")
    {('a',): 1, ('a', 'b'): 2, ('a', 'b', 0): 3}
    """
    return {path: line for path, (line, _) in locate_positions(text).items()}


def locate_positions(text: str) -> dict[Path, Position]:
    """Where every table, key and list element begins; a table begins with its bracket."""
    return _Reader(text).places


class _Reader:
    def __init__(self, text: str) -> None:
        self.tokens = _split_tokens(text)  # tokens and where they begin
        self.position = 0  # the index of the next token
        self.places: dict[Path, Position] = {}
        self.counts: dict[Path, int] = {}  # the last index of each array of tables
        table: Path = ()
        while self.position < len(self.tokens):
            token, place = self.tokens[self.position]
            if token == "\n":
                self.position += 1
            elif token == "[":
                table = self.read_header(place)
            else:
                self.read_pair(table)

    def read_header(self, place: Position) -> Path:
        """Reads ``[a.b]`` or ``[[a.b]]``, and returns the path of the table."""
        is_array = self.tokens[self.position + 1][0] == "["
        brackets = 2 if is_array else 1
        self.position += brackets
        path = self.add_indices(self.read_dotted_key("]"))
        self.position += brackets
        self.record(path, 0, place)
        if is_array:
            self.counts[path] = self.counts.get(path, -1) + 1
            path = (*path, self.counts[path])
        self.places[path] = place  # overrides that of a table in it that came first
        return path

    def record(self, path: Path, start: int, place: Position) -> None:
        """Records the place of a path, and of the tables above it that its line creates."""
        for end in range(start, min(len(path), _DEEPEST)):
            self.places.setdefault(path[: end + 1], place)

    def add_indices(self, path: Path) -> Path:
        """The path of a header with the index of the last table of each array above it."""
        indexed: Path = ()
        for key in path[:-1]:
            indexed = (*indexed, key)
            if indexed in self.counts:
                indexed = (*indexed, self.counts[indexed])
        return (*indexed, path[-1])

    def read_pair(self, table: Path) -> None:
        place = self.tokens[self.position][1]
        path = (*table, *self.read_dotted_key("="))
        self.position += 1
        self.record(path, len(table), place)
        self.read_value(path)

    def read_dotted_key(self, stop: str) -> Path:
        """The keys before the token ``stop``."""
        keys: list[str] = []
        while self.tokens[self.position][0] != stop:
            token = self.tokens[self.position][0]
            if token != ".":
                keys.append(_unquote_key(token))
            self.position += 1
        return tuple(keys)

    def read_value(self, path: Path) -> None:
        opening = self.tokens[self.position][0]
        if opening not in ("[", "{"):
            while self.tokens[self.position][0] not in (",", "]", "}", "\n"):
                self.position += 1
            return
        if len(path) >= _DEEPEST:
            self.skip_brackets()
            return
        self.position += 1
        index = 0
        while True:
            token, place = self.tokens[self.position]
            if token in ("]", "}"):
                break
            if token in (",", "\n"):
                self.position += 1
            elif opening == "{":
                self.read_pair(path)
            else:
                self.places[(*path, index)] = place
                self.read_value((*path, index))
                index += 1
        self.position += 1

    def skip_brackets(self) -> None:
        """Skips a list or an inline table."""
        depth = 0
        while True:
            token = self.tokens[self.position][0]
            self.position += 1
            if token in ("[", "{"):
                depth += 1
            elif token in ("]", "}"):
                depth -= 1
            if depth == 0:
                return


def _split_tokens(text: str) -> list[tuple[str, Position]]:
    """The tokens of a document without its comments, each with its place."""
    tokens = []
    line, counted = 1, 0  # line breaks are counted up to this offset
    before_line = -1  # the offset of the last of them
    for match in _TOKEN.finditer(text):
        start = match.start()
        breaks = text.count("\n", counted, start)
        if breaks:
            line += breaks
            before_line = text.rfind("\n", counted, start)
        counted = start
        if not match[0].startswith("#"):
            tokens.append((match[0], (line, start - before_line)))
    tokens.append(("\n", (line, 1)))
    return tokens


def _unquote_key(token: str) -> str:
    if token.startswith("'"):
        return token[1:-1]
    if token.startswith('"'):
        return _ESCAPE.sub(_unescape, token[1:-1])
    return token


def _unescape(escape: re.Match[str]) -> str:
    code = escape[1]
    if code[0] in "xuU":
        return chr(int(code[1:], 16))
    return _CONTROLS.get(code, code)
