# SPDX-License-Identifier: GPL-2.0-or-later
"""Suggests objects that an EFI driver could do without: what each saves, and what it needs.

An object that others only require (``REQUIRE_OBJECT``) needs no replacement. If code refers to its
symbols, each function needs a stub and each variable needs storage: see ``stubs/objects.c``.

Only the saving is predicted. Whether the driver still works is for ``romforge verify`` to show.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from romforge.analysis import image_sizes
from romforge.analysis.image_sizes import Leaving, LinkedImage
from romforge.analysis.reference_graph import Graph
from romforge.plan.steps import TreeBuild
from romforge.sources.ipxe import link_check, link_roots
from romforge.sources.ipxe.link_roots import LeftOut, LinkPlan

_INTERFACE = "efi_snp"  # the driver's network interface, which it always needs
_COMPRESSED_CANDIDATES = 40  # each costs a compression of the whole image
_TABLE = re.compile(r"\.tbl\.(\w+)")
_REQUIREMENTS_TABLE = "requiring_symbols"  # holds REQUIRE_OBJECT, and is not walked by code


@dataclass(frozen=True)
class Candidate:
    """Objects that could be left out together. The field names are JSON keys.

    ``saves`` estimates the bytes that the image in the ROM loses. ``leaves`` are the bytes that
    leave the linked file, ``leaves_memory`` the bytes of memory outside it, and ``with_it`` the
    other objects that leave. ``asked_by`` are the objects that stay and refer to these, with the
    symbols.

    ``stubs`` are the functions and ``storage`` the variables that must be replaced. ``missing``
    are those of them for which romforge has no replacement. ``tables`` are linker tables that lose
    an entry: code that walks a table calls its entries, though no reference shows this. ``line``
    belongs into [platform.NAME] of the spec.
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
        """Whether the line in the spec is enough."""
        return not self.missing


@dataclass(frozen=True)
class Suggestions:
    """The objects that could be left out of an image; the candidates that are possible come first.

    ``reason`` says why nothing can be left out, or is None.
    """

    candidates: tuple[Candidate, ...] = ()
    reason: str | None = None


class _Proposal(NamedTuple):
    """Objects to leave out together, and the line of the spec that does it."""

    objects: tuple[str, ...]
    line: str


class _Effect(NamedTuple):
    """A proposal, and what leaves the link if it is followed."""

    proposal: _Proposal
    leaving: Leaving


def suggest(step: TreeBuild, plan: LinkPlan, link: LinkedImage, size: int) -> Suggestions:
    """Suggests what could be left out of an image that has ``size`` bytes in the ROM.

    The largest saving comes first. A BIOS image gets no suggestions.
    """
    if step.legacy:
        return Suggestions()
    if plan.reason:
        return Suggestions((), plan.reason)
    candidates = []
    for effect in _effects(step, plan, link)[:_COMPRESSED_CANDIDATES]:
        saving = image_sizes.compressed_saving(link, size, effect.leaving.places)
        if saving > 0:
            candidates.append(_candidate(link.graph, effect, saving))
    candidates.sort(key=lambda item: (not item.possible, -item.saves, item.objects))
    return Suggestions(tuple(candidates))


def _effects(step: TreeBuild, plan: LinkPlan, link: LinkedImage) -> list[_Effect]:
    """The proposals that do not remove the driver's network interface, by linked bytes."""
    everything = link.graph.reached()
    effects = []
    for proposal in _propose(step, plan, link.graph):
        leaving = link.leaving(everything, proposal.objects)
        sources = map(link_check.stem, leaving.objects)
        if _INTERFACE not in sources:
            effects.append(_Effect(proposal, leaving))
    effects.sort(key=lambda effect: (-effect.leaving.size, effect.proposal.objects))
    return effects


def _propose(step: TreeBuild, plan: LinkPlan, graph: Graph) -> list[_Proposal]:
    """Proposes the groups of objects that romforge knows, and each object on its own.

    An object of a group is not proposed on its own: the stubs of one object of a group do not fit
    the code of the others.
    """
    objects_by_source = _removable_objects(graph)
    groups = []
    grouped: list[str] = []
    for group in link_roots.known_groups(link_roots.MINIMAL):
        if group not in plan.left_out:
            groups.append(group)
            grouped += group.objects
    proposals: dict[tuple[str, ...], _Proposal] = {}

    def add(sources: Iterable[str], line: str | None = None) -> None:
        """Adds a proposal, unless there is one of the same objects."""
        sources = [source for source in sources if source in objects_by_source]
        objects = tuple(objects_by_source[source] for source in sources)
        if objects and objects not in proposals:
            proposals[objects] = _Proposal(objects, line or _leave_out_line(step, sources))

    if step.strip.strength == link_roots.SAFE:
        add(grouped, _minimal_line(step))
    for group in groups:
        add(group.objects)
    for source in objects_by_source:
        if source not in grouped:
            add([source])
    return list(proposals.values())


def _removable_objects(graph: Graph) -> dict[str, str]:
    """The objects that are not the driver itself, by the names of their sources."""
    needed = {graph.definer[root] for root in graph.roots}
    needed.update(graph.command_line_objects)
    objects = {}
    for name in graph.objects:
        source = link_check.stem(name)
        if name in needed or source == _INTERFACE or name.endswith(".ids"):
            continue
        objects[source] = name
    return objects


def _minimal_line(step: TreeBuild) -> str:
    """The line for [platform.NAME] that selects the strength "minimal", with the same roots.

    ``strip = "minimal"``, or for example ``strip = { strength = "minimal", keep = ["obj_ping"] }``.
    """
    settings = [f'strength = "{link_roots.MINIMAL}"']
    if step.strip.drop:
        settings.append(f"drop = {_toml_list(step.strip.drop)}")
    if step.strip.keep:
        settings.append(f"keep = {_toml_list(step.strip.keep)}")
    if len(settings) == 1:
        return f'strip = "{link_roots.MINIMAL}"'
    return f"strip = {{ {', '.join(settings)} }}"


def _leave_out_line(step: TreeBuild, sources: Iterable[str]) -> str:
    """The line for [platform.NAME] that leaves out ``sources`` and what the spec names already."""
    names = dict.fromkeys([*step.strip.leave_out, *sources])
    return f"leave_out = {_toml_list(names)}"


def _toml_list(words: Iterable[str]) -> str:
    quoted = ", ".join(f'"{word}"' for word in words)
    return f"[{quoted}]"


def _candidate(graph: Graph, effect: _Effect, saving: int) -> Candidate:
    """Finds out what an effect needs: who refers to the objects, and what must replace them."""
    objects = effect.proposal.objects
    leaving = effect.leaving
    referrers: dict[str, list[str]] = {}
    referenced: dict[str, None] = {}
    used: set[str] = set()  # by code, and not only required
    for referrer, item in graph.objects.items():
        if referrer in leaving.objects:
            continue
        symbols = [symbol for symbol in item.wants if graph.definer.get(symbol) in objects]
        if symbols:
            referrers[referrer] = symbols
            referenced.update(dict.fromkeys(symbols))
            used |= item.uses().intersection(symbols)
    sources = tuple(link_check.stem(name) for name in objects)
    required_only = set(link_roots.required_symbols([LeftOut(sources)])) - used
    stubs: list[str] = []
    storage: list[str] = []
    for symbol in referenced:
        if symbol in required_only:
            continue
        definition = graph.objects[graph.definer[symbol]].defines[symbol]
        replacements = stubs if definition.code else storage
        replacements.append(symbol)
    available = _replaced_symbols(sources)
    return Candidate(
        objects=objects,
        saves=saving,
        leaves=leaving.size,
        leaves_memory=leaving.memory,
        with_it=tuple(name for name in leaving.objects if name not in objects),
        asked_by=referrers,
        stubs=tuple(stubs),
        storage=tuple(storage),
        missing=tuple(symbol for symbol in [*stubs, *storage] if symbol not in available),
        tables=_shortened_tables(graph, leaving),
        line=effect.proposal.line,
    )


def _replaced_symbols(sources: Iterable[str]) -> set[str]:
    """The identifiers in romforge's stubs for objects, which include all symbols they replace."""
    with_stubs = tuple(source for source in sources if link_roots.has_stubs(source))
    if not with_stubs:
        return set()
    groups = [LeftOut(with_stubs)]
    identifiers = set(re.findall(r"\w+", link_roots.stub_source(groups)))
    return identifiers - set(link_roots.required_symbols(groups))


def _shortened_tables(graph: Graph, leaving: Leaving) -> tuple[str, ...]:
    """The linker tables that lose an entry."""
    tables = set()
    for place in leaving.places:
        if place.is_object or not place.object:  # an object, or a string that objects share
            continue
        match = _TABLE.match(graph.section_at(place).name)
        if match:
            tables.add(match[1])
    tables.discard(_REQUIREMENTS_TABLE)
    return tuple(sorted(tables))
