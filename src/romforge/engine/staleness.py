# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run must build in source trees: which images of which platform, and why.

This is found out before the run begins. One make builds all images of a platform, so it must know
what all ROMs of the run want. And tools that a platform lacks are reported before the first make
begins.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, NamedTuple

from romforge.base.errors import RomforgeError
from romforge.base.text import join_words
from romforge.plan.steps import Plan, TreeBuild

# A run without source trees does without the modules that read them: they would cost a doit that
# has nothing to do a tenth of its time.
if TYPE_CHECKING:
    from romforge.rom.manifest import SourceFacts
    from romforge.sources.ipxe.rebuild_reasons import Reasons
    from romforge.sources.ipxe.source_tree import Tree


class Demand(NamedTuple):
    """What a run must build in trees, by the task of a platform's make.

    ``wanted`` are the images to build, with the reasons; ``refused`` why a make cannot be run.
    ``goals`` are all images that the run's ROMs want; ``alone`` are makes of which no ROM of the
    run wants any. ``sources`` says what the manifests say of each source, ``notes`` what to report
    before the run.
    """

    wanted: dict[str, Reasons]
    refused: dict[str, str]
    goals: dict[str, list[str]]
    alone: set[str]
    sources: dict[str, SourceFacts]
    notes: tuple[str, ...]
    spec: Path | None = None

    def messages(self) -> list[str]:
        """What to report before the run: notes, and each reason to refuse once."""
        tasks_by_text: dict[str, list[str]] = {}
        for task, text in self.refused.items():
            tasks_by_text.setdefault(text, []).append(task)
        refusals = [f"{join_words(tasks)}: {text}" for text, tasks in tasks_by_text.items()]
        return [*self.notes, *refusals]


def stale_images(plan: Plan, out: Path, tasks: Collection[str]) -> Demand:
    """What a run of these tasks, with all that they depend on, must build in trees."""
    makes = [make for make in plan.all_makes() if make.task in tasks]
    if not makes:
        return Demand({}, {}, {}, set(), {}, ())
    from romforge.sources.ipxe import rebuild_reasons, source_tree

    goals = _goals(plan, tasks)
    spec = Path(plan.spec) if plan.spec else None
    demand = Demand({}, {}, goals, set(), {}, _notes(makes, out), spec)
    trees = source_tree.Trees(out)
    for make in makes:
        if make.task not in goals:
            demand.alone.add(make.task)
        wanted = goals.get(make.task) or list(make.goals)
        try:
            reasons = rebuild_reasons.stale_goals(make, out, wanted, trees)
            demand.wanted[make.task] = reasons
            tree = trees.of(make)
            demand.sources[make.source] = _describe_source(make, tree)
            if reasons:
                _require_buildable(make, tree, spec)
        except RomforgeError as error:
            demand.refused[make.task] = str(error)
    if not any(demand.wanted.values()) and not demand.refused:
        return demand._replace(notes=())  # the last line of the table says what was built
    return demand


def _describe_source(make: TreeBuild, tree: Tree) -> SourceFacts:
    """What the manifests say of a tree: which of the spec's it is, and what is in it."""
    revision = tree.revision
    if not revision and tree.place.kind == "pinned":
        revision = PurePath(tree.place.path).name  # the digest of an archive
    return {"tree": str(tree.src.parent), "kind": tree.place.kind, "revision": revision}


def _require_buildable(make: TreeBuild, tree: Tree, spec: Path | None) -> None:
    """Raises RomforgeError where tools or embedded files are missing."""
    from romforge.sources.ipxe import build_failure, toolchain

    toolchain.require_tools(make)
    toolchain.require_git(make, tree.src)
    build_failure.require_embedded(make, spec)


def _goals(plan: Plan, tasks: Collection[str]) -> dict[str, list[str]]:
    """The images that the ROMs among the tasks want, by the task of their make, each once."""
    goals: dict[str, dict[str, None]] = {}
    for rom in plan.roms():
        if rom.task not in tasks:
            continue
        for request in rom.requests:
            if request.make:
                goals.setdefault(request.make, {})[rom.goal] = None
    for file in plan.files:
        if file.task in tasks:
            goals.setdefault(file.make, {})[file.goal] = None
    return {task: list(names) for task, names in goals.items()}


def _notes(makes: list[TreeBuild], out: Path) -> tuple[str, ...]:
    """One note for each source of which another tree is built than the spec asks for first."""
    from romforge.sources.ipxe import source_tree

    notes: dict[str, str] = {}
    for make in makes:
        note = source_tree.other_tree_note(make, out)
        if note:
            notes[make.source] = note
    return tuple(notes.values())


def replaced_sources(plan: Plan, out: Path) -> set[str]:
    """The sources of which the fallback tree is built."""
    from romforge.sources.ipxe import source_tree

    return {make.source for make in plan.makes if source_tree.builds_fallback(make, out)}


def configuration_notes(plan: Plan, demand: Demand, out: Path) -> list[str]:
    """What to report of configurations and macros without effect, where something is built."""
    makes = [make for make in plan.makes if demand.wanted.get(make.task)]
    if not makes:
        return []
    from romforge.sources.ipxe import config_check  # a run with nothing to build does without
    from romforge.spec import loader

    path = Path(plan.spec)
    try:
        spec = loader.load_spec(path)
        warnings = [*config_check.unused_configurations(spec)]
        warnings += config_check.macro_warnings(spec, makes, out)
    except RomforgeError:
        return []  # the spec or the tree has changed meanwhile; the next run reports that
    return [loader.point_to(path, one.path, f"warning: {one.text}") for one in warnings]
