# SPDX-License-Identifier: GPL-2.0-or-later
"""Attributes the bytes of a linked image to its objects, and finds what each object pulls in.

The data come from what the link left behind: the linker's map, the linked file and the objects.
Two sizes are reported and never added up: bytes in the linked file, and bytes of memory that the
file does not hold (``.bss``).

An object file may be missing: ``version.NAME.o`` is an intermediate file, which make removes after
the link. The sections of such an object come from the map, and its symbols from the linked file.
The symbols that it refers to are not known.
"""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from romforge.analysis.reference_graph import Graph, ReferenceStep, SectionPlace, object_place
from romforge.base.errors import RomforgeError
from romforge.formats import elf, ld_map, option_rom, rom_file
from romforge.formats.elf import LinkedSection
from romforge.formats.ld_map import LinkMap, object_file, object_name
from romforge.plan.steps import Plan, TreeBuild
from romforge.sources.ipxe import link_check, make_rules, source_tree, tree_record
from romforge.sources.ipxe.dependencies import DependencyFiles
from romforge.sources.ipxe.link_roots import LinkPlan

PADDING = ""  # the object name of padding and of what the linker itself adds
_SYNC_FLUSH_SIZE = 5  # bytes that deflate emits for Z_SYNC_FLUSH
_STUBS_DIRECTORY = "romforge"  # shown as the directory of romforge's stubs
_STRING_SECTION = re.compile(r"\.str(\d+)\.\d+$")  # gcc's names; the number is the unit in bytes
_CONSTANT_SECTION = re.compile(r"\.cst(\d+)$")


class Span(NamedTuple):
    """Bytes of an output section that come from one object; ``place`` is their graph node."""

    output: str
    address: int
    size: int
    object: str
    place: SectionPlace | None


@dataclass(frozen=True)
class ObjectContents:
    """An object in an image. The field names are JSON keys of ``romforge why --json``.

    ``size`` is its bytes in the linked file, and ``memory`` its bytes of memory outside the file.
    ``compressed`` is the estimated number of bytes that it takes in the ROM. ``sections`` are its
    bytes in the file by section name.

    ``leaves`` and ``leaves_memory`` are the bytes that would leave the link without this object,
    and ``with_it`` the other objects that would leave too. ``chain`` is the shortest chain of
    references from a root. ``asked_by`` are all objects that refer to this one, with the symbols.
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
    """A symbol that the linker's command line requires. The field names are JSON keys.

    ``object`` defines the symbol. ``leaves`` and ``leaves_memory`` are the bytes that would leave
    the link without this root, and ``with_it`` the objects that would leave.
    """

    symbol: str
    object: str
    leaves: int
    leaves_memory: int
    with_it: tuple[str, ...]


@dataclass(frozen=True)
class ImageContents:
    """A linked image, its sections and its objects. The field names are JSON keys.

    ``size`` is the bytes of the image in the ROM, or 0 if no ROM contains it. The sum of the
    ``parts`` and ``padding`` is the sum of ``sections``. The memory of the parts adds up to
    ``memory``, except for gaps.
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
    """The result of a link: the graph of its references, and the bytes of each node."""

    graph: Graph
    sizes: Mapping[SectionPlace, int]  # bytes in the linked file
    memory: Mapping[SectionPlace, int]  # bytes of memory outside the file
    spans: tuple[Span, ...]
    outputs: Mapping[str, LinkedSection]
    pieces: Mapping[str, Mapping[str, int]]  # bytes in the file by object and section

    def size(self) -> int:
        """The bytes of the linked file that are loaded."""
        return sum(span.size for span in self.spans)

    def padding(self) -> int:
        """The bytes of the linked file that belong to no object."""
        return sum(span.size for span in self.spans if span.object == PADDING)

    def object_size(self, name: str) -> int:
        """The bytes of an object in the linked file."""
        return sum(self.pieces.get(name, {}).values())

    def memory_by_object(self) -> dict[str, int]:
        """The bytes of memory outside the file, by object."""
        sizes: dict[str, int] = defaultdict(int)
        for place, size in self.memory.items():
            sizes[place.object] += size
        return sizes

    def leaving(
        self,
        everything: set[SectionPlace],
        objects: tuple[str, ...] = (),
        roots: tuple[str, ...] = (),
    ) -> Leaving:
        """The part of ``everything`` that would leave the link without the objects and roots."""
        places = everything - self.graph.reached(objects, roots)
        size = 0
        memory = 0
        names = []
        for place in places:
            size += self.sizes.get(place, 0)
            memory += self.memory.get(place, 0)
            if place.is_object:
                names.append(place.object)
        return Leaving(size, memory, tuple(sorted(names)), places)


class Leaving(NamedTuple):
    """What would leave a link: bytes of the file, bytes of memory, the objects, all nodes."""

    size: int
    memory: int
    objects: tuple[str, ...]
    places: set[SectionPlace]


class ObjectFiles:
    """A cache of object files, for images that are linked from the same objects."""

    def __init__(self) -> None:
        self._objects: dict[Path, elf.Object] = {}

    def read(self, path: Path) -> elf.Object | None:
        """Reads an object file, or returns None if it does not exist.

        Raises RomforgeError if it cannot be read.
        """
        if path not in self._objects:
            if not path.exists():
                return None
            self._objects[path] = elf.read_object(path)
        return self._objects[path]


def analyse_image(
    step: TreeBuild, out: Path, goal: str, nics: tuple[str, ...], size: int, link: LinkedImage
) -> ImageContents:
    """Analyses an image that has ``size`` bytes in the ROM."""
    directories = DependencyFiles(out / step.directory / "src" / step.bin)
    shares = compressed_shares(link, size)
    sections = {}
    memory = 0
    for name, section in link.outputs.items():
        if section.filled:
            sections[name] = section.size
        else:
            memory += section.size
    return ImageContents(
        name=f"{step.platform}/{goal}",
        nics=nics,
        size=size,
        sections=sections,
        memory=memory,
        padding=link.padding(),
        padding_compressed=shares.get(PADDING, 0),
        parts=tuple(_object_contents(link, shares, directories)),
        roots=tuple(_analyse_roots(link)),
    )


def _object_contents(
    link: LinkedImage, shares: Mapping[str, int], directories: DependencyFiles
) -> list[ObjectContents]:
    """The objects of a link, the largest first."""
    graph = link.graph
    memory = link.memory_by_object()
    everything = graph.reached()
    chains = graph.chains()
    referrers = graph.referrers()
    parts = []
    for name in graph.objects:
        leaving = link.leaving(everything, (name,))
        part = ObjectContents(
            name=name,
            directory=directory_of(name, directories),
            size=link.object_size(name),
            memory=memory.get(name, 0),
            compressed=shares.get(name, 0),
            sections=dict(link.pieces.get(name, {})),
            chain=chains.get(name, ()),
            asked_by=referrers[name],
            leaves=leaving.size,
            leaves_memory=leaving.memory,
            with_it=tuple(other for other in leaving.objects if other != name),
        )
        parts.append(part)
    parts.sort(key=lambda part: (-part.size, part.name))
    return parts


def _analyse_roots(link: LinkedImage) -> list[Root]:
    """The roots of a link, in the order of its command line."""
    everything = link.graph.reached()
    roots = []
    for symbol in link.graph.roots:
        leaving = link.leaving(everything, roots=(symbol,))
        definer = link.graph.definer[symbol]
        roots.append(Root(symbol, definer, leaving.size, leaving.memory, leaving.objects))
    return roots


def directory_of(name: str, directories: DependencyFiles) -> str:
    """The directory below src of an object's source, or "" if no dependency file records it."""
    if name == make_rules.STUBS_NAME:
        return _STUBS_DIRECTORY
    return directories.directory(link_check.stem(name))


def nics_of(plan: Plan, step: TreeBuild, goal: str) -> tuple[str, ...]:
    """The names of the NICs whose ROMs contain an image."""
    nics: dict[str, None] = {}
    for rom in plan.roms():
        if rom.goal == goal and any(request.make == step.task for request in rom.requests):
            nics[rom.nic] = None
    return tuple(nics)


def size_in_rom(plan: Plan, step: TreeBuild, goal: str, out: Path) -> int:
    """The bytes of an image in the first ROM that contains it, or 0 if no such ROM is built."""
    for rom in plan.roms():
        if rom.goal != goal or not (out / rom.path).is_file():
            continue
        for index, request in enumerate(rom.requests):
            if request.make != step.task:
                continue
            data, _ = rom_file.read_rom(out / rom.path)
            images = option_rom.parse_chain(data).images
            if len(images) != len(rom.requests):
                return 0
            return len(images[index].data)
    return 0


def image_name(make: str, goal: str) -> str:
    """The name of an image: ``ipxe/pcbios/8086100e``, by the task of its make, and its goal."""
    return f"{make.partition(':')[2]}/{goal}"


class BuiltLink(NamedTuple):
    """The link of an image that is built: the make that built it, and iPXE's name of the image."""

    make: TreeBuild
    goal: str
    image: LinkedImage


def built_links(plan: Plan, out: Path, names: Collection[str] | None = None) -> Iterator[BuiltLink]:
    """The links of all images that trees built; not of those whose objects have changed since.

    ``names`` chooses some, by what ``image_name`` says.
    """
    for make in plan.makes:
        record = tree_record.load_record(make, out) or tree_record.TreeRecord()
        link_plan = source_tree.recorded_link_plan(make, out)
        files = ObjectFiles()
        for goal in make.goals:
            entry = record.goals.get(goal)
            if entry is None or entry.why:
                continue
            if names is not None and image_name(make.task, goal) not in names:
                continue
            yield BuiltLink(make, goal, read_image_link(make, out, goal, link_plan, files))


def linked_file(step: TreeBuild, out: Path, goal: str) -> Path:
    """The linked file of an image. The linker's map is beside it."""
    bin_directory = out / step.directory / "src" / step.bin
    return bin_directory / f"{goal}.{source_tree.linked_medium(step)}.tmp"


def read_image_link(
    step: TreeBuild, out: Path, goal: str, plan: LinkPlan, files: ObjectFiles | None = None
) -> LinkedImage:
    """Reads the link of a platform's image. Raises RomforgeError if there is none."""
    linked = linked_file(step, out, goal)
    src = out / step.directory / "src"
    return read_link(src, linked, link_roots_of(linked, plan), files or ObjectFiles())


def link_roots_of(linked: Path, plan: LinkPlan) -> list[str] | None:
    """The roots that a file was linked from, or None if the tree's own roots are not recorded."""
    recorded = make_rules.read_roots(linked)
    if recorded is None:
        return None
    tree_roots, _ = recorded
    kept = [root for root in tree_roots if root not in plan.drop]
    return list(dict.fromkeys([*kept, *plan.add]))


def read_link(
    src: Path, linked: Path, roots: Collection[str] | None, files: ObjectFiles
) -> LinkedImage:
    """Reads a link that was made in ``src``, and attributes its bytes.

    If ``roots`` are not known, they are taken from the map. The map names only those roots that
    brought an object into the link. Raises RomforgeError if a file is missing or not valid.
    """
    link_map = link_check.read_map(linked.with_name(f"{linked.name}.map"))
    outputs = {section.name: section for section in elf.linked_sections(linked)}
    members = [inclusion.member for inclusion in link_map.included]
    members += [section.object for section in link_map.kept]
    objects = {}
    command_line_objects = []
    defined: set[str] = set()
    for member in dict.fromkeys(members):
        item = files.read(src / object_file(member))
        if item is None:
            item = _reconstruct_object(member, link_map, outputs, elf.labels(linked))
        name = shown_section_name(member)
        objects[name] = item
        defined.update(item.defines)
        if not member.endswith(")"):  # not a member of an archive
            command_line_objects.append(name)
    if not roots:
        roots = link_map.roots()
    defined_roots = [root for root in roots if root in defined]
    pieces = list(_match_sections(link_map, objects, outputs))
    linked_places = {piece.place for piece in pieces if not piece.place.is_object}
    graph = Graph(objects, defined_roots, command_line_objects, linked_places)
    attribution = _Attribution(graph, outputs)
    attribution.add_pieces(pieces)
    return attribution.linked_image()


def shown_section_name(member: str) -> str:
    """The name of an object of a map, as reports show it."""
    return make_rules.shown_object_name(object_name(member))


def _reconstruct_object(
    member: str,
    link_map: LinkMap,
    outputs: Mapping[str, LinkedSection],
    labels: Iterable[elf.Label],
) -> elf.Object:
    """An object whose file is missing, with the sections and symbols that the link shows."""
    sections: dict[int, LinkedSection] = {}
    pieces = []
    for piece in link_map.kept:
        if piece.object == member and piece.output in outputs:
            sections[len(sections)] = _reconstruct_section(piece, outputs[piece.output])
            pieces.append(piece)
    defines = {}
    for label in labels:
        for index, piece in enumerate(pieces):
            inside = piece.address <= label.address < piece.address + piece.size
            if inside and piece.output == label.section:
                defines[label.name] = elf.Symbol(index, label.code, weak=False)
    return elf.Object(sections, defines, (), {})


def _reconstruct_section(piece: ld_map.MapSection, output: LinkedSection) -> LinkedSection:
    """A section of a missing object. Its name shows whether the linker merged its entries."""
    strings = _STRING_SECTION.search(piece.name)
    entries = strings or _CONSTANT_SECTION.search(piece.name)
    return LinkedSection(
        name=piece.name,
        address=0,
        size=piece.size,
        loaded=True,
        filled=output.filled,
        code=piece.name.startswith(".text"),
        merged=int(entries[1]) if entries else 0,
        strings=bool(strings),
        data=b"",
    )


class _Piece(NamedTuple):
    """An input section of the map, and the graph node of that section."""

    place: SectionPlace
    section: ld_map.MapSection


def _match_sections(
    link_map: LinkMap, objects: Mapping[str, elf.Object], outputs: Mapping[str, LinkedSection]
) -> Iterator[_Piece]:
    """Matches the sections of the map with the sections of the objects.

    An object may have several sections of one name. The first of the same size is taken, or else
    the first of that name. A common symbol is in no section and is attributed to the object.
    """
    unmatched: dict[str, dict[str, list[int]]] = {}
    for name, item in objects.items():
        unmatched[name] = defaultdict(list)
        for index, section in item.sections.items():
            unmatched[name][section.name].append(index)
    for piece in link_map.kept:
        output = outputs.get(piece.output)
        if output is None:
            continue
        name = shown_section_name(piece.object)
        indices = unmatched[name][piece.name]
        place = object_place(name)
        if indices:
            index = _index_of_size(piece.size, indices, objects[name].sections)
            indices.remove(index)
            place = SectionPlace(name, index)
        available = output.address + output.size - piece.address
        yield _Piece(place, piece._replace(size=min(piece.size, available)))


def _index_of_size(size: int, indices: list[int], sections: Mapping[int, LinkedSection]) -> int:
    """The first of ``indices`` whose section has ``size`` bytes, or else the first of all."""
    for index in indices:
        if sections[index].size == size:
            return index
    return indices[0]


class _MergeGroup(NamedTuple):
    """Sections whose equal entries the linker merges (SHF_MERGE): same output, same entry type.

    Entries are units of ``width`` bytes. If ``strings`` is set, they are strings of such units.
    """

    output: str
    width: int
    strings: bool


class _MergedEntry(NamedTuple):
    """An entry of an output section; the map shows it in the section ``holder``."""

    holder: SectionPlace
    address: int
    data: bytes


class _Attribution:
    """Attributes the bytes of a link to graph nodes, and adds merged entries to the graph."""

    def __init__(self, graph: Graph, outputs: Mapping[str, LinkedSection]) -> None:
        self._graph = graph
        self._outputs = outputs
        self._sizes: dict[SectionPlace, int] = defaultdict(int)
        self._memory: dict[SectionPlace, int] = defaultdict(int)
        self._bytes_by_section: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._spans: list[Span] = []

    def add_pieces(self, pieces: Iterable[_Piece]) -> None:
        """Attributes input sections; merged ones come last, by entries."""
        groups: dict[_MergeGroup, list[_Piece]] = defaultdict(list)
        for piece in pieces:
            place, mapped = piece
            section = self._graph.objects[place.object].sections.get(place.section)
            if not self._outputs[mapped.output].filled:
                self._memory[place] += mapped.size
            elif section and section.merged:
                group = _MergeGroup(mapped.output, section.merged, section.strings)
                groups[group].append(piece)
            else:
                span = Span(mapped.output, mapped.address, mapped.size, place.object, place)
                self._add_span(span, mapped.name)
        for group, members in groups.items():
            self._add_merged(group, members)

    def _add_merged(self, group: _MergeGroup, members: list[_Piece]) -> None:
        """Adds each merged entry as a node, to which all sections that contain it refer.

        Its bytes are attributed to the first of these sections. If three objects contain the
        string "ok", the first owns its 3 bytes, and these leave only with all three.
        """
        users = _entry_users(self._graph, group, members)
        for entry in _merged_entries(group, members, self._outputs[group.output]):
            node = SectionPlace("", entry.address)
            sharers = users.get(entry.data) or [entry.holder]
            for sharer in sharers:
                self._graph.next[sharer].append(node)
            owner = sharers[0]
            section = self._graph.section_at(owner)
            span = Span(group.output, entry.address, len(entry.data), owner.object, node)
            self._add_span(span, section.name)

    def _add_span(self, span: Span, section: str) -> None:
        """Adds a span that belongs to the input section ``section`` of its object."""
        if span.place is not None:
            self._sizes[span.place] += span.size
        self._bytes_by_section[span.object][section] += span.size
        self._spans.append(span)

    def linked_image(self) -> LinkedImage:
        """The result. Raises RomforgeError if spans overlap."""
        return LinkedImage(
            graph=self._graph,
            sizes=self._sizes,
            memory=self._memory,
            spans=tuple(_spans_with_padding(self._spans, self._outputs)),
            outputs=self._outputs,
            pieces=self._bytes_by_section,
        )


def _entry_users(
    graph: Graph, group: _MergeGroup, members: list[_Piece]
) -> dict[bytes, list[SectionPlace]]:
    """The sections that contain each entry in their object files."""
    users: dict[bytes, list[SectionPlace]] = defaultdict(list)
    for place, _ in members:
        data = graph.section_at(place).data
        for entry in dict.fromkeys(_split_entries(data, group)):
            users[entry].append(place)
    return users


def _merged_entries(
    group: _MergeGroup, members: list[_Piece], output: LinkedSection
) -> Iterator[_MergedEntry]:
    """The entries that the linked file contains after the merge."""
    for place, mapped in members:
        start = mapped.address - output.address
        address = mapped.address
        for data in _split_entries(output.data[start : start + mapped.size], group):
            yield _MergedEntry(place, address, data)
            address += len(data)


def _split_entries(data: bytes, group: _MergeGroup) -> list[bytes]:
    """Splits a section into the entries that the linker merges.

    A string ends with a unit of zeros, which belongs to it: with a width of 1,
    ``b"on\\0off\\0"`` gives ``[b"on\\0", b"off\\0"]``.
    """
    width = group.width
    units = [data[start : start + width] for start in range(0, len(data), width)]
    if not group.strings:
        return units
    strings = []
    string = b""
    for unit in units:
        string += unit
        if not any(unit):
            strings.append(string)
            string = b""
    if string:
        strings.append(string)
    return strings


def _spans_with_padding(spans: list[Span], outputs: Mapping[str, LinkedSection]) -> Iterator[Span]:
    """The spans by address, with the padding between them. Raises RomforgeError on an overlap."""
    by_output: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        if span.size:
            by_output[span.output].append(span)
    for name, output in outputs.items():
        if not output.filled:
            continue
        address = output.address
        for span in sorted(by_output[name], key=lambda span: span.address):
            if span.address < address:
                raise RomforgeError(
                    f"{name}: the linker's map places {span.object} at {span.address:#x}, "
                    f"but the object before it ends at {address:#x}"
                )
            if span.address > address:
                yield Span(name, address, span.address - address, PADDING, None)
            yield span
            address = span.address + span.size
        end = output.address + output.size
        if address < end:
            yield Span(name, address, end - address, PADDING, None)


def compressed_shares(link: LinkedImage, size: int) -> dict[str, int]:
    """Estimates how many of the ``size`` bytes of an image in the ROM each object takes.

    The estimates add up to ``size``. An object's weight is the number of bytes that it adds to a
    deflate stream of the objects before it; the packers of images have a window of the same size.
    If an image is not smaller than the linked file, it is not compressed, and its objects count
    by their sizes.
    """
    weights: dict[str, float] = defaultdict(float)
    is_compressed = size < link.size()
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    for name, spans in groupby(link.spans, key=lambda span: span.object):
        data = b"".join(_content(link.outputs[span.output], span) for span in spans)
        weight = len(data)
        if is_compressed:
            weight = len(packer.compress(data)) + len(packer.flush(zlib.Z_SYNC_FLUSH))
            weight -= _SYNC_FLUSH_SIZE
        weights[name] += max(weight, 0)
    return _divide(size, weights)


def _divide(size: int, weights: Mapping[str, float]) -> dict[str, int]:
    """Divides ``size`` by weights into whole numbers that add up to it.

    A size of 10 with the weights 1, 1 and 1 gives 3, 4 and 3.
    """
    total = sum(weights.values())
    if not total:
        return dict.fromkeys(weights, 0)
    shares = {}
    divided = 0
    weight_so_far = 0.0
    for name, weight in weights.items():
        weight_so_far += weight
        shares[name] = round(size * weight_so_far / total) - divided
        divided += shares[name]
    return shares


def compressed_saving(link: LinkedImage, size: int, gone: set[SectionPlace]) -> int:
    """Estimates how many of the ``size`` bytes of an image in the ROM go with the nodes ``gone``.

    What stays is compressed again, since it may compress better or worse without the rest.
    """
    before = []
    after = []
    for span in link.spans:
        content = _content(link.outputs[span.output], span)
        before.append(content)
        if span.place is None or span.place not in gone:
            after.append(content)
    linked = b"".join(before)
    rest = b"".join(after)
    if not linked:
        return 0
    if size >= len(linked):  # the image is not compressed
        return round(size * (1 - len(rest) / len(linked)))
    return round(size * (1 - len(_deflate(rest)) / len(_deflate(linked))))


def _deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def _content(output: LinkedSection, span: Span) -> bytes:
    start = span.address - output.address
    return output.data[start : start + span.size]
