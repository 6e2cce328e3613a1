# SPDX-License-Identifier: GPL-2.0-or-later
"""Formats numbers, sizes, lists and near misses for messages."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

# How lines of an error begin that only say where to look.
LOG, AGAIN = "the whole log: ", "to see it again: "


def format_offset(offset: int) -> str:
    """An offset in bytes as ``offset 0x1c (28)``."""
    return f"offset {offset:#x} ({offset})"


def format_bytes(size: int) -> str:
    """A number of bytes as ``2,048 bytes (0x800)``."""
    return f"{size:,} bytes ({size:#x})"


def format_size(size: int) -> str:
    """A number of bytes as ``256 KiB`` if it is a multiple of 1,024, else as ``1,000 bytes``."""
    if size and size % 1024 == 0:
        return f"{size // 1024} KiB"
    return plural(size, "byte")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` (did you mean "e1000"?)`` if ``word`` resembles one of the ``known`` words, else "".

    The text begins with a space, to be appended to a message.
    """
    import difflib  # slow, and only needed for errors

    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    if not matches:
        return ""
    return f' (did you mean "{matches[0]}"?)'


def join_words(words: Iterable[str], conjunction: str = "and") -> str:
    """Words as ``a, b and c``; ``nothing`` if there are none."""
    *head, last = list(words) or ["nothing"]
    if not head:
        return last
    return f"{', '.join(head)} {conjunction} {last}"


def relative_path(path: str) -> str:
    """A path relative to the working directory, if it lies below; else as it is."""
    start = os.getcwd()
    if os.path.commonpath((start, os.path.abspath(path))) == start:
        return os.path.relpath(path)
    return path


def shorten_digests(text: str) -> str:
    """A text with the first 12 digits of each commit and each SHA-256 in it.

    >>> shorten_digests("v2.0.0-0-g12798ec29aa8a64d8675c4378b99f5fe28447afb")
    'v2.0.0-0-g12798ec29aa8'
    """
    return re.sub("([0-9a-f]{12})(?:[0-9a-f]{28}|[0-9a-f]{52})(?![0-9a-f])", r"\1", text)


def in_a_line(text: str, longest: int = 200) -> str:
    """An error of several lines as one, cropped to a number of characters.

    Tables and remedies are left out. Of a failed make it is the first line and the error itself,
    without where to look:

    >>> in_a_line(f"make failed at x.o\\n  {LOG}make.log\\n  x.c:1:1: error: no type")
    'make failed at x.o: x.c:1:1: error: no type'
    """
    lines = [" ".join(line.split()) for line in _without_table(text.splitlines())]
    causes = [line for line in lines[1:] if not line.startswith((LOG, AGAIN))]
    line = " ".join(lines[:1] + causes).strip()
    if causes and len(causes) < len(lines) - 1:
        errors = [line for line in causes if "error" in line.lower()]
        line = f"{lines[0]}: {(errors or causes)[0]}"
    if len(line) <= longest:
        return line
    return line[: longest - 1] + "…"


def _without_table(lines: Sequence[str]) -> list[str]:
    """The lines of an error before its table, its remedies and its hints."""
    for index, line in enumerate(lines):
        if line.lstrip().startswith(("remedy: ", "hint: ")):
            return list(lines[:index])
        if index > 1 and line.strip() and set(line) <= set(" ─"):
            return list(lines[: index - 1])  # the line before has the heading
    return list(lines)


def plural(count: int, noun: str) -> str:
    """A number with its noun: ``1 ROM``, ``1,024 ROMs``."""
    ending = "" if count == 1 else "s"
    return f"{count:,} {noun}{ending}"


def count_parts(roms: int, files: int) -> str:
    """Numbers of ROMs and of files that are no ROMs; 0 of one is not said.

    >>> count_parts(16, 1), count_parts(0, 9), count_parts(0, 0)
    ('16 ROMs and 1 file', '9 files', '0 ROMs')
    """
    if not files:
        return plural(roms, "ROM")
    if not roms:
        return plural(files, "file")
    return f"{plural(roms, 'ROM')} and {plural(files, 'file')}"
