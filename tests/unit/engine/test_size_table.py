# SPDX-License-Identifier: GPL-2.0-or-later
"""The size table of ROMs with a limit."""

from __future__ import annotations

import json
import re

from romforge.engine import size_table

IMAGES = [{"name": "pcbios", "size": 30 << 10}]


def rows(*entries: dict[str, object]) -> list[list[str]]:
    """The cells of the table, the titles first."""
    as_json = {str(entry["file"]): json.dumps(entry) for entry in entries}
    title, _, *lines = size_table.size_table_lines(as_json, (), {}, colour=False)
    return [re.split(" {2,}", line) for line in (title, *lines)]


def entry(file: str, **more: object) -> dict[str, object]:
    return {"file": file, "used": 30 << 10, "bucket": 32 << 10, "images": IMAGES, **more}


def test_a_limit_has_a_column_only_where_a_rom_has_one():
    assert rows(entry("a.rom"))[0][2:5] == ["used", "bucket", "free"]
    assert rows(entry("a.rom"), entry("b.rom", limit=31 << 10))[0][2:6] == [
        "used",
        "bucket",
        "limit",
        "free",
    ]


def test_what_is_free_is_what_the_limit_leaves():
    """A limit may be above the size that QEMU gives the ROM, where the spec names no bucket."""
    _, tight, unlimited, wide = rows(
        entry("wide.rom", limit=56 << 10),
        entry("tight.rom", limit=31 << 10),
        entry("unlimited.rom"),
    )
    assert tight[:1] + tight[2:6] == ["tight.rom", "30,720", "32 KiB", "31 KiB", "1,024"]
    assert unlimited[:1] + unlimited[2:5] == ["unlimited.rom", "30,720", "32 KiB", "2,048"]
    assert wide[:1] + wide[2:6] == ["wide.rom", "30,720", "32 KiB", "56 KiB", "26,624"]
