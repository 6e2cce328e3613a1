# SPDX-License-Identifier: GPL-2.0-or-later
"""What a page shows of a built set of ROMs: sizes, faults, objects, changes, migrations, proofs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from romforge.analysis import compat, image_sizes
from romforge.analysis.compat import Verdict
from romforge.base.errors import RomforgeError
from romforge.formats import option_rom, rom_check
from romforge.formats.rom_file import read_rom
from romforge.plan.planner import Plan, Rom
from romforge.rom import lock_format
from romforge.rom.assembly import bucket_of
from romforge.rom.lock_format import Change
from romforge.sources.ipxe import source_tree, tree_record
from romforge.sources.ipxe.dependencies import DependencyFiles
from romforge.sources.ipxe.tree_record import TreeRecord
from romforge.spec.model import Spec


class Segment(NamedTuple):
    """An image in a ROM: what it is called, its kind, its bytes."""

    name: str
    kind: str
    size: int


@dataclass(frozen=True)
class Row:
    """A ROM file; ``wrong`` are its faults, or why there is none."""

    path: str
    nic: str
    bucket: int
    images: tuple[Segment, ...]
    wrong: tuple[str, ...]

    @property
    def used(self) -> int:
        return sum(image.size for image in self.images)


@dataclass(frozen=True)
class Proven:
    """What `verify` has to say of a ROM in a column, and what was seen.

    ``state`` is "proven", "out of date" or "not proven".
    """

    rom: str
    column: str
    state: str
    text: str


class ObjectSize(NamedTuple):
    """An object of an image: an estimate of its bytes in the ROM, those of the linked file, memory.

    Padding is an object without a directory.
    """

    directory: str
    name: str
    in_rom: int
    linked: int
    memory: int


@dataclass(frozen=True)
class ImageObjects:
    """An image that a tree built, and its objects; ``size`` is 0 where no ROM has the image."""

    nics: tuple[str, ...]
    platform: str
    goal: str
    size: int
    objects: tuple[ObjectSize, ...]

    @property
    def linked(self) -> int:
        return sum(item.linked for item in self.objects)

    @property
    def memory(self) -> int:
        return sum(item.memory for item in self.objects)


@dataclass(frozen=True)
class BuildSummary:
    """What a page shows; ``sets`` are verdicts by the name of the older set.

    ``changes`` is None where there is no lock.
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
    """Looks at what is built; raises RomforgeError where nothing is, or a set cannot be read."""
    rows = tuple(
        _row(rom, out)
        for rom in plan.roms()
        if rom.target in plan.default or (out / rom.path).is_file()
    )
    there = [row for row in rows if row.images]
    if not there:
        raise RomforgeError(f"{out}: none of the ROMs of {spec.path} is built; run doit first")
    changes = (
        tuple(lock_format.compare_build_with_lock(spec, plan, out, None))
        if lock_format.lock_path(spec.path).exists()
        else None
    )
    says = lock_format.rules(spec, list(plan.roms()))
    now = {
        Path(row.path).name: compat.RomFile(
            (out / row.path).stat().st_size,
            tuple(one.kind for one in row.images),
            says[row.path].bucket_changed_in,
        )
        for row in there
    }
    sets = {
        name: tuple(_among(compat.compare_sets(compat.read_set(path, out), now), now))
        for name, path in older.items()
    }
    images = tuple(_images(plan, out))
    return BuildSummary(spec.path.name, rows, images, changes, sets, tuple(proofs))


def _row(rom: Rom, out: Path) -> Row:
    try:
        data = read_rom(out / rom.path)[0]
    except RomforgeError:
        return Row(rom.path, rom.nic, rom.bucket or 0, (), ("is not built",))
    wrong = tuple(
        str(fault)
        for fault in rom_check.find_faults(data)
        if fault.severity is not rom_check.Severity.NOTE
    )
    images = option_rom.parse_chain(data).images
    names = (
        [pick.platform for pick in rom.picks]
        if len(rom.picks) == len(images)
        else [one.kind for one in images]
    )
    return Row(
        rom.path,
        rom.nic,
        bucket_of(len(data)),
        tuple(Segment(name, one.kind, len(one.data)) for name, one in zip(names, images)),
        wrong,
    )


def _among(verdicts: Sequence[Verdict], now: Mapping[str, compat.RomFile]) -> list[Verdict]:
    """The verdicts on files that are built here; an older set may hold others."""
    return [one for one in verdicts if one.file in now]


def _images(plan: Plan, out: Path) -> Iterator[ImageObjects]:
    """The images that trees built, with the objects that their links took."""
    for make in plan.makes:
        record = tree_record.load_record(make, out) or TreeRecord()
        link_plan = source_tree.recorded_link_plan(make, out)
        directories = DependencyFiles(out / make.directory / "src" / make.bin)
        files = image_sizes.ObjectFiles()
        for goal in make.goals:
            entry = record.goals.get(goal)
            if entry is None or entry.why:
                continue  # not built, or the objects are others by now
            size = image_sizes.size_in_rom(plan, make, goal, out)
            link = image_sizes.read_image_link(make, out, goal, link_plan, files)
            objects = _object_sizes(link, size, directories)
            nics = image_sizes.nics_of(plan, make, goal)
            yield ImageObjects(nics, make.platform, goal, size, tuple(objects))


def _object_sizes(
    link: image_sizes.LinkedImage, size: int, directories: DependencyFiles
) -> Iterator[ObjectSize]:
    shares = image_sizes.compressed_shares(link, size)
    memory = link.memory_by_object()
    for name in link.graph.objects:
        yield ObjectSize(
            directory=image_sizes.directory_of(name, directories),
            name=name,
            in_rom=shares.get(name, 0),
            linked=sum(link.pieces.get(name, {}).values()),
            memory=memory.get(name, 0),
        )
    padding = sum(span.size for span in link.spans if span.object == image_sizes.PADDING)
    yield ObjectSize("", "(padding)", shares.get(image_sizes.PADDING, 0), padding, 0)
