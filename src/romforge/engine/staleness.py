# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run must build in source trees, found out before it begins: which images of which platform, and why.

One make builds all images of a platform, so it must know of all that the run's ROMs want. And what a platform lacks of
tools is told before the first make begins.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from romforge.base.errors import RomforgeError
from romforge.base.text import join_words
from romforge.plan.planner import Plan, TreeBuild
from romforge.sources.ipxe import source_tree, toolchain

Reasons = dict[str, str]  # in words, by goal


class Demand(NamedTuple):
    """By the task of a platform's make: what it must build, and why; or why it cannot.

    ``goals`` are all images that the run's ROMs want, and ``alone`` are makes of which no ROM wants any. ``about`` says
    of each source what tree it is.
    """

    wanted: dict[str, Reasons]
    refused: dict[str, str]
    goals: dict[str, dict[str, None]]
    alone: set[str]
    about: dict[str, dict[str, str]]
    notes: tuple[str, ...]
    spec: Path | None = None

    def told(self) -> list[str]:
        """What is to be said before the run: notes, and refusals that are the same told once."""
        by_text: dict[str, list[str]] = {}
        for task, text in self.refused.items():
            by_text.setdefault(text, []).append(task)
        return [*self.notes, *(f"{join_words(tasks)}: {text}" for text, tasks in by_text.items())]


def stale_images(plan: Plan, out: Path, selected: set[str]) -> Demand:
    """The demand of a run of these tasks, and all that they depend on."""
    goals = _goals(plan, selected)
    spec = Path(plan.spec) if plan.spec else None
    demand = Demand({}, {}, goals, set(), {}, _notes(plan.makes, selected), spec)
    trees = source_tree.Trees(out)
    for make in plan.makes:
        if make.task not in selected:
            continue
        if make.task not in goals:
            demand.alone.add(make.task)
        try:
            why = source_tree.stale_goals(make, out, list(goals.get(make.task, make.goals)), trees)
            demand.wanted[make.task] = why
            tree = trees.of(make)
            demand.about[make.source] = {"tree": str(tree.src.parent), "revision": tree.revision}
            if why:
                from romforge.sources.ipxe import (
                    build_failure,  # a run with nothing to build goes without
                )

                toolchain.require_tools(make)
                toolchain.require_git(make, tree.src)
                build_failure.require_embedded(make, spec)
        except RomforgeError as error:
            demand.refused[make.task] = str(error)
    return demand


def _goals(plan: Plan, selected: set[str]) -> dict[str, dict[str, None]]:
    """The images that the ROMs among the selected tasks want, by the task of their make."""
    goals: dict[str, dict[str, None]] = {}
    for rom in plan.roms():
        if rom.task in selected:
            for pick in rom.picks:
                if pick.make:
                    goals.setdefault(pick.make, {})[rom.goal] = None
    return goals


def _notes(makes: tuple[TreeBuild, ...], selected: set[str]) -> tuple[str, ...]:
    """That a tree is built in the place of another, which is not there."""
    found = {}
    for make in makes:
        if make.task in selected and (tree := _fallback(make)):
            absent, taken = _short(make.trees[0]), _short(str(tree.parent))
            found[make.source] = (
                f"{absent} is not there, so {taken} is built; to get the real one: {source_tree.HOW_TO_GET}"
            )
    return tuple(found.values())


def replaced(plan: Plan) -> set[str]:
    """The sources of which the fallback tree is built."""
    return {make.source for make in plan.makes if _fallback(make)}


def _fallback(make: TreeBuild) -> Path | None:
    """The fallback tree of a platform, if that is what is built."""
    if len(make.trees) < 2:
        return None
    try:
        tree = source_tree.locate_tree(make)
    except RomforgeError:
        return None  # told for each platform
    return None if tree.is_relative_to(make.trees[0]) else tree


def _short(path: str) -> str:
    """A path as it is called from here, if it lies below."""
    return os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else path
