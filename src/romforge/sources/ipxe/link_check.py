# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks of a link: the driver is in it, required objects are, and left-out objects are not."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from romforge.base.errors import RomforgeError
from romforge.base.text import did_you_mean, join_words
from romforge.formats import ld_map
from romforge.formats.ld_map import LinkMap
from romforge.plan.steps import TreeBuild
from romforge.sources.ipxe import link_roots, make_rules
from romforge.sources.ipxe.link_roots import LeftOut, LinkPlan
from romforge.sources.ipxe.make_rules import NotedRoots

_DEBUG_SUFFIX = re.compile(r"\.dbg[\d.]+$")


def read_map(path: Path) -> LinkMap:
    """The map of a link; raises RomforgeError if it cannot be read."""
    try:
        return ld_map.parse_map(path.read_text(errors="replace"))
    except OSError as error:
        raise RomforgeError(f"{path}: cannot be read: {error.strerror}") from None


def stem(name: str) -> str:
    """The name of an object's source.

    >>> stem("e1000.ids"), stem("version.8086100e.rom")
    ('e1000', 'version')
    """
    return link_roots.object_symbol(name.partition(".")[0])


def object_stems(objects: Iterable[str]) -> set[str]:
    """Objects by the names of their sources: ``http`` for the debugging object ``http.dbg2``.

    Lists of device IDs and version objects keep their names. romforge's stubs are left out.
    """
    stems = set()
    for name in objects:
        if not make_rules.is_stub_object(name):
            stems.add(link_roots.object_symbol(_DEBUG_SUFFIX.sub("", name)))
    return stems


def find_needed_groups(
    link: LinkMap, groups: Iterable[LeftOut], linked: Path, objects: Iterable[Path]
) -> list[LeftOut]:
    """The left-out groups that an image needs after all.

    An object of theirs was linked, or code refers to one of their symbols. ``linked`` is the
    linked file. If it has no relocations, those of ``objects``, its object files, are read
    instead. Raises RomforgeError for a group that the spec names.
    """
    stems = object_stems(link.objects())
    references = _find_references(groups, linked, objects)
    needed = []
    for group in groups:
        reason = _reason_to_keep(group, link, stems, references)
        if reason is None:
            continue
        if group.explicit:
            raise RomforgeError(reason)
        needed.append(group)
    return needed


def _reason_to_keep(
    group: LeftOut, link: LinkMap, stems: Collection[str], references: dict[str, str]
) -> str | None:
    """Why a group cannot be left out; None if it can."""
    for name in group.objects:
        if name in stems:
            caller, symbol = _first_reference(link, name)
            return (
                f"leave_out names {name}, which is needed: {caller} refers to its symbol {symbol}, "
                f"for which romforge has no stub; take {name} out of leave_out, or leave out "
                f"{caller} as well"
            )
        place = references.get(f"obj_{name}")
        if place is not None:
            return (
                f"leave_out names {name}, but {place} uses the address of obj_{name}, "
                f"which would be 0; take {name} out of leave_out"
            )
    return None


def _first_reference(link: LinkMap, name: str) -> tuple[str, str]:
    """The object that pulled an object into the link, and the symbol that it refers to."""
    for inclusion in link.included:
        if link_roots.object_symbol(ld_map.object_name(inclusion.member)) == name:
            if not inclusion.by:
                return "the command line", inclusion.symbol
            return ld_map.object_name(inclusion.by), inclusion.symbol
    return "the command line", f"obj_{name}"


def _find_references(
    groups: Iterable[LeftOut], linked: Path, objects: Iterable[Path]
) -> dict[str, str]:
    """For each symbol that is defined as 0, the first place in code or data that uses it.

    A place is text for a message: ``main.o, section .text+0x4,``.
    """
    symbols = link_roots.required_symbols(groups)
    if not symbols:
        return {}
    from romforge.formats import elf

    if elf.has_relocations(linked):
        files = [linked]
    else:
        files = [path for path in objects if path.is_file()]
    places: dict[str, str] = {}
    for path in files:
        for relocation in elf.relocations_to(path, symbols):
            place = f"{path.name}, section {relocation.section}+{relocation.offset:#x},"
            places.setdefault(relocation.symbol, place)
    return places


def check_link(
    step: TreeBuild,
    plan: LinkPlan,
    roots: NotedRoots | None,
    objects: Iterable[str],
) -> None:
    """Raises RomforgeError if an image lacks an object, or if a root to drop does not exist.

    ``roots`` are those that make noted for the link, ``objects`` the stems of its objects.
    """
    linked = {link_roots.object_symbol(name) for name in objects}
    where = f"[platform.{step.platform}]"
    if roots:
        _check_dropped_roots(step, roots, where)
        _check_driver(plan, roots, linked, where)
    for name in step.require:
        if link_roots.object_symbol(name) in linked:
            continue
        problem = f"{where} requires the object {name}, which is not in the image"
        problem += did_you_mean(name, linked)
        if plan.drop:
            problem += f"; these roots were dropped, and it may need one: {join_words(plan.drop)}"
        raise RomforgeError(problem)


def _check_dropped_roots(step: TreeBuild, roots: NotedRoots, where: str) -> None:
    """Raises RomforgeError if ``drop`` names a root that the tree does not link from."""
    for root in step.strip.drop:
        if root not in roots.tree and root not in link_roots.ADDED_ROOTS:
            raise RomforgeError(
                f"drop in {where} names {root}, which is not a root of this link"
                f"{did_you_mean(root, roots.tree)}; its roots are {join_words(roots.tree)}"
            )


def _check_driver(plan: LinkPlan, roots: NotedRoots, linked: set[str], where: str) -> None:
    """Raises RomforgeError if the image lacks the driver that it is built for."""
    missing = [root for root in roots.drivers if root.removeprefix("obj_") not in linked]
    if not missing:
        return
    dropped = [root for root in missing if root in plan.drop]
    remedy = f"see {where}"
    if dropped:
        remedy = f"take {join_words(dropped)} out of drop in {where}"
    names = join_words(root.removeprefix("obj_") for root in missing)
    raise RomforgeError(f"the driver's own object {names} is not in the image; {remedy}")
