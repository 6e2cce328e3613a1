# SPDX-License-Identifier: GPL-2.0-or-later
"""The status of a set: its parts are counted, each kind by its noun, and the worst comes first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from romforge.analysis.boot_files import FileRow
from romforge.analysis.status import headline, make_status
from romforge.analysis.summary import BuildSummary, Row, Segment
from romforge.rom.lock_format import Change

ROM = Row("a.rom", "a", "qemu", 1 << 17, (Segment("pcbios", "legacy", 51200),), ())
GOOD = FileRow("good.efi", "x86_64-efi", "ipxe.efi", 4096, 0)
GREW = FileRow("grew.lkrn", "pcbios", "ipxe.lkrn", 8192, 512)
CHANGED = FileRow("changed.efi", "x86_64-efi", "snponly.efi", 4096, 0)
ABSENT = FileRow("absent.iso", "pcbios", "ipxe.iso", None, None, "is not built")
CHANGES = (
    Change("changed.efi", "its bytes differ", True, is_rom=False),
    Change("grew.lkrn", "grew by 512 bytes (0x200) to 8,192", False, growth=512, is_rom=False),
)
ALL = BuildSummary("romspec.toml", (ROM,), (), CHANGES, {}, (), files=(GOOD, GREW, CHANGED, ABSENT))


@pytest.mark.parametrize(
    ("built", "wanted"),
    [
        (replace(ALL, changes=(), files=(GOOD, GREW)), "1 ROM and 2 files, all built"),
        (replace(ALL, changes=(), rows=(), files=(GOOD,)), "1 file, all built"),
        (replace(ALL, changes=(), files=()), "1 ROM, all built"),
    ],
)
def test_what_is_without_fault_is_counted(built: BuildSummary, wanted: str):
    assert headline(built) == f"{wanted} and without fault"


def test_files_are_problems_of_their_own():
    assert ALL.problems() == ["1 file not built as the spec says", "1 file not as locked"]
    counts = ALL.counts()
    assert (counts.not_built, counts.not_as_locked) == (0, 0)
    assert (counts.files_not_built, counts.files_not_as_locked) == (1, 1)


def test_files_come_the_worst_first_with_their_sizes_and_growth():
    files = make_status(ALL, {}).files
    assert [(file["file"], file["built"]) for file in files] == [
        ("absent.iso", False),
        ("changed.efi", True),
        ("good.efi", True),
        ("grew.lkrn", True),
    ]
    assert [file["size"] for file in files] == [None, 4096, 4096, 8192]
    assert [file["since_lock"] for file in files] == [None, 0, 0, 512]
    assert files[0]["faults"] == ("is not built",)


def test_files_alone_answer_nothing_of_roms():
    answers = make_status(replace(ALL, rows=()), {}).answers
    assert answers == [
        {"question": "grown since the lock", "answer": f"grew.lkrn {CHANGES[1].text}"}
    ]
    unchanged = replace(ALL, rows=(), changes=())
    assert make_status(unchanged, {}).answers[0]["answer"] == "no file"
    unchanged = replace(ALL, changes=())
    assert make_status(unchanged, {}).answers[1]["answer"] == "no ROM, no file"
