# SPDX-License-Identifier: GPL-2.0-or-later
"""The errors a person can mend, and the words in which numbers and near misses are said."""

from __future__ import annotations

from collections.abc import Iterable

EXIT_STATUSES = {
    0: "fine",
    1: "what was checked is wrong, or the build failed",
    2: "the command line or the spec is wrong",
    130: "interrupted",
}


class RomforgeError(Exception):
    """Anything wrong that a person can mend: its text says what, where and what would be right."""

    exit_status = 1


class UsageError(RomforgeError):
    """The command line is wrong."""

    exit_status = 2


class SpecError(RomforgeError):
    """The spec is wrong; the text holds every problem found in it, each with its line."""

    exit_status = 2


class FormatError(RomforgeError):
    """Bytes that are not what their format asks for.

    ``offset`` is the place in bytes, counted from the start of what was read.
    """

    def __init__(self, offset: int, what: str) -> None:
        super().__init__(f"{format_offset(offset)}: {what}")
        self.offset = offset
        self.what = what

    def __reduce__(self) -> tuple[type[FormatError], tuple[int, str]]:
        return type(self), (self.offset, self.what)


def format_offset(offset: int) -> str:
    """An offset in bytes as ``offset 0x1c (28)``."""
    return f"offset {offset:#x} ({offset})"


def format_bytes(size: int) -> str:
    """A number of bytes as ``2,048 bytes (0x800)``."""
    return f"{size:,} bytes ({size:#x})"


def format_size(size: int) -> str:
    """A size in bytes as ``256 KiB`` where it is a whole number of KiB, else in bytes."""
    return f"{size // 1024} KiB" if size and size % 1024 == 0 else f"{size:,} bytes"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` (did you mean "e1000"?)`` when ``word`` is a near miss of one of ``known``, else nothing."""
    import difflib  # only ever needed for an error

    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f' (did you mean "{close[0]}"?)' if close else ""


def join_words(words: Iterable[str]) -> str:
    """Words as ``a, b and c``."""
    *head, last = list(words) or ["nothing"]
    return f"{', '.join(head)} and {last}" if head else last
