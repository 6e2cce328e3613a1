# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge status`, which shows what was built, compared and proven, and builds nothing."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

from romforge.base.json_document import FORMAT
from romforge.base.table import (
    BOLD,
    DIM,
    RED,
    YELLOW,
    Column,
    paint,
    render_bar,
    render_table,
    terminal_width,
    wants_colours,
)
from romforge.base.text import format_size
from romforge.cli import build_state, common

if TYPE_CHECKING:
    from romforge.analysis.status import RomStatus
    from romforge.analysis.summary import ReportedFile

_COLUMNS = [
    Column("file", is_path=True),
    Column("used", right=True),
    Column("bucket", right=True),
    Column("free", right=True),
    Column("since lock", right=True),
    Column("migrates"),
    Column("proven"),
    Column("", is_optional=True),
]
_FILE_COLUMNS = [
    Column("file", is_path=True),
    Column("bytes", right=True),
    Column("since lock", right=True),
    Column("platform"),
    Column("state"),
]
_FULL = 0.05  # of a bucket that is free, up to which a ROM is marked


def add_status_command(commands: common.Commands) -> None:
    """Adds `status`."""
    parser = common.add_command(
        commands,
        "status",
        _run_status,
        "shows what was built, compared and proven, the worst first; builds nothing",
    )
    common.add_spec_options(parser)
    common.add_json_option(parser, "analysis.status:StatusDocument")
    build_state.add_against_option(parser)


def _run_status(args: Namespace) -> int:
    from romforge.analysis import status

    built = build_state.gather_state(args.spec, args.out, args.against, with_objects=False)
    state = status.make_status(built, build_state.locked_roms(args.spec))
    problems = built.problems()
    if args.json:
        document = status.StatusDocument(
            format=FORMAT,
            problems=problems,
            counts=built.counts(),
            roms=state.roms,
            files=state.files,
            answers=state.answers,
        )
        common.print_json(document)
        return int(bool(problems))
    colour = wants_colours()
    faults = status.not_as_locked(built)
    if state.roms:
        tints = [_colour_of(rom) for rom in state.roms]
        _print_table(_COLUMNS, [_cells(rom) for rom in state.roms], tints, colour)
    if state.files:
        tints = [_colour_of_file(file, faults) for file in state.files]
        rows = [_file_cells(file, faults) for file in state.files]
        _print_table(_FILE_COLUMNS, rows, tints, colour)
    for answer in state.answers:
        print(f"{paint(answer['question'], BOLD, colour)}: {answer['answer']}")
    print(paint(status.headline(built), RED if problems else BOLD, colour))
    return int(bool(problems))


def _print_table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    tints: Sequence[str | None],
    colour: bool,
) -> None:
    """Prints a table with a blank line below; ``tints`` are the colours of its rows."""
    title, rule, *lines = render_table(columns, rows, terminal_width())
    print(paint(title, BOLD, colour))
    print(paint(rule, DIM, colour))
    for tint, line in zip(tints, lines):
        print(paint(line, tint, colour) if tint else line)
    print()


def _cells(rom: RomStatus) -> list[str]:
    from romforge.analysis import status

    last = "" if rom["built"] else "NOT BUILT"
    if rom["built"] and rom["faults"]:
        last = "FAULTY"
    return [
        rom["file"],
        f"{rom['used']:,}" if rom["used"] else "",
        format_size(rom["bucket"]) if rom["bucket"] else "",
        f"{rom['free']:,}" if rom["used"] else "",
        _growth(rom["since_lock"]),
        status.migration_cell(rom),
        status.proof_cell(rom),
        last or render_bar(rom["used"], rom["bucket"]),
    ]


def _file_cells(file: ReportedFile, faults: set[str]) -> list[str]:
    return [
        file["file"],
        "" if file["size"] is None else f"{file['size']:,}",
        _growth(file["since_lock"]),
        file["platform"],
        _file_state(file, faults),
    ]


def _file_state(file: ReportedFile, faults: set[str]) -> str:
    if not file["built"]:
        return "; ".join(file["faults"])
    return "not as locked" if file["file"] in faults else "built"


def _growth(since_lock: int | None) -> str:
    if since_lock is None:
        return ""
    return f"{since_lock:+,}" if since_lock else "0"


def _colour_of_file(file: ReportedFile, faults: set[str]) -> str | None:
    return None if file["built"] and file["file"] not in faults else RED


def _colour_of(rom: RomStatus) -> str | None:
    if not rom["built"] or rom["faults"] or not all(rom["migrates"].values()):
        return RED
    if "failed" in rom["proofs"]:
        return RED
    if rom["bucket"] and rom["free"] < _FULL * rom["bucket"]:
        return YELLOW
    return None
