# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads the headers of a configuration that is kept as files: ``headers = "DIR"``.

Their text goes into the build as it is. Only the macros are looked for, for the checks.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from romforge.base.text import format_size

_LARGEST = 64 << 10  # bytes of a header
_SUFFIX = ".h"
_SETS = re.compile(r"[ \t]*#[ \t]*(?:define|undef)[ \t]+([A-Za-z_]\w*)")


class FileMacro(NamedTuple):
    """A macro that a header defines or undefines, and the line, from 1."""

    name: str
    line: int


class HeaderFile(NamedTuple):
    """A header: its file as messages name it, its text, and the macros that it sets."""

    file: str
    text: str
    macros: tuple[FileMacro, ...]


def read_headers(directory: Path, shown: str) -> dict[str, HeaderFile]:
    """The headers of a directory, by their names without ``.h``, in the order of names.

    ``shown`` is the directory as the spec names it. Raises ValueError if there is none, or one
    cannot be read.
    """
    try:
        paths = sorted(path for path in directory.iterdir() if path.suffix == _SUFFIX)
    except OSError as error:
        raise ValueError(f"{shown}: cannot be read: {error.strerror}") from None
    if not paths:
        raise ValueError(f"{shown}: has no file *{_SUFFIX}")
    return {path.stem: _read_header(path, f"{shown}/{path.name}") for path in paths}


def _read_header(path: Path, shown: str) -> HeaderFile:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise ValueError(f"{shown}: cannot be read: {error.strerror}") from None
    if len(data) > _LARGEST:
        raise ValueError(f"{shown}: is larger than {format_size(_LARGEST)}, the limit for a header")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{shown}:{line}: is not valid UTF-8") from None
    macros = []
    for number, line_text in enumerate(text.splitlines(), 1):
        found = _SETS.match(line_text)
        if found:
            macros.append(FileMacro(found[1], number))
    return HeaderFile(shown, text, tuple(macros))
