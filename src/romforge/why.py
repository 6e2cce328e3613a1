# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the bytes of an image come from: its objects, who pulled each in, and what would leave with it.

Read from what the image's link left: its map, the linked file, and the objects. Sizes are bytes.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from romforge import elf, linking, linkmap, worktree
from romforge.elf import Section
from romforge.errors import RomforgeError
from romforge.images import linked
from romforge.linkmap import LinkMap, object_name
from romforge.plan import Make
from romforge.refgraph import Graph, Place, Step

PADDING = ""  # the name of the object to which padding is put down, and what the linker makes itself
_FLUSHED = 5  # bytes by which deflate marks that it was flushed


class Span(NamedTuple):
    """Bytes of a section of the linked file that came from one object."""

    output: str
    address: int
    size: int
    object: str


@dataclass(frozen=True)
class Part:
    """An object in an image: ``size`` in the linked file, ``memory`` besides, ``compressed`` an estimate of its share of the image.

    ``leaves`` is what would leave the linked file if nothing asked for the object any more, and ``with_it`` the objects
    that would go with it. ``chain`` says who pulled it in, ``asked_by`` all who ask for it, each with the symbols.
    """

    name: str
    directory: str
    size: int
    memory: int
    compressed: int
    sections: dict[str, int]
    chain: tuple[Step, ...]
    asked_by: dict[str, list[str]]
    leaves: int
    with_it: tuple[str, ...]


@dataclass(frozen=True)
class Root:
    """A symbol that the command line of a link asks for, the object that defines it, and what would leave without it."""

    symbol: str
    object: str
    leaves: int
    with_it: tuple[str, ...]


@dataclass(frozen=True)
class Image:
    """A linked image: the bytes of its sections, and what they are made of; ``size`` is that of the image in a ROM.

    The sizes of ``parts`` and ``padding`` add up to ``sections``; those of memory are not among them.
    """

    name: str
    size: int
    sections: dict[str, int]
    padding: int
    padding_compressed: int
    parts: tuple[Part, ...]
    roots: tuple[Root, ...]


class Link(NamedTuple):
    """What is left of a link: the graph of its references, what each node and span has of bytes, and the loaded sections."""

    graph: Graph
    sizes: Mapping[Place, int]
    memory: Mapping[str, int]  # by object
    spans: tuple[Span, ...]
    outputs: Mapping[str, Section]
    pieces: Mapping[str, Mapping[str, int]]  # by object and section


def explain(step: Make, out: Path, goal: str, drop: Iterable[str], size: int) -> Image:
    """Looks at the link of a platform's image, which has ``size`` bytes in a ROM; raises RomforgeError where there is none."""
    src = out / step.directory / "src"
    link = read(src, src / step.bin / f"{goal}.{linked(step)}.tmp", roots_of(step, goal, drop))
    directories = worktree.directories(src)
    shares = _compressed(link, size)
    everything = link.graph.reached()

    def without(objects: tuple[str, ...] = (), roots: tuple[str, ...] = ()) -> tuple[int, tuple[str, ...]]:
        gone = everything - link.graph.reached(objects, roots)
        return sum(link.sizes.get(place, 0) for place in gone), tuple(sorted(place.object for place in gone if place.section < 0))

    chains, askers = link.graph.chains(), link.graph.askers()
    parts = []
    for name in link.graph.objects:
        leaves, gone = without((name,))
        parts.append(
            Part(
                name=name,
                directory=directories.get(linking.stem(name), ""),
                size=sum(link.pieces.get(name, {}).values()),
                memory=link.memory.get(name, 0),
                compressed=shares.get(name, 0),
                sections=dict(link.pieces.get(name, {})),
                chain=chains.get(name, ()),
                asked_by=askers[name],
                leaves=leaves,
                with_it=tuple(one for one in gone if one != name),
            )
        )
    roots = [Root(symbol, link.graph.definer[symbol], *without((), (symbol,))) for symbol in link.graph.roots]
    padding = sum(span.size for span in link.spans if span.object == PADDING)
    sections = {name: one.size for name, one in link.outputs.items() if one.filled}
    parts.sort(key=lambda part: (-part.size, part.name))
    return Image(f"{step.platform}/{goal}", size, sections, padding, shares.get(PADDING, 0), tuple(parts), tuple(roots))


def roots_of(step: Make, goal: str, drop: Iterable[str]) -> list[str]:
    """The symbols that a link may be asked for: the entry, the configuration, and what the spec keeps, but for what is dropped.

    Those of drivers, which make takes from the names of the goal, ``read`` finds in the map and the objects.
    """
    platform = "pcbios" if step.legacy else "efi"
    asked = [f"_{linked(step)}_start", "obj_config", f"obj_config_{platform}", *(f"obj_{part}" for part in goal.split("--")), *step.keep]
    return [symbol for symbol in asked if symbol not in drop]


def read(src: Path, file: Path, roots: Iterable[str]) -> Link:
    """Reads a link: ``src`` is where it was made, ``file`` what came of it, with its map beside it. Raises RomforgeError."""
    found = linking.read_map(file.with_name(f"{file.name}.map"))
    outputs = {one.name: one for one in elf.linked(file)}
    members = dict.fromkeys([one.member for one in found.included] + [one.object for one in found.kept])
    places = {object_name(member): src / _file(member) for member in members}
    objects = {name: elf.read(path) for name, path in places.items()}
    pieces = list(_pieces(found, objects, outputs))
    taken = {place for place, _ in pieces if place.section >= 0}
    own = [object_name(member) for member in members if not member.endswith(")")]
    graph = Graph(objects, _roots(found, objects, roots, taken), own, taken)
    return _measured(graph, pieces, outputs)


def _file(member: str) -> str:
    """The object file that went into an archive as ``member``: it lies beside the archive."""
    archive, _, name = member.rpartition("(")
    return str(Path(archive).parent / name[:-1]) if archive else member


def _roots(found: LinkMap, objects: Mapping[str, elf.Object], asked: Iterable[str], taken: set[Place]) -> list[str]:
    """The roots of a link: those that brought an object in, as the map says, and those of ``asked`` that came too late for that.

    A device list that is in the link is a root, and so is the symbol of the driver that it is of.
    """
    symbols = dict.fromkeys([*found.roots(), *asked])
    for name, one in objects.items():
        lists = [symbol for symbol, index in one.defines.items() if symbol.startswith("pci_devlist_") and Place(name, index or 0) in taken]
        symbols |= dict.fromkeys([*lists, *([f"obj_{linking.stem(name)}"] if lists else [])])
    defined = {symbol for one in objects.values() for symbol in one.defines}
    return [symbol for symbol in symbols if symbol in defined]


def _pieces(found: LinkMap, objects: Mapping[str, elf.Object], outputs: Mapping[str, Section]) -> Iterator[tuple[Place, linkmap.Section]]:
    """The map's sections, each with the section of its object, or the object itself where it is none (common symbols)."""
    left = {name: list(one.sections) for name, one in objects.items()}
    for section in found.kept:
        if not (output := outputs.get(section.output)):
            continue
        name = object_name(section.object)
        sections = objects[name].sections
        same = [index for index in left[name] if sections[index].name == section.name]
        index = next((index for index in same if sections[index].size == section.size), same[0] if same else -1)
        if index >= 0:
            left[name].remove(index)
        yield Place(name, index), section._replace(size=min(section.size, output.address + output.size - section.address))


def _measured(graph: Graph, pieces: list[tuple[Place, linkmap.Section]], outputs: Mapping[str, Section]) -> Link:
    """Puts bytes down to nodes of the graph, and adds the strings that sections have in common to it."""
    sizes: dict[Place, int] = defaultdict(int)
    memory: dict[str, int] = defaultdict(int)
    by_object: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    spans: list[Span] = []
    merged: dict[tuple[str, int, bool], list[tuple[Place, linkmap.Section]]] = defaultdict(list)
    for place, section in pieces:
        source = graph.objects[place.object].sections.get(place.section)
        if not outputs[section.output].filled:
            memory[place.object] += section.size
        elif source and source.merged:
            merged[section.output, source.merged, source.strings].append((place, section))
        else:
            sizes[place] += section.size
            by_object[place.object][section.name] += section.size
            spans.append(Span(section.output, section.address, section.size, place.object))
    for (output, width, strings), group in merged.items():
        users_of: dict[bytes, list[Place]] = defaultdict(list)
        for place, _ in group:
            for entry in dict.fromkeys(_split(graph.objects[place.object].sections[place.section].data, width, strings)):
                users_of[entry].append(place)
        for holder, address, entry in _entries(group, outputs[output], width, strings):
            users = users_of.get(entry) or [holder]
            node = Place("", address)
            sizes[node] = len(entry)
            for place in users:
                graph.next[place].append(node)
            name = graph.objects[users[0].object].sections[users[0].section].name
            by_object[users[0].object][name] += len(entry)
            spans.append(Span(output, address, len(entry), users[0].object))
    return Link(graph, sizes, memory, tuple(_gapless(spans, outputs)), outputs, by_object)


def _entries(group: list[tuple[Place, linkmap.Section]], output: Section, width: int, strings: bool) -> Iterator[tuple[Place, int, bytes]]:
    """What the linker joined equal strings or constants to: the section that holds each, the address, the bytes."""
    for place, section in group:
        start = section.address - output.address
        address = section.address
        for entry in _split(output.data[start : start + section.size], width, strings):
            yield place, address, entry
            address += len(entry)


def _split(data: bytes, width: int, strings: bool) -> list[bytes]:
    """The entries of a section whose equals are joined: units of ``width`` bytes, or strings that end with a unit of zeros."""
    units = [data[place : place + width] for place in range(0, len(data), width)]
    if not strings:
        return units
    found, begun = [], b""
    for unit in units:
        begun += unit
        if not any(unit):
            found.append(begun)
            begun = b""
    return [*found, begun] if begun else found


def _gapless(spans: list[Span], outputs: Mapping[str, Section]) -> Iterator[Span]:
    """The spans in order of their addresses, with what lies between them put down to nobody; raises RomforgeError."""
    for name, output in outputs.items():
        if not output.filled:
            continue
        place = output.address
        for span in sorted((one for one in spans if one.output == name and one.size), key=lambda one: one.address):
            if span.address < place:
                raise RomforgeError(f"{name}: the map puts {span.object} at {span.address:#x}, where another object ends at {place:#x}")
            if span.address > place:
                yield Span(name, place, span.address - place, PADDING)
            yield span
            place = span.address + span.size
        if place < output.address + output.size:
            yield Span(name, place, output.address + output.size - place, PADDING)


def _compressed(link: Link, size: int) -> dict[str, int]:
    """Estimates of what each object has of the ``size`` bytes of the image, which they add up to.

    By what each adds to a stream of deflate that has seen what lies before it, as a window of its size is what all the
    packers of ROMs have; where the image is not smaller than what was linked, by the sizes.
    """
    weights: dict[str, float] = defaultdict(float)
    packed = size < sum(span.size for span in link.spans)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    for name, group in groupby(link.spans, key=lambda span: span.object):
        run = list(group)
        data = b"".join(_content(link.outputs[span.output], span) for span in run)
        cost = len(packer.compress(data)) + len(packer.flush(zlib.Z_SYNC_FLUSH)) - _FLUSHED
        weights[name] += max(cost, 0) if packed else len(data)
    whole = sum(weights.values())
    shares, told, seen = {}, 0, 0.0
    for name, weight in weights.items():
        seen += weight
        shares[name] = round(size * seen / whole) - told if whole else 0
        told += shares[name]
    return shares


def _content(output: Section, span: Span) -> bytes:
    start = span.address - output.address
    return output.data[start : start + span.size]
