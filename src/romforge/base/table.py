# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables and bars for a terminal.

They are made here since the import of rich takes half as long as a doit with nothing to do.
"""

from __future__ import annotations

import codecs
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TextIO

BOLD, DIM, RED, GREEN, YELLOW = "1", "2", "31", "32", "33"
_FULL, _EIGHTHS = "█", " ▏▎▍▌▋▊▉"
_ASCII = dict(zip("─·…–" + _FULL + _EIGHTHS[1:], "-.~-" + "#" * len(_EIGHTHS)))
_TO_ASCII = {ord(drawn): ascii_only for drawn, ascii_only in _ASCII.items()}
_GAP = "  "  # between two columns
_NARROWEST = 8  # characters of a column that is cropped


class Column(NamedTuple):
    """A column of a table: its heading, and what becomes of it where the table is too wide.

    ``right`` aligns its cells to the right. ``is_path`` shows a directory that all its cells have
    in common in the heading. ``is_optional`` leaves it out.
    """

    title: str
    right: bool = False
    is_path: bool = False
    is_optional: bool = False


def render_table(
    columns: Sequence[Column], rows: Iterable[Sequence[str]], widest: int | None = None
) -> list[str]:
    """Returns a line of headings, a rule, and a line for each row.

    A column is as wide as its widest cell. With ``widest``, a number of characters, the table is
    made narrower if it must be: without the common directory of paths, then without optional
    columns; then the widest columns are cropped, the last one first.
    """
    table = [[column.title for column in columns], *map(list, rows)]
    kept = list(columns)
    if widest is not None and _width(table) > widest:
        for number, column in enumerate(kept):
            if column.is_path:
                _shorten_paths(table, number)
        if _width(table) > widest:
            optional = [number for number, column in enumerate(kept) if column.is_optional]
            for number in reversed(optional):
                del kept[number]
                for cells in table:
                    del cells[number]
        _crop(table, widest)
    widths = _widths(table)
    lines = []
    for cells in table:
        aligned = []
        for cell, width, column in zip(cells, widths, kept):
            aligned.append(cell.rjust(width) if column.right else cell.ljust(width))
        lines.append(_GAP.join(aligned).rstrip())
    lines.insert(1, _GAP.join("─" * width for width in widths))
    return lines


def _widths(table: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, cells)) for cells in zip(*table)]


def _width(table: Sequence[Sequence[str]]) -> int:
    widths = _widths(table)
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _shorten_paths(table: list[list[str]], number: int) -> None:
    """Puts the directory that all paths of a column have in common into its heading."""
    paths = [cells[number] for cells in table[1:]]
    directory = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else ""
    if not directory or any(os.path.isabs(path) for path in paths):
        return
    table[0][number] = f"{directory}/"
    for cells in table[1:]:
        cells[number] = cells[number][len(directory) + 1 :]
    longest = max(len(cells[number]) for cells in table[1:])
    if len(table[0][number]) > longest:
        table[0][number] = "…" + table[0][number][-max(longest, _NARROWEST) + 1 :]


def _crop(table: list[list[str]], widest: int) -> None:
    """Crops cells until a table is ``widest`` characters wide, or no column can be narrower."""
    widths = _widths(table)
    while (excess := _width(table) - widest) > 0:
        last = len(widths) - 1
        number = last
        if widths[last] <= _NARROWEST:
            number = widths.index(max(widths))
        if widths[number] <= _NARROWEST:
            return
        width = max(_NARROWEST, widths[number] - excess)
        for cells in table:
            if len(cells[number]) > width:
                cells[number] = cells[number][: width - 1] + "…"
        widths = _widths(table)


def terminal_width(stream: TextIO | None = None, indentation: int = 0) -> int | None:
    """The columns of the terminal that ``stream`` is, by default standard output; else None.

    ``indentation`` is the number of those that are taken. COLUMNS in the environment counts first.
    """
    stream = stream or sys.stdout
    if not stream or not stream.isatty():
        return None
    return shutil.get_terminal_size().columns - indentation


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
        return text.translate(_TO_ASCII)
    except LookupError:
        pass
    return text


def replace_with_ascii(error: UnicodeError) -> tuple[str, int]:
    """An error handler of codecs: rules and bars in ASCII, other characters as ``?``."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    return "".join(_ASCII.get(character, "?") for character in characters), error.end


ASCII_ERRORS = "romforge.ascii"  # the name of the error handler
codecs.register_error(ASCII_ERRORS, replace_with_ascii)


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
