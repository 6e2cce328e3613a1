# SPDX-License-Identifier: GPL-2.0-or-later
"""Collects what a page shows of a built set of ROMs. Sizes are bytes.

These are the sizes and faults of ROMs, the objects of images, the changes since the lock, whether
guests can migrate, and the results of verify.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from romforge.analysis import compat, image_sizes
from romforge.analysis.compat import RomFile, Verdict
from romforge.base.errors import RomforgeError
from romforge.formats import option_rom, rom_check
from romforge.formats.rom_file import read_rom
from romforge.plan.steps import Plan, Rom
from romforge.rom import lock_format
from romforge.rom.assembly import bucket_of
from romforge.rom.lock_format import Change
from romforge.sources.ipxe import source_tree, tree_record
from romforge.sources.ipxe.dependencies import DependencyFiles
from romforge.sources.ipxe.tree_record import TreeRecord
from romforge.spec.model import Spec


class Segment(NamedTuple):
    """An image in a ROM: its name, its kind and its size."""

    name: str
    kind: str
    size: int


@dataclass(frozen=True)
class Row:
    """A ROM file. ``wrong`` are its faults, or the reason why there is no file."""

    path: str
    nic: str
    bucket: int
    images: tuple[Segment, ...]
    wrong: tuple[str, ...]

    @property
    def used(self) -> int:
        """The sum of the sizes of its images."""
        return sum(image.size for image in self.images)


@dataclass(frozen=True)
class Proven:
    """The result of `verify` for a ROM in a column, and what the check observed.

    ``state`` is "proven", "out of date", "not proven" or "not provable here".
    """

    rom: str
    column: str
    state: str
    text: str


class ObjectSize(NamedTuple):
    """An object of an image. Padding is an object without a directory.

    ``in_rom`` estimates its bytes in the ROM. ``linked`` are its bytes in the linked file, and
    ``memory`` its bytes of memory outside the file.
    """

    directory: str
    name: str
    in_rom: int
    linked: int
    memory: int


@dataclass(frozen=True)
class ImageObjects:
    """An image that a tree built, and its objects. ``size`` is 0 if no ROM contains the image."""

    nics: tuple[str, ...]
    platform: str
    goal: str
    size: int
    objects: tuple[ObjectSize, ...]

    @property
    def linked(self) -> int:
        """The bytes of the linked file."""
        return sum(item.linked for item in self.objects)

    @property
    def memory(self) -> int:
        """The bytes of memory outside the linked file."""
        return sum(item.memory for item in self.objects)


@dataclass(frozen=True)
class BuildSummary:
    """The content of a page. ``sets`` are verdicts by the name of the older set.

    ``changes`` is None if there is no lock.
    """

    spec: str
    rows: tuple[Row, ...]
    images: tuple[ImageObjects, ...]
    changes: tuple[Change, ...] | None
    sets: Mapping[str, tuple[Verdict, ...]]
    proofs: tuple[Proven, ...]


def gather_summary(
    spec: Spec, plan: Plan, out: Path, older: Mapping[str, Path], proofs: Sequence[Proven]
) -> BuildSummary:
    """Collects the content of a page from the output root ``out``.

    ``older`` are sets of ROMs from which guests shall migrate, by name. Raises RomforgeError if no
    ROM is built, or a set cannot be read.
    """
    rows = []
    for rom in plan.roms():
        if rom.target in plan.default or (out / rom.path).is_file():
            rows.append(_row(rom, out))
    built = [row for row in rows if row.images]
    if not built:
        raise RomforgeError(f"{out}: none of the ROMs of {spec.path} is built; run doit first")
    changes = None
    if lock_format.lock_path(spec.path).exists():
        changes = tuple(lock_format.compare_build_with_lock(spec, plan, out, None))
    return BuildSummary(
        spec=spec.path.name,
        rows=tuple(rows),
        images=tuple(_image_objects(plan, out)),
        changes=changes,
        sets=_compare_with_older(_built_files(spec, plan, out, built), older, out),
        proofs=tuple(proofs),
    )


def _row(rom: Rom, out: Path) -> Row:
    """The sizes and faults of a ROM file, which may not be built."""
    try:
        data = read_rom(out / rom.path)[0]
    except RomforgeError:
        return Row(rom.path, rom.nic, rom.bucket or 0, (), ("is not built",))
    faults = []
    for fault in rom_check.find_faults(data):
        if fault.severity is not rom_check.Severity.NOTE:
            faults.append(str(fault))
    return Row(rom.path, rom.nic, bucket_of(len(data)), _segments(rom, data), tuple(faults))


def _segments(rom: Rom, data: bytes) -> tuple[Segment, ...]:
    """The images of a ROM file, named after their platforms, or after their kinds in doubt."""
    images = option_rom.parse_chain(data).images
    names = [request.platform for request in rom.requests]
    if len(names) != len(images):
        names = [image.kind for image in images]
    segments = []
    for name, image in zip(names, images):
        segments.append(Segment(name, image.kind, len(image.data)))
    return tuple(segments)


def _built_files(spec: Spec, plan: Plan, out: Path, built: Collection[Row]) -> dict[str, RomFile]:
    """The ROM files that are built, by base name, as ``compat`` compares them."""
    rules = lock_format.rules(spec, list(plan.roms()))
    files = {}
    for row in built:
        size = (out / row.path).stat().st_size
        kinds = tuple(image.kind for image in row.images)
        files[Path(row.path).name] = RomFile(size, kinds, rules[row.path].bucket_changed_in)
    return files


def _compare_with_older(
    files: Mapping[str, RomFile], older: Mapping[str, Path], out: Path
) -> dict[str, tuple[Verdict, ...]]:
    """The verdicts on ``files`` for each older set; other files of an older set do not count."""
    sets = {}
    for name, path in older.items():
        verdicts = compat.compare_sets(compat.read_set(path, out), files)
        sets[name] = tuple(verdict for verdict in verdicts if verdict.file in files)
    return sets


def _image_objects(plan: Plan, out: Path) -> Iterator[ImageObjects]:
    """The images that trees built, with the objects that are linked into them."""
    for make in plan.makes:
        record = tree_record.load_record(make, out) or TreeRecord()
        link_plan = source_tree.recorded_link_plan(make, out)
        directories = DependencyFiles(out / make.directory / "src" / make.bin)
        files = image_sizes.ObjectFiles()
        for goal in make.goals:
            entry = record.goals.get(goal)
            if entry is None or entry.why:
                continue  # not built, or linked from objects that have changed since
            size = image_sizes.size_in_rom(plan, make, goal, out)
            link = image_sizes.read_image_link(make, out, goal, link_plan, files)
            objects = _object_sizes(link, size, directories)
            nics = image_sizes.nics_of(plan, make, goal)
            yield ImageObjects(nics, make.platform, goal, size, tuple(objects))


def _object_sizes(
    link: image_sizes.LinkedImage, size: int, directories: DependencyFiles
) -> Iterator[ObjectSize]:
    """The objects of an image that has ``size`` bytes in the ROM, and its padding."""
    shares = image_sizes.compressed_shares(link, size)
    memory = link.memory_by_object()
    for name in link.graph.objects:
        yield ObjectSize(
            directory=image_sizes.directory_of(name, directories),
            name=name,
            in_rom=shares.get(name, 0),
            linked=link.object_size(name),
            memory=memory.get(name, 0),
        )
    yield ObjectSize("", "(padding)", shares.get(image_sizes.PADDING, 0), link.padding(), 0)
