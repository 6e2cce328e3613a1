# SPDX-License-Identifier: GPL-2.0-or-later
"""On which line of a TOML file a key or a list's element stands; only ever asked when something is wrong with it.

The parser of the standard library keeps no positions. The text given here has passed that parser, so this reader
may take it for valid and look at nothing but its skeleton (TOML 1.0 and 1.1).
"""

from __future__ import annotations

import re

from romforge.spec.fields import Path

_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""{1,3}|\'\'\'.*?\'\'\'{1,3}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*|[][{},=.\n]|[^][{},=.\s#"\']+',
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)")
_DEEPEST = 16  # a spec is six deep; what is deeper is not told apart
_CONTROLS = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b"}


def locate_keys(text: str) -> dict[Path, int]:
    """The line (from 1) of every table, key and list element of a TOML document, by its path of keys and indices."""
    return _Reader(text).lines


class _Reader:
    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, int]] = []
        line, done = 1, 0
        for match in _TOKEN.finditer(text):
            line += text.count("\n", done, match.start())
            done = match.start()
            if not match[0].startswith("#"):
                self.tokens.append((match[0], line))
        self.tokens.append(("\n", line))
        self.place = 0
        self.lines: dict[Path, int] = {}
        self.counts: dict[Path, int] = {}  # of arrays of tables
        table: Path = ()
        while self.place < len(self.tokens):
            token, line = self.tokens[self.place]
            if token == "\n":
                self.place += 1
            elif token == "[":
                table = self.header(line)
            else:
                self.pair(table)

    def header(self, line: int) -> Path:
        array = self.tokens[self.place + 1][0] == "["
        self.place += 2 if array else 1
        path = self.indexed(self.dotted("]"))
        self.place += 2 if array else 1
        self.keep(path, 0, line)
        if array:
            self.counts[path] = self.counts.get(path, -1) + 1
            path = (*path, self.counts[path])
        self.lines[path] = line  # also where a table in it was there before
        return path

    def keep(self, path: Path, start: int, line: int) -> None:
        """Takes down the line of a path, and of the tables on the way that it brings about."""
        for end in range(start, min(len(path), _DEEPEST)):
            self.lines.setdefault(path[: end + 1], line)

    def indexed(self, path: Path) -> Path:
        """A header's path with the index of the latest table where it goes through an array of tables."""
        found: Path = ()
        for key in path[:-1]:
            found = (*found, key)
            if found in self.counts:
                found = (*found, self.counts[found])
        return (*found, path[-1])

    def pair(self, table: Path) -> None:
        line = self.tokens[self.place][1]
        keys = self.dotted("=")
        self.place += 1
        self.keep((*table, *keys), len(table), line)
        self.value((*table, *keys))

    def dotted(self, stop: str) -> Path:
        """The keys up to the token ``stop``."""
        keys: list[str] = []
        while self.tokens[self.place][0] != stop:
            if self.tokens[self.place][0] != ".":
                keys.append(_key(self.tokens[self.place][0]))
            self.place += 1
        return tuple(keys)

    def value(self, path: Path) -> None:
        opening = self.tokens[self.place][0]
        if opening not in ("[", "{"):
            while self.tokens[self.place][0] not in (",", "]", "}", "\n"):
                self.place += 1
            return
        if len(path) >= _DEEPEST:
            self.skip()
            return
        self.place += 1
        index = 0
        while (token := self.tokens[self.place])[0] not in ("]", "}"):
            if token[0] in (",", "\n"):
                self.place += 1
            elif opening == "{":
                self.pair(path)
            else:
                self.lines[(*path, index)] = token[1]
                self.value((*path, index))
                index += 1
        self.place += 1

    def skip(self) -> None:
        """Leaves out a list or an inline table."""
        depth = 0
        while True:
            token = self.tokens[self.place][0]
            depth += (token in ("[", "{")) - (token in ("]", "}"))
            self.place += 1
            if not depth:
                return


def _key(token: str) -> str:
    if token.startswith("'"):
        return token[1:-1]
    if token.startswith('"'):
        return _ESCAPE.sub(
            lambda m: chr(int(m[1][1:], 16)) if m[1][0] in "xuU" else _CONTROLS.get(m[1], m[1]),
            token[1:-1],
        )
    return token
