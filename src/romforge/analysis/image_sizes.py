# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the bytes of an image come from: its objects, who pulled each in, what would leave with it.

Read from what the image's link left: its map, the linked file, and the objects. Bytes of the linked
file and bytes of memory that the file does not hold (``.bss``) are two figures and never added up.

An object may be gone by now: ``version.NAME.o`` is an intermediate file, which make removes after
the link. Of such an object the map has the sections, and the linked file the symbols. What it asks
for itself is not known.
"""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from romforge.analysis.reference_graph import Graph, ReferenceStep, SectionPlace
from romforge.base.errors import RomforgeError
from romforge.formats import elf, ld_map, option_rom, rom_file
from romforge.formats.elf import LinkedSection
from romforge.formats.ld_map import LinkMap, object_file, object_name
from romforge.plan.planner import Plan, TreeBuild
from romforge.sources.ipxe import link_check, make_rules, source_tree
from romforge.sources.ipxe.dependencies import DependencyFiles
from romforge.sources.ipxe.link_roots import LinkPlan

PADDING = ""  # the name of the object that padding and what the linker makes itself belong to
_FLUSHED = 5  # bytes by which deflate marks that it was flushed
_STUBS = "romforge"  # where our stubs are from, as reports show it
_STRINGS = re.compile(r"\.str(\d+)\.\d+$")  # how gcc names sections of strings, and their units
_CONSTANTS = re.compile(r"\.cst(\d+)$")


class Span(NamedTuple):
    """Bytes of a section of the linked file that came from one object; ``place`` is their node."""

    output: str
    address: int
    size: int
    object: str
    place: SectionPlace | None


@dataclass(frozen=True)
class ObjectContents:
    """An object in an image.

    ``size`` is what it has of the linked file, ``memory`` what it has besides, ``compressed`` an
    estimate of its share of the image in the ROM. ``leaves`` and ``leaves_memory`` are what would
    leave if nothing asked for the object any more, and ``with_it`` the objects that would go too.
    ``chain`` says who pulled it in, ``asked_by`` all who ask for it, each with the symbols.
    """

    name: str
    directory: str
    size: int
    memory: int
    compressed: int
    sections: dict[str, int]
    chain: tuple[ReferenceStep, ...]
    asked_by: dict[str, list[str]]
    leaves: int
    leaves_memory: int
    with_it: tuple[str, ...]


@dataclass(frozen=True)
class Root:
    """A symbol that a link's command line asks for, its object, and what would leave without it."""

    symbol: str
    object: str
    leaves: int
    leaves_memory: int
    with_it: tuple[str, ...]


@dataclass(frozen=True)
class ImageContents:
    """A linked image: the bytes of its sections, and what they are made of.

    ``size`` is that of the image in a ROM, 0 where no ROM has it. The sizes of ``parts`` and
    ``padding`` add up to ``sections``; what the parts have of memory adds up to ``memory``, but
    for gaps.
    """

    name: str
    nics: tuple[str, ...]
    size: int
    sections: dict[str, int]
    memory: int
    padding: int
    padding_compressed: int
    parts: tuple[ObjectContents, ...]
    roots: tuple[Root, ...]


class LinkedImage(NamedTuple):
    """What is left of a link: the graph of its references, and what each node has of bytes."""

    graph: Graph
    sizes: Mapping[SectionPlace, int]  # of the linked file
    memory: Mapping[SectionPlace, int]  # besides
    spans: tuple[Span, ...]
    outputs: Mapping[str, LinkedSection]
    pieces: Mapping[str, Mapping[str, int]]  # bytes of the file by object and section

    def size(self) -> int:
        """The bytes of the linked file that are loaded."""
        return sum(span.size for span in self.spans)

    def memory_by_object(self) -> dict[str, int]:
        found: dict[str, int] = defaultdict(int)
        for place, size in self.memory.items():
            found[place.object] += size
        return found

    def leaving(
        self,
        everything: set[SectionPlace],
        objects: tuple[str, ...] = (),
        roots: tuple[str, ...] = (),
    ) -> Leaving:
        """What of ``everything`` that is in the link would leave without objects and roots."""
        gone = everything - self.graph.reached(objects, roots)
        sizes, memory = self.sizes, self.memory
        return Leaving(
            size=sum(sizes.get(place, 0) for place in gone),
            memory=sum(memory.get(place, 0) for place in gone),
            objects=tuple(sorted(place.object for place in gone if place.section < 0)),
            places=gone,
        )


class Leaving(NamedTuple):
    """What would leave a link: bytes of the file, bytes of memory, and the objects."""

    size: int
    memory: int
    objects: tuple[str, ...]
    places: set[SectionPlace]


class ObjectFiles:
    """Object files, each read once though several images were linked from it."""

    def __init__(self) -> None:
        self._read: dict[Path, elf.Object] = {}

    def read(self, path: Path) -> elf.Object | None:
        """An object file; None where it is gone. Raises RomforgeError where it cannot be read."""
        if path not in self._read:
            if not path.exists():
                return None
            self._read[path] = elf.read_object(path)
        return self._read[path]


def analyse_image(
    step: TreeBuild, out: Path, goal: str, nics: tuple[str, ...], size: int, link: LinkedImage
) -> ImageContents:
    """All there is to say of an image, which has ``size`` bytes in a ROM."""
    directories = DependencyFiles(out / step.directory / "src" / step.bin)
    shares = compressed_shares(link, size)
    memory = link.memory_by_object()
    everything = link.graph.reached()
    chains = link.graph.chains()
    referrers = link.graph.referrers()
    parts = []
    for name in link.graph.objects:
        leaving = link.leaving(everything, (name,))
        parts.append(
            ObjectContents(
                name=name,
                directory=directory_of(name, directories),
                size=sum(link.pieces.get(name, {}).values()),
                memory=memory.get(name, 0),
                compressed=shares.get(name, 0),
                sections=dict(link.pieces.get(name, {})),
                chain=chains.get(name, ()),
                asked_by=referrers[name],
                leaves=leaving.size,
                leaves_memory=leaving.memory,
                with_it=tuple(other for other in leaving.objects if other != name),
            )
        )
    parts.sort(key=lambda part: (-part.size, part.name))
    roots = []
    for symbol in link.graph.roots:
        leaving = link.leaving(everything, (), (symbol,))
        definer = link.graph.definer[symbol]
        roots.append(Root(symbol, definer, leaving.size, leaving.memory, leaving.objects))
    return ImageContents(
        name=f"{step.platform}/{goal}",
        nics=nics,
        size=size,
        sections={name: one.size for name, one in link.outputs.items() if one.filled},
        memory=sum(one.size for one in link.outputs.values() if not one.filled),
        padding=sum(span.size for span in link.spans if span.object == PADDING),
        padding_compressed=shares.get(PADDING, 0),
        parts=tuple(parts),
        roots=tuple(roots),
    )


def directory_of(name: str, directories: DependencyFiles) -> str:
    """Where an object's source lies below src; empty where that is not recorded."""
    if name == make_rules.STUBS_NAME:
        return _STUBS
    return directories.directory(link_check.stem(name))


def nics_of(plan: Plan, step: TreeBuild, goal: str) -> tuple[str, ...]:
    """The names of the NICs whose ROMs have an image."""
    names = [
        rom.nic
        for rom in plan.roms()
        if rom.goal == goal and any(pick.make == step.task for pick in rom.picks)
    ]
    return tuple(dict.fromkeys(names))


def size_in_rom(plan: Plan, step: TreeBuild, goal: str, out: Path) -> int:
    """The bytes of an image in the first ROM that has it; 0 where none is built."""
    for rom in plan.roms():
        if rom.goal != goal or not (out / rom.path).is_file():
            continue
        for index, pick in enumerate(rom.picks):
            if pick.make == step.task:
                images = option_rom.parse_chain(rom_file.read_rom(out / rom.path)[0]).images
                return len(images[index].data) if len(images) == len(rom.picks) else 0
    return 0


def linked_file(step: TreeBuild, out: Path, goal: str) -> Path:
    """What the linker made of an image; the map lies beside it."""
    bin_directory = out / step.directory / "src" / step.bin
    return bin_directory / f"{goal}.{source_tree.linked_medium(step)}.tmp"


def read_image_link(
    step: TreeBuild, out: Path, goal: str, plan: LinkPlan, files: ObjectFiles | None = None
) -> LinkedImage:
    """The link of a platform's image; raises RomforgeError where there is none."""
    path = linked_file(step, out, goal)
    src = out / step.directory / "src"
    return read_link(src, path, link_roots_of(path, plan), files or ObjectFiles())


def link_roots_of(linked: Path, plan: LinkPlan) -> list[str] | None:
    """The roots that a file was linked from; None where the tree's own are not known."""
    noted = make_rules.read_roots(linked)
    if noted is None:
        return None
    tree_roots, _ = noted
    kept = [root for root in tree_roots if root not in plan.drop]
    return list(dict.fromkeys([*kept, *plan.add]))


def read_link(
    src: Path, linked: Path, roots: Iterable[str] | None, files: ObjectFiles
) -> LinkedImage:
    """Reads a link that was made in ``src``; raises RomforgeError.

    Where ``roots`` are not known they are taken from the map, which names those alone that brought
    an object in.
    """
    link_map = link_check.read_map(linked.with_name(f"{linked.name}.map"))
    outputs = {section.name: section for section in elf.linked_sections(linked)}
    members = [inclusion.member for inclusion in link_map.included]
    members += [section.object for section in link_map.kept]
    objects = {}
    command_line_objects = []
    for member in dict.fromkeys(members):
        name = shown_section_name(member)
        found = files.read(src / object_file(member))
        objects[name] = found or _object_of_link(member, link_map, outputs, elf.labels(linked))
        if not member.endswith(")"):
            command_line_objects.append(name)
    pieces = list(_pieces(link_map, objects, outputs))
    sections = {place for place, _ in pieces if place.section >= 0}
    defined = {symbol for item in objects.values() for symbol in item.defines}
    asked = [root for root in roots or link_map.roots() if root in defined]
    graph = Graph(objects, asked, command_line_objects, sections)
    return _measured(graph, pieces, outputs)


def shown_section_name(member: str) -> str:
    """The name of an object of a map, as reports show it."""
    return make_rules.shown_object_name(object_name(member))


def _object_of_link(
    member: str,
    link_map: LinkMap,
    outputs: Mapping[str, LinkedSection],
    labels: Iterable[elf.Label],
) -> elf.Object:
    """What a link says of an object whose file is gone: its sections and its symbols."""
    sections: dict[int, LinkedSection] = {}
    pieces = []
    for piece in link_map.kept:
        if piece.object != member or piece.output not in outputs:
            continue
        pieces.append(piece)
        strings = _STRINGS.search(piece.name)
        merged = strings or _CONSTANTS.search(piece.name)
        sections[len(sections)] = LinkedSection(
            name=piece.name,
            address=0,
            size=piece.size,
            loaded=True,
            filled=outputs[piece.output].filled,
            code=piece.name.startswith(".text"),
            merged=int(merged[1]) if merged else 0,
            strings=bool(strings),
            data=b"",
        )
    defines = {}
    for label in labels:
        for index, piece in enumerate(pieces):
            within = piece.address <= label.address < piece.address + piece.size
            if within and piece.output == label.section:
                defines[label.name] = elf.Symbol(index, label.code, weak=False)
    return elf.Object(sections, defines, (), {})


def _pieces(
    link_map: LinkMap, objects: Mapping[str, elf.Object], outputs: Mapping[str, LinkedSection]
) -> Iterator[tuple[SectionPlace, ld_map.MapSection]]:
    """The map's sections, each with the section of its object that it is.

    Common symbols are in no section; they belong to the object itself.
    """
    left: dict[str, dict[str, list[int]]] = {}
    for name, item in objects.items():
        by_name: dict[str, list[int]] = {}
        for index, section in item.sections.items():
            by_name.setdefault(section.name, []).append(index)
        left[name] = by_name
    for piece in link_map.kept:
        output = outputs.get(piece.output)
        if output is None:
            continue
        name = shown_section_name(piece.object)
        same = left[name].get(piece.name, [])
        place = SectionPlace(name, -1)
        if same:
            sections = objects[name].sections
            equal = [index for index in same if sections[index].size == piece.size]
            index = (equal or same)[0]
            same.remove(index)
            place = SectionPlace(name, index)
        end = output.address + output.size
        yield place, piece._replace(size=min(piece.size, end - piece.address))


class _Measures:
    """Attributes bytes to nodes of the graph."""

    def __init__(self) -> None:
        self.sizes: dict[SectionPlace, int] = defaultdict(int)
        self.memory: dict[SectionPlace, int] = defaultdict(int)
        self.pieces: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self.spans: list[Span] = []

    def add(
        self, place: SectionPlace, owner: SectionPlace, section: str, span: tuple[str, int, int]
    ) -> None:
        """Attributes a span (output section, address, size) to a node and to an owner's object."""
        output, address, size = span
        self.sizes[place] += size
        self.pieces[owner.object][section] += size
        self.spans.append(Span(output, address, size, owner.object, place))


def _measured(
    graph: Graph,
    pieces: list[tuple[SectionPlace, ld_map.MapSection]],
    outputs: Mapping[str, LinkedSection],
) -> LinkedImage:
    """Attributes bytes to nodes, and adds the strings that sections share to the graph."""
    measures = _Measures()
    shared: dict[tuple[str, int, bool], list[tuple[SectionPlace, ld_map.MapSection]]] = defaultdict(
        list
    )
    for place, piece in pieces:
        section = graph.objects[place.object].sections.get(place.section)
        if not outputs[piece.output].filled:
            measures.memory[place] += piece.size
        elif section and section.merged:
            shared[piece.output, section.merged, section.strings].append((place, piece))
        else:
            span = piece.output, piece.address, piece.size
            measures.add(place, place, piece.name, span)
    for (output, width, strings), group in shared.items():
        users = _users(graph, group, width, strings)
        for holder, address, entry in _entries(group, outputs[output], width, strings):
            node = SectionPlace("", address)
            places = users.get(entry) or [holder]
            for place in places:
                graph.next[place].append(node)
            owner = places[0]
            name = graph.objects[owner.object].sections[owner.section].name
            measures.add(node, owner, name, (output, address, len(entry)))
    return LinkedImage(
        graph=graph,
        sizes=measures.sizes,
        memory=measures.memory,
        spans=tuple(_gapless(measures.spans, outputs)),
        outputs=outputs,
        pieces=measures.pieces,
    )


def _users(
    graph: Graph, group: list[tuple[SectionPlace, ld_map.MapSection]], width: int, strings: bool
) -> dict[bytes, list[SectionPlace]]:
    """For each entry that sections share, the sections that have it."""
    users: dict[bytes, list[SectionPlace]] = defaultdict(list)
    for place, _ in group:
        data = graph.objects[place.object].sections[place.section].data
        for entry in dict.fromkeys(_split(data, width, strings)):
            users[entry].append(place)
    return users


def _entries(
    group: list[tuple[SectionPlace, ld_map.MapSection]],
    output: LinkedSection,
    width: int,
    strings: bool,
) -> Iterator[tuple[SectionPlace, int, bytes]]:
    """What the linker joined equal entries to: the section that holds each, address and bytes."""
    for place, piece in group:
        start = piece.address - output.address
        address = piece.address
        for entry in _split(output.data[start : start + piece.size], width, strings):
            yield place, address, entry
            address += len(entry)


def _split(data: bytes, width: int, strings: bool) -> list[bytes]:
    """The entries of a section whose equals are joined.

    They are units of ``width`` bytes, or strings that end with a unit of zeros.
    """
    units = [data[start : start + width] for start in range(0, len(data), width)]
    if not strings:
        return units
    found = []
    begun = b""
    for unit in units:
        begun += unit
        if not any(unit):
            found.append(begun)
            begun = b""
    return [*found, begun] if begun else found


def _gapless(spans: list[Span], outputs: Mapping[str, LinkedSection]) -> Iterator[Span]:
    """The spans in order of their addresses, with padding between them; raises RomforgeError."""
    by_output: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        if span.size:
            by_output[span.output].append(span)
    for name, output in outputs.items():
        if not output.filled:
            continue
        place = output.address
        for span in sorted(by_output[name], key=lambda span: span.address):
            if span.address < place:
                raise RomforgeError(
                    f"{name}: the map puts {span.object} at {span.address:#x}, where another object ends at {place:#x}"
                )
            if span.address > place:
                yield Span(name, place, span.address - place, PADDING, None)
            yield span
            place = span.address + span.size
        end = output.address + output.size
        if place < end:
            yield Span(name, place, end - place, PADDING, None)


def compressed_shares(link: LinkedImage, size: int) -> dict[str, int]:
    """Estimates of what each object has of the ``size`` bytes of the image; they add up to it.

    An object counts by what it adds to a stream of deflate that has seen what lies before it; a
    window of that size is what all the packers of ROMs have. Where the image is not smaller than
    what was linked, it is not compressed, and the sizes count.
    """
    weights: dict[str, float] = defaultdict(float)
    packed = size < link.size()
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    for name, group in groupby(link.spans, key=lambda span: span.object):
        data = b"".join(_content(link.outputs[span.output], span) for span in group)
        if packed:
            cost = len(packer.compress(data)) + len(packer.flush(zlib.Z_SYNC_FLUSH)) - _FLUSHED
            weights[name] += max(cost, 0)
        else:
            weights[name] += len(data)
    whole = sum(weights.values())
    shares = {}
    given = 0
    seen = 0.0
    for name, weight in weights.items():
        seen += weight
        shares[name] = round(size * seen / whole) - given if whole else 0
        given += shares[name]
    return shares


def compressed_saving(link: LinkedImage, size: int, gone: set[SectionPlace]) -> int:
    """An estimate of what an image of ``size`` bytes loses if ``gone`` leaves it.

    What is left is compressed anew: it does so a little worse, or better, than its shares say.
    """
    whole = []
    rest = []
    for span in link.spans:
        content = _content(link.outputs[span.output], span)
        whole.append(content)
        if span.place is None or span.place not in gone:
            rest.append(content)
    before = b"".join(whole)
    after = b"".join(rest)
    if size >= len(before):
        return round(size * (1 - len(after) / len(before))) if before else 0
    return round(size * (1 - len(_deflate(after)) / len(_deflate(before))))


def _deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def _content(output: LinkedSection, span: Span) -> bytes:
    start = span.address - output.address
    return output.data[start : start + span.size]
