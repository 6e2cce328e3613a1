# SPDX-License-Identifier: GPL-2.0-or-later
"""Who refers to whom in a link, and so what would leave it with a root, an object or a reference.

A link takes an object of an archive once something asks for one of its symbols (``-u``, or an
object that was taken). Of all objects it then keeps the sections that a root, a section that is
kept, or KEEP in the linker script asks for (``--gc-sections``). Both are reachability in one graph,
so what leaves is what cannot be reached any more: no guess. A string that several sections share is
a node too. Sources: the ld manual on ``-u``, ``--gc-sections`` and KEEP.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from romforge.formats.elf import Object

_PLAIN = "text", "rodata", "data", "bss"  # families of sections that no script keeps as a whole


class SectionPlace(NamedTuple):
    """A section of an object, by its index; or, with -1, the object itself.

    A string that several sections share is of the object "".
    """

    object: str
    section: int


class ReferenceStep(NamedTuple):
    """A link of a chain: an object, and the symbol by which it was asked for."""

    symbol: str
    object: str


class Graph:
    """The references of a link."""

    def __init__(
        self,
        objects: Mapping[str, Object],
        roots: Iterable[str],
        command_line_objects: Iterable[str],
        linked_sections: Collection[SectionPlace],
    ) -> None:
        """Objects of the command line are linked whether or not anything asks for them."""
        self.objects = objects
        self.roots = tuple(roots)
        self.command_line_objects = tuple(command_line_objects)
        self.definer = self._definers()
        self.next: dict[SectionPlace, list[SectionPlace]] = defaultdict(list)
        for name, item in objects.items():
            self.next[SectionPlace(name, -1)] = [
                SectionPlace(self.definer[symbol], -1)
                for symbol in item.wants
                if symbol in self.definer
            ]
            for index, references in item.refers.items():
                targets = [
                    SectionPlace(name, other)
                    for other in references.sections
                    if other in item.sections
                ]
                for symbol in references.symbols:
                    if place := self._section(symbol):
                        targets.append(place)
                self.next[SectionPlace(name, index)] = targets
        self._add_unexplained_objects()
        self._add_kept_sections(linked_sections)

    def _definers(self) -> dict[str, str]:
        """The object whose definition of a symbol counts: one that is not weak, else the first."""
        definers: dict[str, str] = {}
        weak: dict[str, str] = {}
        for name in dict.fromkeys([*self.command_line_objects, *self.objects]):
            for symbol, definition in self.objects[name].defines.items():
                (weak if definition.weak else definers).setdefault(symbol, name)
        return weak | definers

    def _section(self, symbol: str) -> SectionPlace | None:
        """The section that a symbol lies in."""
        name = self.definer.get(symbol)
        if name is None:
            return None
        index = self.objects[name].defines[symbol].section
        return None if index is None else SectionPlace(name, index)

    def _add_unexplained_objects(self) -> None:
        """Takes objects as named on the command line that are linked, but nothing known asks for.

        What asks for them may be an object whose file is gone.
        """
        reached = self.reached()
        for name in self.objects:
            if SectionPlace(name, -1) not in reached:
                self.command_line_objects += (name,)
                reached = self.reached()

    def _add_kept_sections(self, linked_sections: Collection[SectionPlace]) -> None:
        """Adds what the linker script keeps: sections that are in the link, but nothing asks for.

        Where all sections of a family are in the link and some are kept, the script keeps the
        family as a whole: a table of the linker's, such as ``.tbl.init_fns.*``.
        """
        linked = set(linked_sections)
        kept_families: set[str] = set()
        incomplete_families: set[str] = set()
        for name, item in self.objects.items():
            for index, section in item.sections.items():
                if SectionPlace(name, index) not in linked:
                    incomplete_families.add(_family(section.name))
        while missing := linked - self.reached():
            pointed_at: set[SectionPlace] = set()
            for place in missing:
                pointed_at.update(target for target in self.next[place] if target != place)
            for place in (missing - pointed_at) or missing:
                self.next[SectionPlace(place.object, -1)].append(place)
                kept_families.add(self._family_of(place))
        tables = kept_families - incomplete_families - set(_PLAIN)
        for place in linked:
            if self._family_of(place) in tables:
                self.next[SectionPlace(place.object, -1)].append(place)

    def _family_of(self, place: SectionPlace) -> str:
        return _family(self.objects[place.object].sections[place.section].name)

    def _starts(self, roots: Iterable[str]) -> Iterator[SectionPlace]:
        yield from (SectionPlace(name, -1) for name in self.command_line_objects)
        for symbol in roots:
            if symbol in self.definer:
                yield SectionPlace(self.definer[symbol], -1)
            if section := self._section(symbol):
                yield section

    def reached(
        self,
        objects: Collection[str] = (),
        roots: Collection[str] = (),
        cut: tuple[str, str] | None = None,
    ) -> set[SectionPlace]:
        """What is in the link without these objects and roots.

        ``cut`` are two objects: the references from the first to the second do not count.
        """
        barred = {place for name in objects for place in self._places(name)}
        starts = self._starts(root for root in self.roots if root not in roots)
        ahead = list(set(starts) - barred)
        found = barred.union(ahead)
        following = self.next
        while ahead:
            place = ahead.pop()
            for target in following.get(place, ()):
                if target in found:
                    continue
                if cut and (place.object, target.object) == cut:
                    continue
                found.add(target)
                ahead.append(target)
        return found - barred

    def _places(self, name: str) -> Iterator[SectionPlace]:
        yield SectionPlace(name, -1)
        for index in self.objects[name].sections:
            yield SectionPlace(name, index)

    def chains(self) -> dict[str, tuple[ReferenceStep, ...]]:
        """Of each object the shortest way from a root; nothing for one of the command line."""
        found: dict[str, tuple[ReferenceStep, ...]] = dict.fromkeys(self.command_line_objects, ())
        ahead = deque(self.command_line_objects)
        for symbol in self.roots:
            name = self.definer.get(symbol)
            if name and name not in found:
                found[name] = (ReferenceStep(symbol, name),)
                ahead.append(name)
        while ahead:
            asker = ahead.popleft()
            for symbol in self.objects[asker].wants:
                name = self.definer.get(symbol)
                if name and name not in found:
                    found[name] = (*found[asker], ReferenceStep(symbol, name))
                    ahead.append(name)
        return found

    def referrers(self) -> dict[str, dict[str, list[str]]]:
        """Of each object those that ask for it, each with the symbols that it names."""
        found: dict[str, dict[str, list[str]]] = {name: {} for name in self.objects}
        for asker, item in self.objects.items():
            for symbol in item.wants:
                name = self.definer.get(symbol)
                if name and name != asker:
                    found[name].setdefault(asker, []).append(symbol)
        return found


def _family(section: str) -> str:
    """``tbl`` of ``.tbl.init_fns.01``."""
    return section.lstrip(".").split(".")[0]
