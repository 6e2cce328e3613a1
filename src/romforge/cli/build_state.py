# SPDX-License-Identifier: GPL-2.0-or-later
"""What `report` and `status` show: what was built, compared and proven. Nothing is built for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from romforge.base.errors import UsageError
from romforge.cli import common
from romforge.cli.environment import source_tree_override
from romforge.spec import loader

if TYPE_CHECKING:
    from romforge.analysis.summary import BuildSummary, Proven
    from romforge.engine.tasks import TaskGraph
    from romforge.rom.lock_format import Entry
    from romforge.spec.model import Spec


def add_against_option(parser: common.CommandParser) -> None:
    """Adds --against."""
    parser.add_argument(
        "--against",
        metavar="[NAME=]SET",
        action="append",
        default=[],
        help="an older set of ROMs to compare with, as for compat; may be repeated",
    )


def gather_state(
    spec_path: Path, out: Path, against: list[str], with_objects: bool = True
) -> BuildSummary:
    """The state of an output root. ``with_objects`` reads the objects of images, too.

    Raises RomforgeError if nothing is built, or a set of --against cannot be read.
    """
    from romforge.analysis import summary
    from romforge.engine import tasks

    spec = loader.load_spec(spec_path, out)
    graph = tasks.load_tasks(spec_path, out, source_tree_override(), verify="all")
    older = _older_sets(spec, out, against)
    proofs = _shown_proofs(graph)
    return summary.gather_summary(spec, graph.plan, out, older, proofs, with_objects)


def _shown_proofs(graph: TaskGraph) -> list[Proven]:
    """The results of proofs, of the ROMs that have any."""
    from romforge.analysis.summary import Proven
    from romforge.engine import questions

    results = []
    for proof, state, seen, seconds, console in questions.proof_states(graph):
        results.append(Proven(proof.rom, proof.column, state, seen, seconds, console))
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


def locked_roms(spec: Path) -> Mapping[str, Entry]:
    """The entries of the spec's lock by path; none without a lock."""
    from romforge.rom import lock_format

    path = lock_format.lock_path(spec)
    return lock_format.read_lock(path).roms if path.exists() else {}
