# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge build` and `romforge verify`, which run tasks of a spec."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from romforge.base.errors import UsageError
from romforge.base.json_document import Document
from romforge.cli import common
from romforge.cli.environment import source_tree_override
from romforge.plan.shards import Shard
from romforge.rom.manifest import BootFileEntry, RomEntry

if TYPE_CHECKING:
    from romforge.engine.tasks import TaskGraph


class BuildDocument(Document):
    """What `build --json` prints: the ROMs that the run looked at, in the order of the spec.

    ``sources`` are what is known of the trees they are made from, and of what the run got;
    ``files`` those of iPXE that are no ROMs.
    """

    files: list[BootFileEntry]
    sources: dict[str, dict[str, str]]
    roms: list[RomEntry]


def add_build_commands(commands: common.Commands) -> None:
    """Adds `build` and `verify`."""
    build = common.add_command(commands, "build", _run_build, "builds ROMs, as doit does")
    common.add_spec_options(build)
    common.add_json_option(build, "cli.build_commands:BuildDocument")
    build.add_argument(
        "selection",
        nargs="*",
        metavar=common.SELECTION,
        help="a card, a ROM, nic:NAME, target:NAME, rom:PATH or all; default: the default targets",
    )
    common.add_jobs_option(
        build,
        "the number of jobs to run at once, including those of make; default: one per processor",
    )

    common.add_quiet_option(build)
    common.add_shard_option(build)

    verify = common.add_command(
        commands,
        "verify",
        _run_verify,
        "boots ROMs in QEMU, and migrates guests that use them",
    )
    common.add_spec_options(verify)
    common.add_json_option(verify, "engine.verify_reporter:VerifyDocument")
    verify.add_argument(
        "selection",
        nargs="*",
        metavar=common.SELECTION,
        help="as for build, or verify:PATH:PROOF; default: the default targets",
    )
    verify.add_argument(
        "--controls",
        action="store_true",
        help="use corrupted ROMs instead; each of their proofs must fail",
    )
    common.add_jobs_option(
        verify, "the number of proofs to run at once; default: one per processor"
    )
    common.add_quiet_option(verify)
    common.add_shard_option(verify)
    verify.add_argument(
        "--strict",
        action="store_true",
        help="fail also if this machine lacks the QEMU, firmware or compiler of a proof",
    )
    verify.add_argument(
        "--junit",
        type=Path,
        metavar="FILE",
        help="also write the results to this file, as JUnit XML",
    )


def _run_build(args: Namespace) -> int:
    from romforge.engine import tasks

    has_selection = bool(args.selection) or args.shard is not None
    graph = tasks.load_tasks(args.spec, args.out, source_tree_override(), every=has_selection)
    named = common.selected_tasks(graph.plan, args.out, args.selection)
    selected = common.tasks_of_shard(graph.plan, named, args.shard, with_files=True)
    if selected is None:
        return 0
    graph.run.as_json = args.json
    graph.run.quiet = args.quiet
    return tasks.run_tasks(graph, selected, args.jobs)


def _run_verify(args: Namespace) -> int:
    from romforge.engine import tasks

    proofs = "controls" if args.controls else "all"
    graph = tasks.load_tasks(args.spec, args.out, source_tree_override(), verify=proofs)
    graph.run.junit = args.junit
    graph.run.strict = args.strict
    graph.run.as_json = args.json
    graph.run.quiet = args.quiet
    selected = _selected_proofs(graph, args.selection, args.shard)
    if selected is None:
        return 0
    if not selected:
        raise UsageError("there is nothing to verify")
    return tasks.run_tasks(graph, selected, args.jobs)


def _selected_proofs(
    graph: TaskGraph, selection: list[str], shard: Shard | None
) -> list[str] | None:
    """The tasks of the proofs that are named, and then of those of the ROMs that are.

    With a shard, of the ROMs in it; None if it has none.
    """
    known = {proof.task for proof in graph.proofs}
    tasks = common.selected_tasks(graph.plan, graph.out, selection, roms_only=True, more=known)
    proofs = [task for task in tasks if task in known]
    others = [task for task in tasks if task not in known]
    if proofs and not others:
        return proofs
    roms_of_shard = common.tasks_of_shard(graph.plan, others, shard)
    if roms_of_shard is None:
        return None
    roms = {rom.path for rom in graph.plan.selected(roms_of_shard)}
    for proof in graph.proofs:
        if proof.rom in roms:
            proofs.append(proof.task)
    return proofs
