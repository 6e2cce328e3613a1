# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables and bars for a terminal.

They are made here since the import of rich takes half as long as a doit with nothing to do.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TextIO

BOLD, DIM, RED, GREEN, YELLOW = "1", "2", "31", "32", "33"
_FULL, _EIGHTHS = "█", " ▏▎▍▌▋▊▉"


class Column(NamedTuple):
    """A column's heading, and whether its cells are aligned to the right."""

    title: str
    right: bool = False


def render_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> list[str]:
    """Returns a line of headings, a rule, and a line for each row.

    A column is as wide as its widest cell.
    """
    lines_of_cells = [[column.title for column in columns], *rows]
    widths = [max(map(len, cells)) for cells in zip(*lines_of_cells)]
    lines = []
    for cells in lines_of_cells:
        aligned = []
        for cell, width, column in zip(cells, widths, columns):
            aligned.append(cell.rjust(width) if column.right else cell.ljust(width))
        lines.append("  ".join(aligned).rstrip())
    lines.insert(1, "  ".join("─" * width for width in widths))
    return lines


def render_bar(part: int, whole: int, width: int = 20) -> str:
    """A bar of ``width`` characters, of which ``part / whole`` is filled, by eighths."""
    eighths = 0
    if whole:
        eighths = min(width * 8, round(width * 8 * part / whole))
    filled = _FULL * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
    return filled.ljust(width, "·")


def encodable(text: str, stream: TextIO) -> str:
    """Returns ``text``, with its rules and bars in ASCII if the stream's encoding lacks them."""
    try:
        text.encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        drawn, ascii_only = "─·…" + _FULL + _EIGHTHS[1:], "-.~" + "#" * len(_EIGHTHS)
        return text.translate(str.maketrans(drawn, ascii_only))
    except LookupError:
        pass
    return text


def wants_colours(stream: TextIO | None = None) -> bool:
    """Whether to use colours on ``stream``, by default standard output.

    It must be a terminal that is not "dumb", and NO_COLOR must not be set.
    """
    stream = stream or sys.stdout
    if not stream or not stream.isatty():
        return False
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str, wanted: bool) -> str:
    """Returns ``text`` in a colour of this module, or unchanged if colours are not ``wanted``."""
    if not wanted:
        return text
    return f"\033[{colour}m{text}\033[0m"
