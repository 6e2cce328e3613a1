# SPDX-License-Identifier: GPL-2.0-or-later
"""What must hold of a link: the driver is in it, what must stay has stayed, what is left out is gone."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from romforge.base.errors import RomforgeError
from romforge.base.text import did_you_mean, join_words
from romforge.formats import ld_map
from romforge.formats.ld_map import LinkMap
from romforge.plan.planner import TreeBuild
from romforge.sources.ipxe import link_roots, make_rules
from romforge.sources.ipxe.link_roots import LeftOut, LinkPlan


def read_map(path: Path) -> LinkMap:
    """The map of a link; raises RomforgeError where it cannot be read."""
    try:
        return ld_map.parse_map(path.read_text(errors="replace"))
    except OSError as error:
        raise RomforgeError(f"{path}: cannot be read: {error.strerror}") from None


def stem(name: str) -> str:
    """The source of an object: ``e1000`` of ``e1000.ids``, ``version`` of ``version.8086100e.rom``."""
    return link_roots.object_symbol(name.partition(".")[0])


def object_stems(objects: Iterable[str]) -> set[str]:
    """Objects by the names of their sources: ``http`` of the debugging object ``http.dbg2``.

    Lists of device IDs and version objects are not among them, and neither are our stubs.
    """
    return {
        link_roots.object_symbol(re.sub(r"\.dbg[\d.]+$", "", name))
        for name in objects
        if not make_rules.is_stub_object(name)
    }


class Finding(NamedTuple):
    """Of a default group that is in a link all the same, who asked for it."""

    group: LeftOut
    reason: str


def linked_all_the_same(
    link: LinkMap, groups: Iterable[LeftOut], linked: Path, objects: Iterable[Path]
) -> list[Finding]:
    """The groups of which an object was linked, or to whose symbols code refers.

    ``linked`` is the linked file. Where it keeps its relocations they tell; else those of
    ``objects`` do, which are its object files. Raises RomforgeError for a group of the spec's.
    """
    stems = object_stems(link.objects())
    referrers = _referrers(groups, linked, objects)
    findings = []
    for group in groups:
        reason = _reason(group, link, stems, referrers)
        if reason is None:
            continue
        if group.explicit:
            raise RomforgeError(reason)
        findings.append(Finding(group, reason))
    return findings


def _reason(
    group: LeftOut, link: LinkMap, stems: Collection[str], referrers: dict[str, str]
) -> str | None:
    for name in group.objects:
        if name in stems:
            caller, symbol = _who_asked(link, name)
            return (
                f"leave_out names {name}, which is needed: {caller} refers to its symbol {symbol}, "
                f"for which romforge has no stub; take {name} out of leave_out, or leave out "
                f"{caller} as well"
            )
        if place := referrers.get(f"obj_{name}"):
            return f"leave_out names {name}, but {place} uses the address of obj_{name}, which would be 0; take {name} out of leave_out"
    return None


def _who_asked(link: LinkMap, name: str) -> tuple[str, str]:
    """The object that had an object linked, and the symbol that it asked for."""
    for inclusion in link.included:
        if link_roots.object_symbol(ld_map.object_name(inclusion.member)) == name:
            caller = ld_map.object_name(inclusion.by) if inclusion.by else "the command line"
            return caller, inclusion.symbol
    return "the command line", f"obj_{name}"


def _referrers(groups: Iterable[LeftOut], linked: Path, objects: Iterable[Path]) -> dict[str, str]:
    """For each symbol that is merely a number, the place in words of code or data that uses it."""
    symbols = link_roots.required_symbols(groups)
    if not symbols:
        return {}
    from romforge.formats import elf

    files = (
        [linked] if elf.has_relocations(linked) else [path for path in objects if path.is_file()]
    )
    found: dict[str, str] = {}
    for path in files:
        for one in elf.relocations_to(path, symbols):
            found.setdefault(one.symbol, f"{path.name}, section {one.section}+{one.offset:#x},")
    return found


def check_link(
    step: TreeBuild,
    plan: LinkPlan,
    roots: tuple[list[str], list[str]] | None,
    objects: Iterable[str],
) -> None:
    """Raises RomforgeError where an image lacks what it must hold, or a root to drop is none of its link's.

    ``roots`` are those that the tree itself links from, and those of its drivers.
    """
    held = {link_roots.object_symbol(name) for name in objects}
    where = f"[platform.{step.platform}]"
    if roots:
        _check_roots(step, plan, roots, held, where)
    for name in step.require:
        if link_roots.object_symbol(name) in held:
            continue
        lost = ""
        if plan.drop:
            verb = "was" if len(plan.drop) == 1 else "were"
            lost = f"; of its roots {join_words(plan.drop)} {verb} dropped: keep what pulls it in"
        raise RomforgeError(
            f"{where} requires the object {name}, which is not in the image{did_you_mean(name, held)}{lost}"
        )


def _check_roots(
    step: TreeBuild, plan: LinkPlan, roots: tuple[list[str], list[str]], held: set[str], where: str
) -> None:
    tree_roots, driver_roots = roots
    for root in step.strip.drop:
        if root not in tree_roots and root != link_roots.INTERFACE_ROOT:
            raise RomforgeError(
                f"{root} is to be dropped, and is no root of this link{did_you_mean(root, tree_roots)}; its roots are {join_words(tree_roots)}"
            )
    missing = [root for root in driver_roots if root.removeprefix("obj_") not in held]
    if not missing:
        return
    dropped = [root for root in missing if root in plan.drop]
    remedy = f"take {join_words(dropped)} out of drop in {where}" if dropped else f"see {where}"
    names = join_words(root.removeprefix("obj_") for root in missing)
    raise RomforgeError(f"the driver's own object {names} is not in the image; {remedy}")
