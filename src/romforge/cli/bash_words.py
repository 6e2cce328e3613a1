# SPDX-License-Identifier: GPL-2.0-or-later
"""The words of a command line as bash's completion hands them over, and takes them back.

They are raw: quotes and backslashes are still in them. bash also breaks words at ``:`` and ``=``,
and replaces only the last part of a word that it broke (COMP_WORDBREAKS in bash(1)).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_BREAK = re.compile("[:=]+")
_SPECIAL = re.compile(r"([^\w@%+/.,:=^-])")  # needs a backslash outside quotes
_SPECIAL_IN_DOUBLE_QUOTES = re.compile(r'([\\"$`])')


class BashLine(NamedTuple):
    """A command line up to the cursor."""

    words: list[str]  # whole and without quotes; the last one is at the cursor
    kept: str  # the beginning of the last word, which bash does not replace
    quote: str  # the quote that is open in the last word, or nothing


def read_line(parts: Sequence[str]) -> BashLine:
    """Puts words together that bash broke, and removes the quotes.

    ``["build", "rom", ":", "'usr/a"]`` becomes the words ``build`` and ``rom:usr/a``. In the
    latter ``rom:`` is kept, and the quote ``'`` is open.
    """
    raw_words = _join(parts)
    words = [_unquote(raw)[0] for raw in raw_words]
    _, quote = _unquote(raw_words[-1])
    raw_kept = raw_words[-1]
    if not _BREAK.fullmatch(parts[-1]):
        raw_kept = raw_kept[: len(raw_kept) - len(parts[-1])]
    kept, _ = _unquote(raw_kept)
    return BashLine(words, kept, quote)


def _join(parts: Sequence[str]) -> list[str]:
    words: list[str] = []
    for part in parts:
        continues = words and (_BREAK.fullmatch(part) or words[-1].endswith((":", "=")))
        if continues:
            words[-1] += part
        else:
            words.append(part)
    return words


def _unquote(raw: str) -> tuple[str, str]:
    """What a raw word means, and the quote that is open at its end."""
    text, quote = "", ""
    characters = iter(raw)
    for character in characters:
        if character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        elif character == "\\" and quote != "'":
            escaped = next(characters, "")
            if quote and escaped not in '\\"$`':
                text += character
            text += escaped
        else:
            text += character
    return text, quote


def quote_word(text: str, quote: str) -> str:
    """A text as it must be typed, behind a quote that is open, if there is one."""
    if quote == "'":
        return text.replace("'", "'\\''")
    special = _SPECIAL_IN_DOUBLE_QUOTES if quote else _SPECIAL
    return special.sub(r"\\\1", text)
