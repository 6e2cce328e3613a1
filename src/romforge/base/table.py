# SPDX-License-Identifier: GPL-2.0-or-later
"""Columns of text for a terminal. Importing rich would take half as long as an empty doit, so tables are made here."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TextIO

BOLD, DIM, RED, GREEN, YELLOW = "1", "2", "31", "32", "33"
_FULL, _EIGHTHS = "█", " ▏▎▍▌▋▊▉"


class Column(NamedTuple):
    """A column's heading, and whether its cells are set to the right."""

    title: str
    right: bool = False


def render_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> list[str]:
    """The heading, a rule, and a line for each row; columns are as wide as their widest cell."""
    cells = [[column.title for column in columns], *rows]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
    lines = []
    for row in cells:
        fields = (
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(row, widths, columns)
        )
        lines.append("  ".join(fields).rstrip())
    lines.insert(1, "  ".join("─" * width for width in widths))
    return lines


def render_bar(part: int, whole: int, width: int = 20) -> str:
    """A bar of ``width`` characters, filled by eighths of a character."""
    eighths = min(width * 8, round(width * 8 * part / whole)) if whole else 0
    filled = _FULL * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
    return filled.ljust(width, "·")


def encodable(text: str, stream: TextIO) -> str:
    """``text`` with its rules and bars in ASCII where the stream's encoding has nothing better."""
    try:
        text.encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return text.translate(
            str.maketrans("─·…" + _FULL + _EIGHTHS[1:], "-.~" + "#" * len(_EIGHTHS))
        )
    except LookupError:
        pass
    return text


def wants_colours(stream: TextIO | None = None) -> bool:
    """Whether colours are wanted on ``stream`` (standard output): a terminal, and NO_COLOR not set."""
    stream = stream or sys.stdout
    return (
        bool(stream)
        and stream.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
    )


def paint(text: str, colour: str, wanted: bool) -> str:
    """``text`` in a colour of this module, if wanted."""
    return f"\033[{colour}m{text}\033[0m" if wanted else text
