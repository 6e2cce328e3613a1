# SPDX-License-Identifier: GPL-2.0-or-later
"""Reports what an image is linked without, in comparison with a link from all roots of the tree.

The link from all roots is made on demand, in the platform's working tree as the last build left it.
Meanwhile, the image, its stages and the rules of its link are set aside.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from romforge.analysis import image_sizes
from romforge.base.errors import RomforgeError
from romforge.base.json_document import Document
from romforge.base.table import Column, render_table
from romforge.formats import elf
from romforge.formats.ld_map import Size
from romforge.plan.steps import TreeBuild
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
    """An object that is left out of an image, although other objects refer to it.

    ``because`` is the strength that leaves it out, or "leave_out" if the spec names it. ``by`` is
    "stubs" if stubs replace it, or "only required" if it needs no replacement. ``size`` is its
    size in a link from all roots. The field names are JSON keys.
    """

    object: str
    because: str
    by: str
    size: Size


class Stripped(NamedTuple):
    """What stayed in an image, and what it is linked without. The field names are JSON keys.

    ``task`` is that of the image's platform.
    ``dropped`` and ``added`` are the roots that the link does not have, or has in addition.
    ``never_asked_for`` are the other objects of a link from all roots: only dropped roots and
    objects that are left out refer to them. ``needed`` are objects that the plan leaves out but
    that stayed, since something needs them. ``reason`` says why nothing is left out, or is None.
    """

    task: str
    goal: str
    dropped: tuple[str, ...]
    added: tuple[str, ...]
    left_out: tuple[LeftOutObject, ...]
    needed: tuple[str, ...]
    reason: str | None
    stayed: Mapping[str, Size]
    never_asked_for: Mapping[str, Size]


def strip_report_of(step: TreeBuild, out: Path, goals: list[str]) -> list[Stripped]:
    """Reports on images of a platform. Raises RomforgeError if one must be built first."""
    trees = Trees(out)
    stale = rebuild_reasons.stale_goals(step, out, goals, trees)
    if stale:
        goal, reason = next(iter(stale.items()))
        raise RomforgeError(f"{step.task}: {goal}.{step.media} must be built first: {reason}")
    plan = source_tree.recorded_link_plan(step, out)
    record = tree_record.load_record(step, out) or TreeRecord()
    sizes = _sizes_by_image(step, out, goals)
    all_sizes = sizes
    if plan.drop or plan.add or plan.left_out:
        all_sizes = _link_from_all_roots(step, out, trees, goals)
    reports = []
    for goal in goals:
        left_out = record.goals[goal].left_out
        reports.append(_report(step, plan, goal, left_out, sizes[goal], all_sizes[goal]))
    return reports


def _report(
    step: TreeBuild,
    plan: LinkPlan,
    goal: str,
    left_out: list[str],
    stayed: Mapping[str, Size],
    all_sizes: Mapping[str, Size],
) -> Stripped:
    """Compares the objects that ``stayed`` with those of a link from all roots."""
    left_out_sizes = {}
    unreferenced = {}
    for name, size in all_sizes.items():
        if name in stayed:
            continue
        source = link_check.stem(name)
        if source in left_out:
            left_out_sizes[source] = size
        else:
            unreferenced[name] = size
    needed = []
    for group in plan.left_out:
        needed += [name for name in group.objects if name not in left_out]
    return Stripped(
        task=step.task,
        goal=goal,
        dropped=plan.drop,
        added=plan.add,
        left_out=tuple(_left_out_objects(plan, left_out, left_out_sizes)),
        needed=tuple(needed),
        reason=_reason(step, plan, left_out),
        stayed=stayed,
        never_asked_for=unreferenced,
    )


def _left_out_objects(
    plan: LinkPlan, names: list[str], sizes: Mapping[str, Size]
) -> Iterator[LeftOutObject]:
    """The objects that are left out, each with its reason, its replacement and its size."""
    named_by_spec: set[str] = set()
    for group in plan.left_out:
        if group.explicit:
            named_by_spec.update(group.objects)
    safe: set[str] = set()
    for group in link_roots.known_groups(link_roots.SAFE):
        safe.update(group.objects)
    for name in names:
        because = link_roots.MINIMAL
        if name in named_by_spec:
            because = _LEAVE_OUT
        elif name in safe:
            because = link_roots.SAFE
        by = BY_STUBS if link_roots.has_stubs(name) else ONLY_REQUIRED
        yield LeftOutObject(name, because, by, sizes.get(name, Size()))


def _reason(step: TreeBuild, plan: LinkPlan, left_out: Collection[str]) -> str | None:
    """Why nothing is left out, or None if something is."""
    if plan.drop or left_out:
        return None
    if plan.reason:
        return plan.reason
    if step.legacy:
        return "nothing is left out: a BIOS boots with iPXE's own boot stack, which needs all of it"
    if step.strip.strength == link_roots.NONE:
        return f'nothing is left out: the spec says strip = "{link_roots.NONE}"'
    return None


def _sizes_by_image(step: TreeBuild, out: Path, goals: list[str]) -> dict[str, dict[str, Size]]:
    """The sizes of the objects of each image."""
    return {goal: _object_sizes(step, out, goal) for goal in goals}


def _object_sizes(step: TreeBuild, out: Path, goal: str) -> dict[str, Size]:
    """The sizes of the objects of a link, the largest first."""
    linked = image_sizes.linked_file(step, out, goal)
    link_map = link_check.read_map(linked.with_name(f"{linked.name}.map"))
    sizes = {}
    for name, size in link_map.sizes(elf.sections_in_file(linked)).items():
        sizes[make_rules.shown_object_name(name)] = size
    return dict(sorted(sizes.items(), key=_largest_object_first))


def _largest_object_first(item: tuple[str, Size]) -> tuple[int, int, str]:
    name, size = item
    return -size.file, -size.memory, name


def _link_from_all_roots(
    step: TreeBuild, out: Path, trees: Trees, goals: list[str]
) -> dict[str, dict[str, Size]]:
    """The sizes of objects in links from all roots, by image.

    The working tree is the same afterwards. Raises RomforgeError if the link fails.
    """
    directory = out / step.directory
    src = directory / "src"
    log = directory / "stripped.log"
    log.unlink(missing_ok=True)
    medium = source_tree.linked_medium(step)
    arguments = image_build.variables(step, trees.of(step), src)
    arguments += [f"{step.bin}/{goal}.{medium}.tmp" for goal in goals]
    sizes = {}
    start = time.time_ns()
    with gnu_make.build(), _set_aside(step, out, goals):
        make_rules.write_rules(src, LinkPlan(), {}, step.bin)
        status = image_build.run_make_for(step, arguments, src, log)
        if gnu_make.interrupted():
            image_build.drop_halves(src / step.bin, start)
        elif status == 0:
            sizes = _sizes_by_image(step, out, goals)
    if gnu_make.interrupted():
        raise KeyboardInterrupt
    if status:
        raise RomforgeError(
            f"{step.task}: the link from all roots failed with exit status {status}; see {log}"
        )
    return sizes


@contextmanager
def _set_aside(step: TreeBuild, out: Path, goals: list[str]) -> Iterator[None]:
    """Sets images, their stages and the rules of their link aside, and restores them at the end.

    Meanwhile, the working tree is marked as unfinished. If this process or make is killed, the mark
    stays, and the next build starts anew.
    """
    directory = out / step.directory
    bin_directory = directory / "src" / step.bin
    rules = directory / "src" / make_rules.RULES
    aside = directory / "aside"
    record = tree_record.load_record(step, out)
    tree_record.mark_unfinished(step, out)
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    stages = _stages(step, bin_directory, goals)
    shutil.copy2(rules, aside / rules.name)
    for path in stages:
        path.rename(aside / path.name)
    make_was_killed = False
    try:
        yield
    except Killed:
        make_was_killed = True
        raise
    finally:
        for path in _stages(step, bin_directory, goals):
            path.unlink()
        for path in stages:
            (aside / path.name).rename(path)
        os.replace(aside / rules.name, rules)
        aside.rmdir()
        if record is not None and not make_was_killed:
            tree_record.save_record(step, out, record)


def _stages(step: TreeBuild, bin_directory: Path, goals: list[str]) -> list[Path]:
    """The files of some images and of all their stages."""
    stages = []
    for goal in goals:
        stages += image_build.stages(step, bin_directory, goal)
    return stages


class StrippedDocument(Document):
    """What `stripped --json` prints: the images, in the order of the spec."""

    images: list[Stripped]


def strip_report_lines(stripped: Stripped) -> Iterator[str]:
    """The lines that ``romforge stripped`` prints for an image."""
    if stripped.reason:
        yield stripped.reason
    if stripped.dropped:
        yield f"dropped roots: {', '.join(stripped.dropped)}"
    if stripped.added:
        yield f"added roots: {', '.join(stripped.added)}"
    yield from _left_out_lines(stripped.left_out)
    if stripped.needed:
        yield f"not left out, since something needs them: {', '.join(stripped.needed)}"
    yield from _size_table(stripped)


def _left_out_lines(objects: Collection[LeftOutObject]) -> Iterator[str]:
    """A line for each reason and kind of replacement, with the objects that share them."""
    names_by_kind: dict[tuple[str, str], list[str]] = {}
    for item in objects:
        names_by_kind.setdefault((item.because, item.by), []).append(item.object)
    for (because, by), names in names_by_kind.items():
        setting = because if because == _LEAVE_OUT else f'strip = "{because}"'
        replacement = "replaced by stubs" if by == BY_STUBS else "only required"
        yield f"left out by {setting}, {replacement}: {', '.join(names)}"


def _size_table(stripped: Stripped) -> list[str]:
    """A table of all objects, with a row of sums for each group at its end."""
    columns = [
        Column("object"),
        Column("bytes", right=True),
        Column("memory", right=True),
        Column(""),
    ]
    groups: dict[str, Mapping[str, Size]] = {
        "stayed": stripped.stayed,
        "left out": {item.object: item.size for item in stripped.left_out},
        "not referenced": stripped.never_asked_for,
    }
    rows = []
    sums = []
    for group, sizes in groups.items():
        if not sizes:
            continue
        file = 0
        memory = 0
        for name, size in sizes.items():
            rows.append([name, *_size_cells(size), group])
            file += size.file
            memory += size.memory
        sums.append([f"{len(sizes)} objects", *_size_cells(Size(file, memory)), group])
    return render_table(columns, rows + sums)


def _size_cells(size: Size) -> list[str]:
    memory = f"{size.memory:,}" if size.memory else ""
    return [f"{size.file:,}", memory]
