# SPDX-License-Identifier: GPL-2.0-or-later
"""What an image does without: its link is compared with one from all roots of the tree.

That link is made on demand, in the platform's working tree as the last build left it. The image and
its stages are set aside meanwhile, with the rules of its link.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from romforge.base.errors import RomforgeError
from romforge.base.table import Column, render_table
from romforge.formats import elf
from romforge.formats.ld_map import Size
from romforge.plan.planner import TreeBuild
from romforge.sources.ipxe import (
    gnu_make,
    image_build,
    link_check,
    link_roots,
    make_rules,
    rebuild_reasons,
    source_tree,
    tree_record,
)
from romforge.sources.ipxe.gnu_make import Killed
from romforge.sources.ipxe.link_roots import LinkPlan
from romforge.sources.ipxe.source_tree import Trees
from romforge.sources.ipxe.tree_record import TreeRecord

BY_STUBS, ONLY_REQUIRED = "stubs", "only required"
_LEAVE_OUT = "leave_out"


class LeftOutObject(NamedTuple):
    """An object that is left out of an image, though something asks for it.

    ``because`` is the strength that leaves it out, or "leave_out" where the spec names it. ``by``
    is "stubs" where stubs stand in for it, and "only required" where nothing need. ``size`` is what
    it has in a link from all roots.
    """

    object: str
    because: str
    by: str
    size: Size


class Stripped(NamedTuple):
    """What stayed in an image, and what it does without.

    ``never_asked_for`` is what a link from all roots has besides: what only the roots that are
    dropped and the objects that are left out ask for. ``needed`` are objects that were
    to be left out, and stayed since something needs them. ``reason`` says why nothing is left out,
    where nothing is.
    """

    goal: str
    dropped: tuple[str, ...]
    added: tuple[str, ...]
    left_out: tuple[LeftOutObject, ...]
    needed: tuple[str, ...]
    reason: str | None
    stayed: Mapping[str, Size]
    never_asked_for: Mapping[str, Size]


def strip_report_of(step: TreeBuild, out: Path, goals: list[str]) -> list[Stripped]:
    """What images of a platform do without; raises RomforgeError where one must be built first."""
    trees = Trees(out)
    if stale := rebuild_reasons.stale_goals(step, out, goals, trees):
        goal, why = next(iter(stale.items()))
        raise RomforgeError(f"{step.task}: {goal}.{step.media} must be built first: {why}")
    plan = source_tree.recorded_link_plan(step, out)
    record = tree_record.load_record(step, out) or TreeRecord()
    stayed = {goal: _sizes(step, out, goal) for goal in goals}
    whole = stayed
    if plan.drop or plan.add or plan.left_out:
        whole = _link_from_all_roots(step, out, trees, goals)
    found = []
    for goal in goals:
        names = record.goals[goal].left_out
        gone = {name: size for name, size in whole[goal].items() if name not in stayed[goal]}
        never_asked_for = {
            name: size for name, size in gone.items() if link_check.stem(name) not in names
        }
        stripped = Stripped(
            goal=goal,
            dropped=plan.drop,
            added=plan.add,
            left_out=_left_out(plan, names, gone),
            needed=_needed(plan, names),
            reason=_reason(step, plan, names),
            stayed=stayed[goal],
            never_asked_for=never_asked_for,
        )
        found.append(stripped)
    return found


def _left_out(
    plan: LinkPlan, names: list[str], gone: Mapping[str, Size]
) -> tuple[LeftOutObject, ...]:
    sizes = {link_check.stem(name): size for name, size in gone.items()}
    explicit = {name for group in plan.left_out if group.explicit for name in group.objects}
    safe = {name for group in link_roots.known_groups(link_roots.SAFE) for name in group.objects}
    found = []
    for name in names:
        because = link_roots.SAFE if name in safe else link_roots.MINIMAL
        if name in explicit:
            because = _LEAVE_OUT
        by = BY_STUBS if link_roots.has_stubs(name) else ONLY_REQUIRED
        found.append(LeftOutObject(name, because, by, sizes.get(name, Size())))
    return tuple(found)


def _needed(plan: LinkPlan, names: list[str]) -> tuple[str, ...]:
    planned = [name for group in plan.left_out for name in group.objects]
    return tuple(name for name in planned if name not in names)


def _reason(step: TreeBuild, plan: LinkPlan, names: list[str]) -> str | None:
    """Why nothing is left out; None where something is."""
    if plan.drop or names:
        return None
    if plan.reason:
        return plan.reason
    if step.legacy:
        return "nothing is left out: a BIOS boots with iPXE's own boot stack, which needs it all"
    if step.strip.strength == link_roots.NONE:
        return f'nothing is left out: the spec says strip = "{link_roots.NONE}"'
    return None


def _sizes(step: TreeBuild, out: Path, goal: str) -> dict[str, Size]:
    """The objects of a link, the largest first."""
    linked = (
        out / step.directory / "src" / step.bin / f"{goal}.{source_tree.linked_medium(step)}.tmp"
    )
    link_map = link_check.read_map(linked.with_name(f"{linked.name}.map"))
    sizes = {
        make_rules.shown_object_name(name): size
        for name, size in link_map.sizes(elf.sections_in_file(linked)).items()
    }
    return dict(sorted(sizes.items(), key=lambda item: (-item[1].file, -item[1].memory, item[0])))


def _link_from_all_roots(
    step: TreeBuild, out: Path, trees: Trees, goals: list[str]
) -> dict[str, dict[str, Size]]:
    """The sizes of links from all roots; the working tree is as before when it ends."""
    work = out / step.directory
    log = work / "stripped.log"
    log.unlink(missing_ok=True)
    medium = source_tree.linked_medium(step)
    words = image_build.variables(step, trees.of(step))
    words += [f"{step.bin}/{goal}.{medium}.tmp" for goal in goals]
    sizes = {}
    began = time.time_ns()
    with gnu_make.build(), _set_aside(step, out, goals):
        make_rules.write_rules(work / "src", LinkPlan(), {}, step.bin)
        status = image_build.run_make_for(step, words, work / "src", log)
        if gnu_make.interrupted():
            image_build.drop_halves(work / "src" / step.bin, began)
        elif status == 0:
            sizes = {goal: _sizes(step, out, goal) for goal in goals}
    if gnu_make.interrupted():
        raise KeyboardInterrupt
    if status:
        raise RomforgeError(
            f"{step.task}: the link from all roots ended with status {status}; see {log}"
        )
    return sizes


@contextmanager
def _set_aside(step: TreeBuild, out: Path, goals: list[str]) -> Iterator[None]:
    """Sets images, their stages and the rules of their link aside, and brings them back.

    The working tree is marked as unfinished meanwhile: if this process is killed, or make was, a
    later build begins anew.
    """
    work = out / step.directory
    bin_directory = work / "src" / step.bin
    rules = work / "src" / make_rules.RULES
    aside = work / "aside"
    record = tree_record.load_record(step, out)
    tree_record.mark_unfinished(step, out)
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    stages = [path for goal in goals for path in image_build.stages(step, bin_directory, goal)]
    shutil.copy2(rules, aside / rules.name)
    for path in stages:
        path.rename(aside / path.name)
    in_order = True
    try:
        yield
    except Killed:
        in_order = False
        raise
    finally:
        for goal in goals:
            for path in image_build.stages(step, bin_directory, goal):
                path.unlink()
        for path in stages:
            (aside / path.name).rename(path)
        os.replace(aside / rules.name, rules)
        aside.rmdir()
        if in_order and record is not None:
            tree_record.save_record(step, out, record)


def as_json(step: TreeBuild, stripped: Stripped) -> dict[str, Any]:
    """What `romforge stripped --json` prints of an image."""
    sizes = {
        "stayed": {name: size._asdict() for name, size in stripped.stayed.items()},
        "never_asked_for": {
            name: size._asdict() for name, size in stripped.never_asked_for.items()
        },
    }
    left_out = [{**item._asdict(), "size": item.size._asdict()} for item in stripped.left_out]
    return {"task": step.task, **stripped._asdict(), "left_out": left_out, **sizes}


def strip_report_lines(stripped: Stripped) -> Iterator[str]:
    """What `romforge stripped` prints of an image."""
    if stripped.reason:
        yield stripped.reason
    if stripped.dropped:
        yield f"roots of the tree that it is linked without: {', '.join(stripped.dropped)}"
    if stripped.added:
        yield f"roots that it is linked from besides: {', '.join(stripped.added)}"
    by_way: dict[tuple[str, str], list[str]] = {}
    for item in stripped.left_out:
        by_way.setdefault((item.because, item.by), []).append(item.object)
    for (because, by), names in by_way.items():
        way = "stubs stand in for them" if by == BY_STUBS else "they are only required"
        strength = because if because == _LEAVE_OUT else f'strip = "{because}"'
        yield f"left out by {strength}, {way}: {', '.join(names)}"
    if stripped.needed:
        yield f"not left out, since something needs them: {', '.join(stripped.needed)}"
    rows = []
    sums = []
    left_out = {item.object: item.size for item in stripped.left_out}
    parts = {
        "stayed": stripped.stayed,
        "left out": left_out,
        "never asked for": stripped.never_asked_for,
    }
    for verb, sizes in parts.items():
        if not sizes:
            continue
        for name, size in sizes.items():
            rows.append([name, *_cells(size), verb])
        file = sum(size.file for size in sizes.values())
        memory = sum(size.memory for size in sizes.values())
        sums.append([f"{len(sizes)} objects", *_cells(Size(file, memory)), verb])
    columns = [Column("object"), Column("bytes", right=True), Column("memory", right=True)]
    yield from render_table([*columns, Column("")], rows + sums)


def _cells(size: Size) -> list[str]:
    return [f"{size.file:,}", f"{size.memory:,}" if size.memory else ""]
