# SPDX-License-Identifier: GPL-2.0-or-later
"""`romforge build` and `romforge verify`, which run tasks of a spec."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from romforge.base.errors import UsageError
from romforge.cli import common
from romforge.cli.environment import source_tree_override

if TYPE_CHECKING:
    from romforge.engine.tasks import Dodo


def add_build_commands(commands: common.Commands) -> None:
    """Adds `build` and `verify`."""
    build = common.add_command(commands, "build", _run_build, "builds ROMs, as doit does")
    common.add_spec_options(build)
    common.add_json_option(build)
    build.add_argument(
        "selection",
        nargs="*",
        metavar=common.SELECTION,
        help="nic:NAME, target:NAME, rom:PATH or all; default: the default targets",
    )
    common.add_jobs_option(
        build,
        "the number of jobs to run at once, including those of make; default: one per processor",
    )

    verify = common.add_command(
        commands,
        "verify",
        _run_verify,
        "boots ROMs in QEMU, and migrates guests that use them",
    )
    common.add_spec_options(verify)
    common.add_json_option(verify)
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
    verify.add_argument(
        "--junit",
        type=Path,
        metavar="FILE",
        help="also write the results to this file, as JUnit XML",
    )


def _run_build(args: Namespace) -> int:
    from romforge.engine import tasks

    has_selection = bool(args.selection)
    dodo = tasks.load_tasks(args.spec, args.out, source_tree_override(), every=has_selection)
    selected = common.selected_tasks(dodo.plan, args.selection)
    return tasks.run_tasks(dodo, selected, args.jobs, args.json)


def _run_verify(args: Namespace) -> int:
    from romforge.engine import tasks
    from romforge.engine.verify_reporter import Matrix

    proofs = "controls" if args.controls else "all"
    dodo = tasks.load_tasks(args.spec, args.out, source_tree_override(), verify=proofs)
    Matrix.junit = args.junit
    selected = _selected_proofs(dodo, args.selection)
    if not selected:
        raise UsageError("there is nothing to verify")
    return tasks.run_tasks(dodo, selected, args.jobs, args.json)


def _selected_proofs(dodo: Dodo, selection: list[str]) -> list[str]:
    """The tasks of the proofs that are named, and then of those of the ROMs that are."""
    known = {proof.task for proof in dodo.proofs}
    proofs, others = [], []
    for name in selection:
        if name in known:
            proofs.append(name)
        else:
            others.append(name)
    if proofs and not others:
        return proofs
    selected = dodo.plan.selected(common.selected_tasks(dodo.plan, others))
    roms = {rom.path for rom in selected}
    for proof in dodo.proofs:
        if proof.rom in roms:
            proofs.append(proof.task)
    return proofs
