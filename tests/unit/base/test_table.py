# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables fit the terminal, and are readable in ASCII."""

from __future__ import annotations

import io

import pytest

from romforge.base import table
from romforge.base.table import Column

COLUMNS = [
    Column("file", is_path=True),
    Column("images"),
    Column("used", right=True),
    Column("", is_optional=True),
    Column("why"),
]
ROWS = [
    [
        "usr/share/qemu/efi-e1000.rom",
        "pcbios 71,680 + x86_64-efi 69,120",
        "140,800",
        "█" * 20,
        "",
    ],
    ["usr/share/qemu/efi-rtl8139.rom", "pcbios 71,168", "71,168", "█" * 9, "a long reason " * 5],
]


def test_a_table_that_has_room_is_whole():
    lines = table.render_table(COLUMNS, ROWS)
    assert lines == table.render_table(COLUMNS, ROWS, 999)
    assert ROWS[0][0] in lines[2]
    assert ROWS[1][4].strip() in lines[3]


@pytest.mark.parametrize("width", [180, 120, 100, 80, 72, 60, 48])
def test_a_table_fits_the_terminal(width: int):
    lines = table.render_table(COLUMNS, ROWS, width)
    assert max(map(len, lines)) <= width
    assert {len(line) for line in lines[1:2]} == {max(map(len, lines))}
    for row, line in zip(ROWS, lines[2:]):
        name = row[0].rpartition("/")[2]
        assert line.startswith((row[0], name, name[:7]))


def test_the_common_directory_is_shown_once():
    heading, _, *lines = table.render_table(COLUMNS[:3], [row[:3] for row in ROWS], 65)
    assert heading.split()[0] == "usr/share/qemu/"
    assert [line.split()[0] for line in lines] == ["efi-e1000.rom", "efi-rtl8139.rom"]


def test_the_optional_column_goes_before_anything_is_cropped():
    lines = table.render_table(COLUMNS[:4], [row[:4] for row in ROWS], 75)
    assert "█" not in "".join(lines)
    assert "…" not in "".join(lines[2:])


def test_no_cell_is_cropped_below_a_few_characters():
    lines = table.render_table(COLUMNS, ROWS, 1)
    assert max(map(len, lines)) <= 5 * 8 + 4 * 2


def test_paths_without_a_common_directory_stay_whole():
    rows = [["a/x.rom", "y" * 50], ["b/x.rom", ""]]
    lines = table.render_table([Column("file", is_path=True), Column("why")], rows, 30)
    assert [line.split()[0] for line in lines[2:]] == ["a/x.rom", "b/x.rom"]


def test_what_is_drawn_becomes_ascii_where_the_stream_has_no_more():
    binary = io.BytesIO()
    stream = io.TextIOWrapper(binary, encoding="ascii", errors=table.ASCII_ERRORS)
    stream.write("\n".join([*table.render_table(COLUMNS, ROWS, 60), "é"]))
    stream.flush()
    assert binary.getvalue().count(b"?") == 1  # for the letter
    assert b"-----" in binary.getvalue()
