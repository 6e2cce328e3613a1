# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge status`, which shows what was built, compared and proven, and builds nothing."""

from __future__ import annotations

from argparse import Namespace
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
    from romforge.analysis.status import RomStatus, Status

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
            answers=state.answers,
        )
        common.print_json(document)
        return int(bool(problems))
    colour = wants_colours()
    for line in _table_lines(state, colour):
        print(line)
    print()
    for answer in state.answers:
        print(f"{paint(answer['question'], BOLD, colour)}: {answer['answer']}")
    print(paint(status.headline(built), RED if problems else BOLD, colour))
    return int(bool(problems))


def _table_lines(state: Status, colour: bool) -> list[str]:
    title, rule, *lines = render_table(_COLUMNS, map(_cells, state.roms), terminal_width())
    painted = [paint(title, BOLD, colour), paint(rule, DIM, colour)]
    for rom, line in zip(state.roms, lines):
        tint = _colour_of(rom)
        painted.append(paint(line, tint, colour) if tint else line)
    return painted


def _cells(rom: RomStatus) -> list[str]:
    from romforge.analysis import status

    since_lock = "" if rom["since_lock"] is None else f"{rom['since_lock']:+,}"
    last = "" if rom["built"] else "NOT BUILT"
    if rom["built"] and rom["faults"]:
        last = "FAULTY"
    return [
        rom["file"],
        f"{rom['used']:,}" if rom["used"] else "",
        format_size(rom["bucket"]) if rom["bucket"] else "",
        f"{rom['free']:,}" if rom["used"] else "",
        "0" if since_lock == "+0" else since_lock,
        status.migration_cell(rom),
        status.proof_cell(rom),
        last or render_bar(rom["used"], rom["bucket"]),
    ]


def _colour_of(rom: RomStatus) -> str | None:
    if not rom["built"] or rom["faults"] or not all(rom["migrates"].values()):
        return RED
    if "failed" in rom["proofs"]:
        return RED
    if rom["bucket"] and rom["free"] < _FULL * rom["bucket"]:
        return YELLOW
    return None
