# SPDX-License-Identifier: GPL-2.0-or-later
"""The state of a set as Markdown, for the comment of a merge request or the summary of a job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from romforge.analysis import status
from romforge.analysis.status import RomStatus
from romforge.analysis.summary import BuildSummary, ReportedFile
from romforge.base.text import format_size
from romforge.rom.lock_format import Change, Entry

_ROWS = 10  # of a table; the page has all
_CHANGES = 20
_GOOD, _BAD = "✅", "❌"


def render_markdown(built: BuildSummary, locked: Mapping[str, Entry]) -> str:
    """The verdicts with their counts, what changed since the lock, the worst ROMs and files.

    ``locked`` are the entries of the lock by path, none without a lock.
    """
    state = status.make_status(built, locked)
    mark = _BAD if built.problems() else _GOOD
    lines = [f"## {mark} {_escape(status.headline(built))}", ""]
    lines += ["| | |", "|---|---|"]
    for answer in state.answers:
        cell = "<br>".join(_escape(line.strip()) for line in answer["answer"].splitlines())
        lines.append(f"| **{answer['question']}** | {cell} |")
    if built.changes:
        lines += ["", "### Changed since the lock", "", *_change_lines(built.changes)]
    if state.roms:
        lines += ["", "### The worst first", "", *_table(state.roms)]
    if state.files:
        lines += ["", "### Files that are no ROMs", "", *_file_table(state.files)]
    return "\n".join(lines) + "\n"


def _change_lines(changes: Sequence[Change]) -> Iterator[str]:
    faults_first = sorted(changes, key=lambda change: (not change.fault, -change.growth))
    for change in faults_first[:_CHANGES]:
        mark = f"{_BAD} " if change.fault else ""
        yield f"- {mark}`{change.path}`: {_escape(change.text)}"
    if len(changes) > _CHANGES:
        yield f"- {len(changes) - _CHANGES} more"


def _table(roms: Sequence[RomStatus]) -> Iterator[str]:
    yield "| ROM | used | bucket | free | since lock | migrates | proven |"
    yield "|---|--:|--:|--:|--:|---|---|"
    for rom in roms[:_ROWS]:
        mark = "" if rom["built"] and not rom["faults"] else f" {_BAD}"
        cells = [
            f"`{rom['file']}`{mark}",
            f"{rom['used']:,}",
            format_size(rom["bucket"]),
            f"{rom['free']:,}",
            _growth(rom["since_lock"]),
            _escape(status.migration_cell(rom)),
            status.proof_cell(rom),
        ]
        yield f"| {' | '.join(cells)} |"
    if len(roms) > _ROWS:
        yield ""
        yield f"{len(roms) - _ROWS} more ROMs are better than these."


def _file_table(files: Sequence[ReportedFile]) -> Iterator[str]:
    yield "| file | platform | bytes | since lock | what is wrong |"
    yield "|---|---|--:|--:|---|"
    for file in files[:_ROWS]:
        mark = "" if file["built"] else f" {_BAD}"
        cells = [
            f"`{file['file']}`{mark}",
            file["platform"],
            "" if file["size"] is None else f"{file['size']:,}",
            _growth(file["since_lock"]),
            _escape("; ".join(file["faults"])),
        ]
        yield f"| {' | '.join(cells)} |"
    if len(files) > _ROWS:
        yield ""
        yield f"{len(files) - _ROWS} more files are better than these."


def _growth(since_lock: int | None) -> str:
    return "" if since_lock is None else f"{since_lock:+,}"


def _escape(text: str) -> str:
    """Text that Markdown and its HTML show as it is, in a line or a cell of a table."""
    for character in "\\`*_[]<>|":
        text = text.replace(character, f"\\{character}")
    return text.replace("\n", " ")
