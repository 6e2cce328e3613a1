# SPDX-License-Identifier: GPL-2.0-or-later
"""The checks of a set: each outcome has its grade, and says no more than is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from romforge.analysis.boot_files import FileRow
from romforge.analysis.compat import RomFile, Verdict
from romforge.analysis.overview import Check, Grade, Subject, make_overview
from romforge.analysis.summary import BuildSummary, Proven, Row, Segment
from romforge.rom.lock_format import Change, Entry, LockedImage

SIZE = 1 << 17
ROWS = tuple(
    Row(f"{nic}.rom", nic, "qemu", SIZE, (Segment("pcbios", "legacy", 512 * used),), ())
    for nic, used in (("a", 100), ("b", 200), ("c", 50))
)
FILES = tuple(
    FileRow(path, "x86_64-efi", path, 4096, grown)
    for path, grown in (("x.efi", 16), ("y.efi", None))
)
GOOD = BuildSummary("romspec.toml", ROWS, (), (), {}, ())
OLD, NEW = RomFile(SIZE, ("legacy",)), RomFile(SIZE * 2, ("legacy",))
MOVES = Verdict("a.rom", OLD, OLD, True, True, "", new_path="a.rom")
STUCK = Verdict("a.rom", OLD, NEW, False, False, "Size mismatch", new_path="a.rom")


def check_of(subject: Subject, **changed: Any) -> Check:
    checks = make_overview(replace(GOOD, **changed), {}).checks
    expected = set(Subject) if changed.get("files") else set(Subject) - {Subject.FILES}
    assert [check.subject for check in checks] == [one for one in Subject if one in expected]
    return next(check for check in checks if check.subject is subject)


def proofs(*states: str) -> tuple[Proven, ...]:
    return tuple(Proven("a.rom", str(index), state, "seen") for index, state in enumerate(states))


@pytest.mark.parametrize(
    ("subject", "changed", "grade", "text"),
    [
        (Subject.BUILT, {}, Grade.GOOD, "3 of 3 ROMs"),
        (
            Subject.BUILT,
            {"rows": (*ROWS[:2], replace(ROWS[2], not_built=True, wrong=("is not built",)))},
            Grade.BAD,
            "1 of 3 ROMs not built",
        ),
        (Subject.FILES, {"files": FILES}, Grade.GOOD, "2 of 2 files"),
        (
            Subject.FILES,
            {"files": (FILES[0], replace(FILES[1], fault="is not built"))},
            Grade.BAD,
            "1 of 2 files not built",
        ),
        (Subject.FAULTS, {}, Grade.GOOD, "none in 3 ROMs"),
        (
            Subject.FAULTS,
            {"rows": (replace(ROWS[0], wrong=("its sum is 1", "no PCIR")), *ROWS[1:])},
            Grade.BAD,
            "1 ROM with faults",
        ),
        (Subject.LOCK, {}, Grade.GOOD, "as locked"),
        (Subject.LOCK, {"changes": None}, Grade.UNKNOWN, "no lock"),
        (Subject.LOCK, {"changes": (Change("a.rom", "", False),)}, Grade.NOTED, "1 ROM changed"),
        (
            Subject.LOCK,
            {"changes": (Change("a.rom", "", True), Change("b.rom", "", False))},
            Grade.BAD,
            "1 ROM not as locked",
        ),
        (
            Subject.LOCK,
            {"changes": (Change("a.rom", "", False), Change("x.efi", "", False, is_rom=False))},
            Grade.NOTED,
            "1 ROM and 1 file changed",
        ),
        (
            Subject.LOCK,
            {"changes": (Change("a.rom", "", False), Change("x.efi", "", True, is_rom=False))},
            Grade.BAD,
            "1 file not as locked",
        ),
        (Subject.MIGRATION, {}, Grade.UNKNOWN, "not compared"),
        (Subject.MIGRATION, {"sets": {"sid": (MOVES,)}}, Grade.GOOD, "all guests migrate"),
        (Subject.MIGRATION, {"sets": {"sid": (STUCK,)}}, Grade.BAD, "fails for 1 ROM"),
        (
            Subject.MIGRATION,
            {"sets": {"sid": (replace(STUCK, said="2.0: larger"),)}},
            Grade.NOTED,
            "not for 1 ROM",
        ),
        (
            Subject.MIGRATION,
            {"sets": {"sid": (replace(MOVES, boots=False),)}},
            Grade.BAD,
            "1 ROM to boot no more",
        ),
        (
            Subject.MIGRATION,
            {"sets": {"sid": (replace(MOVES, old=None),)}},
            Grade.UNKNOWN,
            "nothing to compare",
        ),
        (Subject.PROOF, {}, Grade.UNKNOWN, "none was run"),
        (Subject.PROOF, {"proofs": proofs("proven")}, Grade.GOOD, "1 of 1 proof hold"),
        (
            Subject.PROOF,
            {"proofs": proofs("proven", "out of date", "not proven")},
            Grade.NOTED,
            "1 of 3 proofs hold",
        ),
        (
            Subject.PROOF,
            {"proofs": proofs("proven", "failed", "failed")},
            Grade.BAD,
            "2 of 3 proofs failed",
        ),
        (
            Subject.PROOF,
            {"proofs": proofs("not provable here", "out of date")},
            Grade.UNKNOWN,
            "0 of 2 proofs hold",
        ),
    ],
)
def test_a_check_has_a_grade_and_a_count(
    subject: Subject, changed: dict[str, Any], grade: Grade, text: str
):
    check = check_of(subject, **changed)
    assert (check.grade, check.text) == (grade, text)


def test_a_grade_is_bad_if_and_only_if_the_exit_status_is():
    """The strip and `romforge status` agree in what is wrong."""
    for changed in (
        {},
        {"changes": (Change("a.rom", "", True),)},
        {"sets": {"sid": (STUCK, MOVES)}},
        {"proofs": proofs("failed")},
        {"rows": (replace(ROWS[0], wrong=("x",)),)},
        {"files": FILES},
        {"files": (replace(FILES[0], fault="is not built"),)},
        {"files": FILES, "changes": (Change("x.efi", "", True, is_rom=False),)},
    ):
        built = replace(GOOD, **changed)
        grades = [check.grade for check in make_overview(built, {}).checks]
        assert (Grade.BAD in grades) == bool(built.problems()), changed


def test_a_set_of_files_alone_has_no_checks_of_roms():
    checks = make_overview(replace(GOOD, rows=(), files=FILES), {}).checks
    assert [check.subject for check in checks] == [Subject.FILES, Subject.LOCK]


def test_roms_come_the_worst_first_with_all_that_is_known_of_them():
    locked = {"b.rom": Entry(SIZE, (LockedImage("legacy", 512 * 190, "8086:100e"),))}
    change = Change("a.rom", "its bucket was 64 KiB, is now 128 KiB", True)
    built = replace(
        GOOD, changes=(change,), sets={"sid": (STUCK,), "old": ()}, proofs=proofs("proven")
    )
    roms = make_overview(built, locked).roms
    assert [rom.row.path for rom in roms] == ["a.rom", "b.rom", "c.rom"]
    assert (roms[0].changes, roms[1].changes) == ((change,), ())
    assert [one.grade for one in roms[0].migrations] == [Grade.BAD, Grade.UNKNOWN]
    assert [one.name for one in roms[1].migrations] == ["sid", "old"]
    assert (len(roms[0].proofs), len(roms[1].proofs)) == (1, 0)
    assert [rom.since_lock for rom in roms] == [None, 5120, None]
