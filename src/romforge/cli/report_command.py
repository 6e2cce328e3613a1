# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge report`, which writes an HTML page about what was built."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from romforge.base import output_files
from romforge.base.errors import UsageError
from romforge.cli import common
from romforge.cli.environment import source_tree_override
from romforge.spec import loader

if TYPE_CHECKING:
    from romforge.analysis.summary import BuildSummary, Proven
    from romforge.engine.tasks import TaskGraph
    from romforge.spec.model import Spec


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
    parser.add_argument(
        "--against",
        metavar="[NAME=]SET",
        action="append",
        default=[],
        help="an older set of ROMs to compare with, as for compat; may be repeated",
    )


def _run_report(args: Namespace) -> int:
    from romforge.analysis import summary
    from romforge.engine import tasks
    from romforge.html import page

    spec = loader.load_spec(args.spec, args.out)
    graph = tasks.load_tasks(args.spec, args.out, source_tree_override(), verify="all")
    older = _older_sets(spec, args.out, args.against)
    proofs = _shown_proofs(graph)
    built = summary.gather_summary(spec, graph.plan, args.out, older, proofs)
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


def _shown_proofs(graph: TaskGraph) -> list[Proven]:
    """The results of proofs, of the ROMs that have any."""
    from romforge.analysis.summary import Proven
    from romforge.engine import questions

    results = []
    for proof, state, seen in questions.proof_states(graph):
        results.append(Proven(proof.rom, proof.column, state, seen))
    roms = {result.rom for result in results if result.state != "not proven"}
    return [result for result in results if result.rom in roms]


def _older_sets(spec: Spec, out: Path, against: list[str]) -> dict[str, Path]:
    """The sets to compare with, by name: those that the spec names, and those of --against."""
    from romforge.verify import cases

    sets = {}
    for name, root in cases.baselines(spec):
        if (out / root).exists():
            sets[name] = out / root
    for text in against:
        name, _, path = text.rpartition("=")
        if not name and Path(path).name in sets:
            name = path  # two sets whose paths end alike are two sets
        name = name or Path(path).name or path
        if name in sets:
            raise UsageError(
                f"--against: there are two sets {name}; write NAME=SET, with other names"
            )
        sets[name] = Path(path)
    return sets


def _warn_of_nothing_compared(built: BuildSummary) -> None:
    """Tells of older sets that have no file for any ROM: the page can only say "new" of them."""
    for name, verdicts in built.sets.items():
        if all(verdict.old is None for verdict in verdicts):
            common.warn(f"{name}: has no file of the name of a ROM, so nothing is compared with it")
