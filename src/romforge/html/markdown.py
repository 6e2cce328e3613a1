# SPDX-License-Identifier: GPL-2.0-or-later
"""The state of a set as Markdown, for the comment of a merge request or the summary of a job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from romforge.analysis import status
from romforge.analysis.status import RomStatus
from romforge.analysis.summary import BuildSummary
from romforge.base.text import format_size
from romforge.rom.lock_format import Change, Entry

_ROWS = 10  # of the table; the page has all ROMs
_CHANGES = 20
_GOOD, _BAD = "✅", "❌"


def render_markdown(built: BuildSummary, locked: Mapping[str, Entry]) -> str:
    """The verdicts with their counts, what changed since the lock, and the worst ROMs.

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
    lines += ["", "### The worst first", "", *_table(state.roms)]
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
        since_lock = "" if rom["since_lock"] is None else f"{rom['since_lock']:+,}"
        cells = [
            f"`{rom['file']}`{mark}",
            f"{rom['used']:,}",
            format_size(rom["bucket"]),
            f"{rom['free']:,}",
            since_lock,
            _escape(status.migration_cell(rom)),
            status.proof_cell(rom),
        ]
        yield f"| {' | '.join(cells)} |"
    if len(roms) > _ROWS:
        yield ""
        yield f"{len(roms) - _ROWS} more ROMs are better than these."


def _escape(text: str) -> str:
    """Text that Markdown and its HTML show as it is, in a line or a cell of a table."""
    for character in "\\`*_[]<>|":
        text = text.replace(character, f"\\{character}")
    return text.replace("\n", " ")
