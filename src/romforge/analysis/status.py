# SPDX-License-Identifier: GPL-2.0-or-later
"""The state of a set: its ROMs and its other files, the worst first, and the answers they give.

Everything comes from a BuildSummary, so `romforge status` and the page of `romforge report` agree.
Sizes are bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypedDict

from romforge.analysis.boot_files import FileRow
from romforge.analysis.summary import (
    BuildSummary,
    Counts,
    ReportedFile,
    Row,
    reported_file,
)
from romforge.base.json_document import Document
from romforge.base.text import format_size
from romforge.rom.lock_format import Entry

NOT_BUILT, FAULTY, CHANGED, BREAKS, FAILED, GOOD = range(6)  # how bad a ROM is, the worst first
_SHOWN = 3  # ROMs named in an answer
_PROVEN, _FAILED = "proven", "failed"  # states of proofs


class RomStatus(TypedDict):
    """A ROM of `romforge status`. ``since_lock`` is null for a ROM that is not locked.

    ``migrates`` says, for each older set, whether its guests can migrate and boot again;
    ``proofs`` counts the results of proofs, by their names.
    """

    file: str
    nic: str
    bucket: int
    used: int
    free: int
    since_lock: int | None
    built: bool
    faults: tuple[str, ...]
    migrates: dict[str, bool]
    proofs: dict[str, int]


class Answer(TypedDict):
    """A question about the set, and its answer; each ROM that grew has a line."""

    question: str
    answer: str


class StatusDocument(Document):
    """What `status --json` prints: what is wrong, ROMs and files, the worst first, and answers."""

    problems: list[str]
    counts: Counts
    roms: list[RomStatus]
    files: list[ReportedFile]
    answers: list[Answer]


class Status(NamedTuple):
    """The ROMs and the files that are none, the worst first, and what they answer."""

    roms: list[RomStatus]
    files: list[ReportedFile]
    answers: list[Answer]


def make_status(built: BuildSummary, locked: Mapping[str, Entry]) -> Status:
    """The status of a set; ``locked`` are the entries of the lock by path, none without a lock."""
    roms = [_rom_status(row, built, locked) for row in built.rows]
    faults = not_as_locked(built)
    roms.sort(key=lambda rom: (badness(rom, faults), _room_left(rom)))
    answers = {"grown since the lock": _grown(built)}
    if roms or not built.files:
        answers = {
            "nearest to its bucket": _nearest(roms),
            **answers,
            "guests that break": _breaking(built),
            "proofs": _proofs(built),
        }
    return Status(
        roms,
        [reported_file(row) for row in worst_files_first(built)],
        [Answer(question=question, answer=answer) for question, answer in answers.items()],
    )


def not_as_locked(built: BuildSummary) -> set[str]:
    """The paths of ROMs and files with a change since the lock that is not allowed."""
    return {change.path for change in built.changes or () if change.fault}


def worst_files_first(built: BuildSummary) -> list[FileRow]:
    """The files that are no ROMs: not as built, then not as locked, then the others."""
    faults = not_as_locked(built)
    return sorted(built.files, key=lambda row: (not row.fault, row.path not in faults))


def _rom_status(row: Row, built: BuildSummary, locked: Mapping[str, Entry]) -> RomStatus:
    entry = locked.get(row.path)
    migrates = {}
    for name, verdicts in built.sets.items():
        for verdict in verdicts:
            if verdict.new_path == row.path and verdict.old is not None:
                migrates[name] = verdict.is_good
    states = Counter(proof.state for proof in built.proofs if proof.rom == row.path)
    return RomStatus(
        file=row.path,
        nic=row.nic,
        bucket=row.bucket,
        used=row.used,
        free=row.bucket - row.used,
        since_lock=row.used - entry.used if entry and row.images else None,
        built=not row.not_built,
        faults=row.wrong,
        migrates=migrates,
        proofs=dict(states),
    )


def badness(rom: RomStatus, faults: set[str]) -> int:
    if not rom["built"]:
        return NOT_BUILT
    if rom["faults"]:
        return FAULTY
    if rom["file"] in faults:
        return CHANGED
    if not all(rom["migrates"].values()):
        return BREAKS
    if _FAILED in rom["proofs"]:
        return FAILED
    return GOOD


def _room_left(rom: RomStatus) -> float:
    """The share of the bucket that is free."""
    return rom["free"] / rom["bucket"] if rom["bucket"] else 0


def _nearest(roms: Sequence[RomStatus]) -> str:
    """The ROMs with the least free space, each size once: drivers have many ROMs."""
    texts: dict[tuple[int, int], str] = {}
    for rom in sorted((rom for rom in roms if rom["used"]), key=_room_left):
        size = f"{rom['free']:,} bytes free of {format_size(rom['bucket'])}"
        texts.setdefault((rom["free"], rom["bucket"]), f"{_name(rom['file'])} ({size})")
    return ", ".join(list(texts.values())[:_SHOWN])


def _grown(built: BuildSummary) -> str:
    """The ROMs and files that grew most, with the objects that did; or that none did."""
    if built.changes is None:
        return "there is no lock; `romforge lock` writes one"
    grown = [change for change in built.changes if change.growth > 0]
    grown.sort(key=lambda change: -change.growth)
    texts = [f"{_name(change.path)} {change.text}" for change in grown[:_SHOWN]]
    if len(grown) > _SHOWN:
        texts.append(f"{len(grown) - _SHOWN} more")
    kinds = {"no ROM": built.rows or not built.files, "no file": built.files}
    return "\n  ".join(texts) or ", ".join(kind for kind, found in kinds.items() if found)


def _breaking(built: BuildSummary) -> str:
    """The ROMs to which guests cannot migrate, or from which they can boot no more."""
    if not built.sets:
        return "not compared; name older ROMs by migrate_from in [verify], or --against SET"
    texts = []
    for name, verdicts in built.sets.items():
        bad = [verdict for verdict in verdicts if verdict.old is not None and not verdict.is_good]
        texts += [f"{verdict.file} of {name}" for verdict in bad]
    if not texts:
        return f"none of {', '.join(built.sets)}"
    shown = ", ".join(texts[:_SHOWN])
    return shown if len(texts) <= _SHOWN else f"{shown}, {len(texts) - _SHOWN} more"


def _proofs(built: BuildSummary) -> str:
    """How many proofs have each result, and the first that failed."""
    if not built.proofs:
        return "none was run; `romforge verify` runs them"
    counts = Counter(proof.state for proof in built.proofs)
    text = ", ".join(f"{count:,} {state}" for state, count in counts.most_common())
    for proof in built.proofs:
        if proof.state == _FAILED:
            return f"{text}; {_name(proof.rom)} {proof.column}: {proof.text.splitlines()[0]}"
    return text


def migration_cell(rom: RomStatus) -> str:
    """Whether guests of all older sets can migrate and boot again; empty if none has the ROM."""
    if not rom["migrates"]:
        return ""
    broken = [name for name, good in rom["migrates"].items() if not good]
    return f"NO ({', '.join(broken)})" if broken else "yes"


def proof_cell(rom: RomStatus) -> str:
    """How many proofs failed, or how many hold of all that are to be proven."""
    counts = rom["proofs"]
    if not counts:
        return ""
    if _FAILED in counts:
        return f"{counts[_FAILED]} FAILED"
    return f"{counts.get(_PROVEN, 0)} of {sum(counts.values())}"


def headline(built: BuildSummary) -> str:
    """What is wrong, with counts; or that nothing is."""
    problems = built.problems()
    if problems:
        return "; ".join(problems)
    return f"{built.parts()}, all built and without fault"


def _name(path: str) -> str:
    return path.rpartition("/")[2]
