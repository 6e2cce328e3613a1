# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge report`, which writes an HTML page about what was built."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from romforge.base import output_files
from romforge.base.errors import UsageError
from romforge.cli import build_state, common

if TYPE_CHECKING:
    from romforge.analysis.summary import BuildSummary


def _render_page(built: BuildSummary, spec: Path) -> str:
    from romforge.html import page

    return page.render_page(built, build_state.locked_roms(spec))


def _render_markdown(built: BuildSummary, spec: Path) -> str:
    from romforge.html import markdown

    return markdown.render_markdown(built, build_state.locked_roms(spec))


def _render_badge(built: BuildSummary, spec: Path) -> str:
    from romforge.html import badge

    return badge.render_badge(built)


_PAGE = "html"
_FORMATS: dict[str, Callable[[BuildSummary, Path], str]] = {
    _PAGE: _render_page,
    "md": _render_markdown,
    "svg": _render_badge,
}


def _format_of(output: Path | None) -> str:
    """The format that the ending of a file's name says."""
    ending = output.suffix[1:] if output else ""
    return ending if ending in _FORMATS else _PAGE


def add_report_command(commands: common.Commands) -> None:
    """Adds `report`."""
    parser = common.add_command(
        commands,
        "report",
        _run_report,
        "writes a page, Markdown or a badge about the build: sizes, changes, migration, proofs",
    )
    common.add_spec_options(parser)
    common.add_json_option(parser, "analysis.summary:ReportDocument")
    parser.add_argument(
        "-o",
        dest="output",
        metavar="FILE",
        type=Path,
        help="the file to write; default: standard output, but for a page",
    )
    parser.add_argument(
        "--format",
        choices=tuple(_FORMATS),
        help="html: a page; md: Markdown for a merge request or the summary of a job; svg: a badge;"
        " default: by the ending of FILE, or html",
    )
    build_state.add_against_option(parser)


def _run_report(args: Namespace) -> int:
    from romforge.analysis import summary

    output: Path | None = args.output
    kind = args.format or _format_of(output)
    if output is None and (kind == _PAGE or args.json):
        raise UsageError("name the file to write: -o FILE")
    built = build_state.gather_state(args.spec, args.out, args.against, with_objects=kind == _PAGE)
    text = _FORMATS[kind](built, args.spec)
    if output is None:
        print(text, end="")
    else:
        output_files.replace_file(output, text.encode())
    _warn_of_nothing_compared(built)
    problems = built.problems()
    if args.json:
        common.print_json(summary.summary_as_json(built, args.output))
    elif output is not None:
        print(output)
    for problem in problems:
        print(f"romforge: {problem}", file=sys.stderr)
    return int(bool(problems))


def _warn_of_nothing_compared(built: BuildSummary) -> None:
    """Tells of older sets that have no file for any ROM: the page can only say "new" of them."""
    for name, verdicts in built.sets.items():
        if all(verdict.old is None for verdict in verdicts):
            common.warn(f"{name}: has no file of the name of a ROM, so nothing is compared with it")
