# SPDX-License-Identifier: GPL-2.0-or-later
"""Who refers to whom in a link, and so what would leave it with a root, an object or a reference.

A link takes an object of an archive once something asks for a symbol of its (``-u``, or an object that was taken), and then
of all objects the sections that a root, a section that is taken, or KEEP in the linker script asks for (``--gc-sections``).
Both are reachability in one graph, so what leaves is what cannot be reached any more: no guess. A string that several
sections have in common is a node too. Sources: the ld manual on ``-u``, ``--gc-sections`` and KEEP.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from romforge.elf import Object

_PLAIN = "text", "rodata", "data", "bss"  # families of sections that no linker script keeps as a whole


class Place(NamedTuple):
    """A section of an object, by its index; or, with -1, the object itself. A string that many have is of the object ""."""

    object: str
    section: int


class Step(NamedTuple):
    """A link of a chain: an object, and the symbol by which it was asked for."""

    symbol: str
    object: str


class Graph:
    """The references of a link. ``taken`` are the sections that are in it, and all its objects."""

    def __init__(self, objects: Mapping[str, Object], roots: Iterable[str], own: Iterable[str], taken: Collection[Place]) -> None:
        """``own`` are objects that the command line names, which are linked whether or not anything asks for them."""
        self.objects = objects
        self.roots = tuple(roots)
        self.own = tuple(own)
        self.definer: dict[str, str] = {}
        for name, one in objects.items():
            for symbol in one.defines:
                self.definer.setdefault(symbol, name)
        self.next: dict[Place, list[Place]] = defaultdict(list)
        for name, one in objects.items():
            self.next[Place(name, -1)] = [Place(self.definer[symbol], -1) for symbol in one.wants if symbol in self.definer]
            for index, (near, far) in one.refers.items():
                targets = [Place(name, other) for other in near if other in one.sections]
                self.next[Place(name, index)] = targets + [place for symbol in far if (place := self._section(symbol))]
        self._keep(taken)

    def _section(self, symbol: str) -> Place | None:
        """The section that a symbol lies in."""
        name = self.definer.get(symbol)
        index = self.objects[name].defines[symbol] if name else None
        return Place(name, index) if name and index is not None else None

    def _keep(self, taken: Collection[Place]) -> None:
        """Finds out which sections the linker script keeps: those that are in the link though nothing refers to them."""
        families: set[str] = set()
        everything = {Place(name, index) for name, one in self.objects.items() for index in one.sections}
        left = {_family(self.objects[place.object].sections[place.section].name) for place in everything - set(taken)}
        while missing := set(taken) - self.reached():
            pointed = {target for place in missing for target in self.next[place] if target != place}
            for place in (missing - pointed) or missing:
                self.next[Place(place.object, -1)].append(place)
                families.add(_family(self.objects[place.object].sections[place.section].name))
        whole = families - left - set(_PLAIN)  # a table of the linker's: also those of its sections to which something refers
        for place in taken:
            if _family(self.objects[place.object].sections[place.section].name) in whole:
                self.next[Place(place.object, -1)].append(place)

    def _starts(self, roots: Iterable[str]) -> Iterator[Place]:
        yield from (Place(name, -1) for name in self.own)
        for symbol in roots:
            if symbol in self.definer:
                yield Place(self.definer[symbol], -1)
            if section := self._section(symbol):
                yield section

    def reached(self, objects: Collection[str] = (), roots: Collection[str] = (), cut: tuple[str, str] | None = None) -> set[Place]:
        """What is in the link without these objects and roots, and without all references from the one object to the other."""
        barred = {place for name in objects for place in self._places(name)}
        ahead = list({*self._starts(one for one in self.roots if one not in roots)} - barred)
        found = barred.union(ahead)
        while ahead:
            place = ahead.pop()
            fresh = {one for one in self.next.get(place, ()) if one not in found}
            if cut and place.object == cut[0]:
                fresh = {one for one in fresh if one.object != cut[1]}
            found |= fresh
            ahead += fresh
        return found - barred

    def _places(self, name: str) -> Iterator[Place]:
        yield Place(name, -1)
        for index in self.objects[name].sections:
            yield Place(name, index)

    def chains(self) -> dict[str, tuple[Step, ...]]:
        """Of each object the shortest way from a root to it; nothing for one that the command line names."""
        found: dict[str, tuple[Step, ...]] = dict.fromkeys(self.own, ())
        ahead = deque(self.own)
        for symbol in self.roots:
            if (asked := self.definer.get(symbol)) and asked not in found:
                found[asked] = (Step(symbol, asked),)
                ahead.append(asked)
        while ahead:
            one = ahead.popleft()
            for symbol in self.objects[one].wants:
                asked = self.definer.get(symbol)
                if asked and asked not in found:
                    found[asked] = (*found[one], Step(symbol, asked))
                    ahead.append(asked)
        return found

    def askers(self) -> dict[str, dict[str, list[str]]]:
        """Of each object those that ask for it, each with the symbols that it names."""
        found: dict[str, dict[str, list[str]]] = {name: {} for name in self.objects}
        for asker, one in self.objects.items():
            for symbol in one.wants:
                if (name := self.definer.get(symbol)) and name != asker:
                    found[name].setdefault(asker, []).append(symbol)
        return found


def _family(section: str) -> str:
    """``tbl`` of ``.tbl.init_fns.01``."""
    return section.lstrip(".").split(".")[0]
