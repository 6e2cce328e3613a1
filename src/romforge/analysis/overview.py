# SPDX-License-Identifier: GPL-2.0-or-later
"""What the page says of a set at a glance: checks with counts, and the ROMs, the worst first.

Everything comes from a BuildSummary, so the page and `romforge status` agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from romforge.analysis import status
from romforge.analysis.compat import Verdict
from romforge.analysis.summary import BuildSummary, Proven, Row
from romforge.base.text import count_parts, join_words, plural
from romforge.rom.lock_format import Change, Entry


class Grade(Enum):
    """How good something is. ``NOTED`` is good, but somebody should know of it."""

    GOOD = "good"
    NOTED = "noted"
    BAD = "bad"
    UNKNOWN = "unknown"


class Subject(Enum):
    """What is checked of a set, in the order of the page. ``FILES`` are those that are no ROMs."""

    BUILT = "built"
    FILES = "files"
    FAULTS = "faults"
    LOCK = "lock"
    MIGRATION = "migration"
    PROOF = "proof"


@dataclass(frozen=True)
class Check:
    """The outcome of a check: a few words with counts, and what more there is to say."""

    subject: Subject
    grade: Grade
    text: str
    more: str = ""


@dataclass(frozen=True)
class Migration:
    """Whether the guests of an older set can move to a ROM, and boot from it.

    There are several verdicts where it is not clear which older ROM a guest has.
    """

    name: str  # of the older set
    verdicts: tuple[Verdict, ...]

    @property
    def grade(self) -> Grade:
        """That of the worst verdict; unknown if the older set lacks the file."""
        grades = [grade_of(verdict) for verdict in self.verdicts]
        for grade in (Grade.BAD, Grade.NOTED, Grade.GOOD):
            if grade in grades:
                return grade
        return Grade.UNKNOWN


@dataclass(frozen=True)
class RomOverview:
    """A ROM, with all that is known of it.

    ``badness`` is one of the numbers of ``status``. ``since_lock`` is by how many bytes it grew;
    None for a ROM that is not locked, or not built.
    """

    row: Row
    badness: int
    since_lock: int | None
    changes: tuple[Change, ...]
    migrations: tuple[Migration, ...]
    proofs: tuple[Proven, ...]


@dataclass(frozen=True)
class Overview:
    """The checks of a set in the order of ``Subject``, and its ROMs, the worst first.

    A set without files lacks the check of files, and one of files alone has those of files and of
    the lock alone.
    """

    checks: tuple[Check, ...]
    roms: tuple[RomOverview, ...]


def grade_of(verdict: Verdict) -> Grade:
    """How good a verdict is: a bucket that the spec changes on purpose is noted."""
    if verdict.old is None:
        return Grade.UNKNOWN
    if verdict.is_good:
        return Grade.GOOD
    if not verdict.migrates and verdict.said:
        return Grade.NOTED
    return Grade.BAD


def make_overview(built: BuildSummary, locked: Mapping[str, Entry]) -> Overview:
    """The overview of a set; ``locked`` are the entries of the lock by path, none without one."""
    checks = [_check_lock(built)]
    if built.files:
        checks.append(_check_files(built))
    if built.rows or not built.files:
        checks += [_check_built(built), _check_faults(built), _check_migration(built)]
        checks.append(_check_proofs(built.proofs))
    order = list(Subject)
    checks.sort(key=lambda check: order.index(check.subject))
    return Overview(tuple(checks), tuple(_roms(built, locked)))


def _roms(built: BuildSummary, locked: Mapping[str, Entry]) -> list[RomOverview]:
    rows = {row.path: row for row in built.rows}
    changes: dict[str, list[Change]] = {}
    for change in built.changes or ():
        changes.setdefault(change.path, []).append(change)
    proofs: dict[str, list[Proven]] = {}
    for proof in built.proofs:
        proofs.setdefault(proof.rom, []).append(proof)
    verdicts = _verdicts_by_rom(built.sets)
    not_as_locked = {change.path for change in built.changes or () if change.fault}
    roms = []
    for rom in status.make_status(built, locked).roms:
        path = rom["file"]
        migrations = []
        for name in built.sets:
            migrations.append(Migration(name, tuple(verdicts.get((name, path), ()))))
        overview = RomOverview(
            row=rows[path],
            badness=status.badness(rom, not_as_locked),
            since_lock=rom["since_lock"],
            changes=tuple(changes.get(path, ())),
            migrations=tuple(migrations),
            proofs=tuple(proofs.get(path, ())),
        )
        roms.append(overview)
    return roms


def _verdicts_by_rom(
    sets: Mapping[str, Sequence[Verdict]],
) -> dict[tuple[str, str], list[Verdict]]:
    """The verdicts on each ROM, by the names of the older set and of the ROM."""
    by_rom: dict[tuple[str, str], list[Verdict]] = {}
    for name, verdicts in sets.items():
        for verdict in verdicts:
            by_rom.setdefault((name, verdict.new_path or verdict.file), []).append(verdict)
    return by_rom


def _check_built(built: BuildSummary) -> Check:
    total, missing = len(built.rows), built.counts().not_built
    if missing:
        return Check(Subject.BUILT, Grade.BAD, f"{missing} of {plural(total, 'ROM')} not built")
    lacking = sum(bool(row.missing) for row in built.rows)
    more = f"{plural(lacking, 'ROM')} without some image" if lacking else ""
    return Check(Subject.BUILT, Grade.GOOD, f"{total} of {plural(total, 'ROM')}", more)


def _check_files(built: BuildSummary) -> Check:
    total, missing = len(built.files), built.counts().files_not_built
    if missing:
        text = f"{missing} of {plural(total, 'file')} not built"
        return Check(Subject.FILES, Grade.BAD, text)
    return Check(Subject.FILES, Grade.GOOD, f"{total} of {plural(total, 'file')}")


def _check_faults(built: BuildSummary) -> Check:
    counts = built.counts()
    if counts.faulty:
        return Check(Subject.FAULTS, Grade.BAD, f"{plural(counts.faulty, 'ROM')} with faults")
    sound = len(built.rows) - counts.not_built
    return Check(Subject.FAULTS, Grade.GOOD, f"none in {plural(sound, 'ROM')}")


def _check_lock(built: BuildSummary) -> Check:
    if built.changes is None:
        return Check(Subject.LOCK, Grade.UNKNOWN, "no lock")
    roms = len({change.path for change in built.changes if change.is_rom})
    files = len({change.path for change in built.changes if not change.is_rom})
    counts = built.counts()
    wrong_roms, wrong_files = counts.not_as_locked, counts.files_not_as_locked
    if wrong_roms or wrong_files:
        text = f"{count_parts(wrong_roms, wrong_files)} not as locked"
        others = {"other ROM": roms - wrong_roms, "other file": files - wrong_files}
        more = [plural(count, noun) for noun, count in others.items() if count]
        return Check(Subject.LOCK, Grade.BAD, text, f"{join_words(more)} changed" if more else "")
    if roms or files:
        text = f"{count_parts(roms, files)} changed"
        return Check(Subject.LOCK, Grade.NOTED, text, "as the spec allows")
    return Check(Subject.LOCK, Grade.GOOD, "as locked")


def _check_migration(built: BuildSummary) -> Check:
    if not built.sets:
        return Check(Subject.MIGRATION, Grade.UNKNOWN, "not compared")
    sets = f"from {join_words(built.sets)}"
    counts = built.counts()
    if counts.cannot_migrate:
        more = "guests cannot move there"
        if counts.cannot_boot:
            more += f"; {plural(counts.cannot_boot, 'ROM')} without what guests boot"
        text = f"fails for {plural(counts.cannot_migrate, 'ROM')}"
        return Check(Subject.MIGRATION, Grade.BAD, text, more)
    if counts.cannot_boot:
        text = f"{plural(counts.cannot_boot, 'ROM')} to boot no more"
        return Check(Subject.MIGRATION, Grade.BAD, text, sets)
    grades = [grade_of(verdict) for of_set in built.sets.values() for verdict in of_set]
    if Grade.NOTED in grades:
        text = f"not for {plural(grades.count(Grade.NOTED), 'ROM')}"
        return Check(Subject.MIGRATION, Grade.NOTED, text, "as the spec says")
    if Grade.GOOD not in grades:
        return Check(Subject.MIGRATION, Grade.UNKNOWN, "nothing to compare", sets)
    return Check(Subject.MIGRATION, Grade.GOOD, "all guests migrate", sets)


def _check_proofs(proofs: Sequence[Proven]) -> Check:
    if not proofs:
        return Check(Subject.PROOF, Grade.UNKNOWN, "none was run")
    counts = Counter(proof.state for proof in proofs)
    failed, proven = counts.pop("failed", 0), counts.pop("proven", 0)
    more = ", ".join(f"{count:,} {state}" for state, count in counts.most_common())
    total = plural(len(proofs), "proof")
    if failed:
        return Check(Subject.PROOF, Grade.BAD, f"{failed:,} of {total} failed", more)
    grade = Grade.NOTED if counts else Grade.GOOD
    if not proven:
        grade = Grade.UNKNOWN
    return Check(Subject.PROOF, grade, f"{proven:,} of {total} hold", more)
