# SPDX-License-Identifier: GPL-2.0-or-later
"""Errors in a line keep their cause."""

from __future__ import annotations

import pytest

from romforge.base.text import AGAIN, LOG, format_size, in_a_line

MAKE = f"make ended at bin/x.o\n  {LOG}out/{'d/' * 99}make.log\n  {AGAIN}cd out && make"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("one  line", "one line"),
        ("", ""),
        ("too large by 2\n  image  bytes\n  ─────  ─────", "too large by 2"),
        ("not changed:\n  a.rom: grew", "not changed: a.rom: grew"),
        ("is 1234, but\n  roms say 5678\n  remedy: fix_ids", "is 1234, but roms say 5678"),
        (
            f"{MAKE}\n  x.c:1:2: error: no type",
            "make ended at bin/x.o: x.c:1:2: error: no type",
        ),
        (
            f"{MAKE}\n  In file included from y.c:3:\n  x.h:1: error: no type\n  hint: none",
            "make ended at bin/x.o: x.h:1: error: no type",
        ),
        (f"{MAKE}\n  x.o: undefined", "make ended at bin/x.o: x.o: undefined"),
        (MAKE, "make ended at bin/x.o"),
        ("x" * 300, "x" * 199 + "…"),
    ],
)
def test_an_error_in_a_line_has_its_cause(text: str, line: str):
    assert in_a_line(text) == line


def test_a_size_of_one_is_one_byte():
    assert [format_size(size) for size in (0, 1, 2, 1024)] == [
        "0 bytes",
        "1 byte",
        "2 bytes",
        "1 KiB",
    ]
