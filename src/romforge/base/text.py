# SPDX-License-Identifier: GPL-2.0-or-later
"""How messages show numbers, sizes, lists of words and near misses."""

from __future__ import annotations

from collections.abc import Iterable


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


def plural(count: int, noun: str) -> str:
    """A number with its noun: ``1 ROM``, ``1,024 ROMs``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
