# SPDX-License-Identifier: GPL-2.0-or-later
"""The references of a link, and so what leaves it without a root, an object or a reference.

The linker takes an object out of an archive if a root (``-u``) or an object that it already took
refers to one of its symbols. Then it keeps those sections to which a root or a kept section refers,
and those that KEEP names in the linker script (``--gc-sections``). Both are reachability in one
graph, whose nodes are objects and sections. So what leaves is exact: it is what can no longer be
reached. A string that several sections share is a node too.

Source: the ld manual on ``-u``, ``--gc-sections`` and KEEP.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from romforge.formats.elf import LinkedSection, Object, References

# Families of sections that no linker script keeps as a whole.
_ORDINARY_FAMILIES = {"text", "rodata", "data", "bss"}
_OBJECT_ITSELF = -1


class SectionPlace(NamedTuple):
    """A node of the graph: a section of an object by its index, or the object itself by -1.

    The node of a string that several sections share has the object "" and the string's address.
    """

    object: str
    section: int

    @property
    def is_object(self) -> bool:
        """Whether the node is an object, and not one of its sections."""
        return self.section == _OBJECT_ITSELF


def object_place(name: str) -> SectionPlace:
    """The node of an object."""
    return SectionPlace(name, _OBJECT_ITSELF)


class ReferenceStep(NamedTuple):
    """A step of a chain of references: a symbol, and the object that defines it."""

    symbol: str
    object: str


class Graph:
    """The references of a link. ``next`` has the targets of each node."""

    def __init__(
        self,
        objects: Mapping[str, Object],
        roots: Iterable[str],
        command_line_objects: Iterable[str],
        linked_sections: Collection[SectionPlace],
    ) -> None:
        """Objects of the command line are linked even if nothing refers to them."""
        self.objects = objects
        self.roots = tuple(roots)
        self.command_line_objects = tuple(command_line_objects)
        self.definer = self._find_definers()
        self.next: dict[SectionPlace, list[SectionPlace]] = defaultdict(list)
        for name, item in objects.items():
            self.next[object_place(name)] = self._object_targets(item)
            for index, references in item.refers.items():
                targets = self._section_targets(name, references)
                self.next[SectionPlace(name, index)] = targets
        self._add_unexplained_objects()
        self._add_kept_sections(set(linked_sections))

    def _find_definers(self) -> dict[str, str]:
        """The object that defines each symbol: the first without a weak definition, or the first.

        Objects of the command line come before those of archives.
        """
        strong: dict[str, str] = {}
        weak: dict[str, str] = {}
        for name in dict.fromkeys([*self.command_line_objects, *self.objects]):
            for symbol, definition in self.objects[name].defines.items():
                definers = weak if definition.weak else strong
                definers.setdefault(symbol, name)
        return weak | strong

    def _object_targets(self, item: Object) -> list[SectionPlace]:
        """The objects that define what an object refers to."""
        targets = []
        for symbol in item.wants:
            if symbol in self.definer:
                targets.append(object_place(self.definer[symbol]))
        return targets

    def _section_targets(self, name: str, references: References) -> list[SectionPlace]:
        """The sections to which a section of the object ``name`` refers."""
        targets = []
        for index in references.sections:
            if index in self.objects[name].sections:
                targets.append(SectionPlace(name, index))
        for symbol in references.symbols:
            place = self._section_of_symbol(symbol)
            if place is not None:
                targets.append(place)
        return targets

    def _section_of_symbol(self, symbol: str) -> SectionPlace | None:
        """The section that a symbol lies in, or None if it is in no section of the link."""
        name = self.definer.get(symbol)
        if name is None:
            return None
        index = self.objects[name].defines[symbol].section
        if index is None:
            return None
        return SectionPlace(name, index)

    def _add_unexplained_objects(self) -> None:
        """Treats linked objects without a known referrer as objects of the command line.

        The referrer may be an object whose file is missing.
        """
        reached = self.reached()
        for name in self.objects:
            if object_place(name) not in reached:
                self.command_line_objects += (name,)
                reached = self.reached()

    def _add_kept_sections(self, linked: set[SectionPlace]) -> None:
        """Adds a reference from an object to each of its sections that the linker script keeps.

        The script keeps a section that is linked though nothing refers to it. If several such
        sections refer to each other, only those are added to which none of the others refers. If
        there is no such section, they form a cycle and all are added.

        If all sections of a family are linked and at least one of them is kept, the script keeps
        the whole family. It is a linker table, such as ``.tbl.init_fns.*``.
        """
        kept_families: set[str] = set()
        unreached = linked - self.reached()
        while unreached:
            targets: set[SectionPlace] = set()
            for place in unreached:
                targets.update(target for target in self.next[place] if target != place)
            kept = unreached - targets
            if not kept:
                kept = unreached
            for place in kept:
                self._keep(place)
                kept_families.add(self._family_of(place))
            unreached = linked - self.reached()
        tables = kept_families - self._incomplete_families(linked) - _ORDINARY_FAMILIES
        for place in linked:
            if self._family_of(place) in tables:
                self._keep(place)

    def _keep(self, place: SectionPlace) -> None:
        """Keeps a section in the link as long as its object is linked."""
        self.next[object_place(place.object)].append(place)

    def _incomplete_families(self, linked: set[SectionPlace]) -> set[str]:
        """The families of which at least one section is not linked."""
        families = set()
        for name, item in self.objects.items():
            for index, section in item.sections.items():
                if SectionPlace(name, index) not in linked:
                    families.add(_family(section.name))
        return families

    def section_at(self, place: SectionPlace) -> LinkedSection:
        """The section of a node that is a section of an object."""
        return self.objects[place.object].sections[place.section]

    def _family_of(self, place: SectionPlace) -> str:
        return _family(self.section_at(place).name)

    def _starts(self, without_roots: Collection[str]) -> Iterator[SectionPlace]:
        """The nodes that are linked in any case."""
        for name in self.command_line_objects:
            yield object_place(name)
        for symbol in self.roots:
            if symbol in without_roots or symbol not in self.definer:
                continue
            yield object_place(self.definer[symbol])
            section = self._section_of_symbol(symbol)
            if section is not None:
                yield section

    def reached(
        self,
        objects: Collection[str] = (),
        roots: Collection[str] = (),
        cut: tuple[str, str] | None = None,
    ) -> set[SectionPlace]:
        """The nodes that are linked without the given objects and roots.

        ``cut`` names two objects: references from the first to the second are ignored.

        If ``main`` is the root and refers to ``shell``, which refers to ``uri``, then
        ``reached()`` has all three, and ``reached(objects=("shell",))`` has ``main`` alone.
        """
        barred: set[SectionPlace] = set()
        for name in objects:
            barred.update(self._places_of(name))
        pending = list(set(self._starts(roots)) - barred)
        visited = barred.union(pending)
        targets_of = self.next
        while pending:
            place = pending.pop()
            for target in targets_of.get(place, ()):
                if target in visited:
                    continue
                if cut and (place.object, target.object) == cut:
                    continue
                visited.add(target)
                pending.append(target)
        return visited - barred

    def _places_of(self, name: str) -> Iterator[SectionPlace]:
        """The nodes of an object and its sections."""
        yield object_place(name)
        for index in self.objects[name].sections:
            yield SectionPlace(name, index)

    def chains(self) -> dict[str, tuple[ReferenceStep, ...]]:
        """The shortest chain of references from a root to each object.

        The chain is empty for an object of the command line. If the root ``obj_config`` is in
        config, which refers to ``dhcp`` in dhcp, then the chain of dhcp is
        ``(ReferenceStep("obj_config", "config"), ReferenceStep("dhcp", "dhcp"))``.
        """
        chains: dict[str, tuple[ReferenceStep, ...]] = {}
        for name in self.command_line_objects:
            chains[name] = ()
        pending = deque(self.command_line_objects)
        for symbol in self.roots:
            definer = self.definer.get(symbol)
            if definer and definer not in chains:
                chains[definer] = (ReferenceStep(symbol, definer),)
                pending.append(definer)
        while pending:
            referrer = pending.popleft()
            for symbol in self.objects[referrer].wants:
                definer = self.definer.get(symbol)
                if definer and definer not in chains:
                    chains[definer] = (*chains[referrer], ReferenceStep(symbol, definer))
                    pending.append(definer)
        return chains

    def referrers(self) -> dict[str, dict[str, list[str]]]:
        """The objects that refer to each object, with the symbols to which they refer."""
        referrers: dict[str, dict[str, list[str]]] = {name: {} for name in self.objects}
        for referrer, item in self.objects.items():
            for symbol in item.wants:
                definer = self.definer.get(symbol)
                if definer and definer != referrer:
                    referrers[definer].setdefault(referrer, []).append(symbol)
        return referrers


def _family(section: str) -> str:
    """The first part of a section's name: ``tbl`` of ``.tbl.init_fns.01``."""
    return section.lstrip(".").split(".")[0]
