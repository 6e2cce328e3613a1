# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge report`, which writes an HTML page about what was built."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from romforge.base import output_files
from romforge.cli import build_state, common

if TYPE_CHECKING:
    from romforge.analysis.summary import BuildSummary


def add_report_command(commands: common.Commands) -> None:
    """Adds `report`."""
    parser = common.add_command(
        commands,
        "report",
        _run_report,
        "writes an HTML page about the build: sizes, objects, changes, migration and proofs",
    )
    common.add_spec_options(parser)
    common.add_json_option(parser, "analysis.summary:ReportDocument")
    parser.add_argument(
        "-o",
        dest="output",
        metavar="FILE.html",
        type=Path,
        required=True,
        help="the page to write",
    )
    build_state.add_against_option(parser)


def _run_report(args: Namespace) -> int:
    from romforge.analysis import summary
    from romforge.html import page

    built = build_state.gather_state(args.spec, args.out, args.against)
    output_files.replace_file(args.output, page.render_page(built).encode())
    _warn_of_nothing_compared(built)
    problems = built.problems()
    if args.json:
        common.print_json(summary.summary_as_json(built, args.output))
    else:
        print(args.output)
    for problem in problems:
        print(f"romforge: {problem}", file=sys.stderr)
    return int(bool(problems))


def _warn_of_nothing_compared(built: BuildSummary) -> None:
    """Tells of older sets that have no file for any ROM: the page can only say "new" of them."""
    for name, verdicts in built.sets.items():
        if all(verdict.old is None for verdict in verdicts):
            common.warn(f"{name}: has no file of the name of a ROM, so nothing is compared with it")
