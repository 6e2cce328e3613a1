# SPDX-License-Identifier: GPL-2.0-or-later
"""What could be left out of an EFI driver besides: what each object saves, and what it needs.

An object that others only require (``REQUIRE_OBJECT``) needs nothing in its place. Where code calls
it, each function needs a stub, and each variable storage: see ``stubs/objects.c``. What is foretold
is the size. Whether the driver still does what it should is for ``romforge verify`` to find out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from romforge.analysis import image_sizes
from romforge.analysis.image_sizes import Leaving, LinkedImage
from romforge.analysis.reference_graph import Graph
from romforge.plan.planner import TreeBuild
from romforge.sources.ipxe import link_check, link_roots
from romforge.sources.ipxe.link_roots import LeftOut, LinkPlan

_INTERFACE = "efi_snp"  # the driver's network interface, without which it is dead
_MEASURED = 40  # candidates whose saving is found by compressing anew, which takes its time
_TABLE = re.compile(r"\.tbl\.(\w+)")


@dataclass(frozen=True)
class Candidate:
    """Objects that could be left out together.

    ``saves`` is an estimate of the bytes that the image in the ROM loses; ``leaves`` are the bytes
    of the linked file and ``leaves_memory`` those of memory, with the objects ``with_it``.
    ``asked_by`` are the objects that stay and ask for these, each with the symbols. ``stubs`` are
    the functions and ``storage`` the variables that something must stand in for; ``missing`` those
    of them that romforge has nothing for. ``tables`` are linker tables that lose an entry: what
    walks a table calls its entries, though no reference shows it. ``line`` is what to write into
    [platform.NAME] of the spec.
    """

    objects: tuple[str, ...]
    saves: int
    leaves: int
    leaves_memory: int
    with_it: tuple[str, ...]
    asked_by: dict[str, list[str]]
    stubs: tuple[str, ...]
    storage: tuple[str, ...]
    missing: tuple[str, ...]
    tables: tuple[str, ...]
    line: str

    @property
    def possible(self) -> bool:
        """Whether nothing but the line is needed."""
        return not self.missing


@dataclass(frozen=True)
class Suggestions:
    """What could be left out of an image: first what needs nothing but a line of the spec.

    ``reason`` says why nothing may be left out, where that is so.
    """

    candidates: tuple[Candidate, ...] = ()
    reason: str | None = None


class _Proposal(NamedTuple):
    """Objects to leave out together, and the line of the spec that does so."""

    objects: tuple[str, ...]
    line: str


def suggest(step: TreeBuild, plan: LinkPlan, link: LinkedImage, size: int) -> Suggestions:
    """Candidates, the largest saving first; ``size`` is that of the image in a ROM."""
    if step.legacy:
        return Suggestions()
    if plan.reason:
        return Suggestions((), plan.reason)
    everything = link.graph.reached()
    found = []
    for proposal in _proposals(step, plan, link.graph):
        leaving = link.leaving(everything, proposal.objects)
        if _INTERFACE not in map(link_check.stem, leaving.objects):
            found.append((leaving, proposal))
    found.sort(key=lambda both: (-both[0].size, both[1].objects))
    candidates = []
    for leaving, proposal in found[:_MEASURED]:
        saves = image_sizes.compressed_saving(link, size, leaving.places)
        if saves > 0:
            candidates.append(_candidate(link.graph, proposal, leaving, saves))
    candidates.sort(key=lambda one: (not one.possible, -one.saves, one.objects))
    return Suggestions(tuple(candidates))


def _proposals(step: TreeBuild, plan: LinkPlan, graph: Graph) -> Iterator[_Proposal]:
    """Each object that is not the driver itself, and the groups that romforge knows."""
    taken = {graph.definer[root] for root in graph.roots} | set(graph.command_line_objects)
    names: dict[str, str] = {}
    for name in graph.objects:
        source = link_check.stem(name)
        if name not in taken and source != _INTERFACE and not name.endswith(".ids"):
            names[source] = name
    proposals: dict[tuple[str, ...], _Proposal] = {}

    def propose(sources: Iterable[str], line: str = "") -> None:
        sources = [source for source in sources if source in names]
        objects = tuple(names[source] for source in sources)
        if objects and objects not in proposals:
            proposals[objects] = _Proposal(objects, line or _line(step, sources))

    groups = [
        group for group in link_roots.known_groups(link_roots.MINIMAL) if group not in plan.left_out
    ]
    if step.strip.strength == link_roots.SAFE:
        propose((source for group in groups for source in group.objects), _minimal_line(step))
    for group in groups:
        propose(group.objects)
    # the stubs of one object of a group do not fit the others' real code
    grouped = {source for group in groups for source in group.objects}
    for source in names:
        if source not in grouped:
            propose([source])
    yield from proposals.values()


def _minimal_line(step: TreeBuild) -> str:
    """What to write into [platform.NAME] for the greatest strength."""
    words = [f'strength = "{link_roots.MINIMAL}"']
    for key, roots in (("drop", step.strip.drop), ("keep", step.strip.keep)):
        if roots:
            quoted = ", ".join(f'"{root}"' for root in roots)
            words.append(f"{key} = [{quoted}]")
    if len(words) == 1:
        return f'strip = "{link_roots.MINIMAL}"'
    return f"strip = {{ {', '.join(words)} }}"


def _candidate(graph: Graph, proposal: _Proposal, leaving: Leaving, saves: int) -> Candidate:
    objects = proposal.objects
    staying = [name for name in graph.objects if name not in leaving.objects]
    asked_by = {}
    needed: dict[str, None] = {}
    used: set[str] = set()
    for asker in staying:
        item = graph.objects[asker]
        symbols = [symbol for symbol in item.wants if graph.definer.get(symbol) in objects]
        if symbols:
            asked_by[asker] = symbols
            needed.update(dict.fromkeys(symbols))
            used |= item.uses().intersection(symbols)
    names = [link_check.stem(name) for name in objects]
    presence = set(link_roots.required_symbols([LeftOut(tuple(names))]))
    stubs: list[str] = []
    storage: list[str] = []
    for symbol in needed:
        if symbol in presence and symbol not in used:
            continue
        defined = graph.objects[graph.definer[symbol]].defines[symbol]
        (stubs if defined.code else storage).append(symbol)
    covered = _covered_symbols(names)
    return Candidate(
        objects=objects,
        saves=saves,
        leaves=leaving.size,
        leaves_memory=leaving.memory,
        with_it=tuple(name for name in leaving.objects if name not in objects),
        asked_by=asked_by,
        stubs=tuple(stubs),
        storage=tuple(storage),
        missing=tuple(symbol for symbol in [*stubs, *storage] if symbol not in covered),
        tables=_tables(graph, leaving),
        line=proposal.line,
    )


def _covered_symbols(names: Iterable[str]) -> Collection[str]:
    """The words of the stubs that romforge has for objects: all that they define is among them."""
    with_stubs = tuple(name for name in names if link_roots.has_stubs(name))
    if not with_stubs:
        return ()
    source = link_roots.stub_source([LeftOut(with_stubs)])
    return set(re.findall(r"\w+", source)) - set(link_roots.required_symbols([LeftOut(with_stubs)]))


def _tables(graph: Graph, leaving: Leaving) -> tuple[str, ...]:
    """The linker's tables that lose an entry."""
    found = set()
    for place in leaving.places:
        if place.object and place.section >= 0:
            match = _TABLE.match(graph.objects[place.object].sections[place.section].name)
            if match and match[1] != "requiring_symbols":
                found.add(match[1])
    return tuple(sorted(found))


def _line(step: TreeBuild, names: Iterable[str]) -> str:
    """What to write into [platform.NAME]: what it leaves out already, and these."""
    quoted = [f'"{name}"' for name in dict.fromkeys([*step.strip.leave_out, *names])]
    return f"leave_out = [{', '.join(quoted)}]"
