# SPDX-License-Identifier: GPL-2.0-or-later
"""Collects what a page shows of a built set of ROMs. Sizes are bytes.

These are the sizes and faults of ROMs and of files that are no ROMs, the objects of images, the
changes since the lock, whether guests can migrate, and the results of verify.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypedDict

from romforge.analysis import compat, image_sizes, object_sizes
from romforge.analysis.boot_files import FileRow, gather_files
from romforge.analysis.compat import RomFile, Verdict
from romforge.analysis.provenance import Provenance, gather_provenance
from romforge.base.arch import BY_NAME
from romforge.base.errors import RomforgeError
from romforge.base.image_kind import LEGACY, ImageKind
from romforge.base.json_document import FORMAT, Document
from romforge.base.text import count_parts, join_words, plural
from romforge.formats import option_rom, rom_check
from romforge.formats.rom_file import read_rom
from romforge.plan.steps import Plan, Rom
from romforge.rom import lock_format, manifest
from romforge.rom.assembly import bucket_of
from romforge.rom.lock_format import Change
from romforge.rom.locked_files import LockedFile
from romforge.rom.manifest import RomEntry, read_manifest
from romforge.sources.ipxe.dependencies import DependencyFiles
from romforge.spec.model import Spec


class Segment(NamedTuple):
    """An image in a ROM: its name, its kind and its size."""

    name: str
    kind: str
    size: int


@dataclass(frozen=True)
class Row:
    """A ROM file. ``wrong`` are its faults; ``not_built`` if it is not what was to be built last.

    ``missing`` says which images of the spec it lacks, and why: they did not fit, or could not work
    for the NIC.
    """

    path: str
    nic: str
    target: str
    bucket: int
    images: tuple[Segment, ...]
    wrong: tuple[str, ...]
    missing: tuple[str, ...] = ()
    not_built: bool = False

    @property
    def used(self) -> int:
        """The sum of the sizes of its images."""
        return sum(image.size for image in self.images)


@dataclass(frozen=True)
class Proven:
    """The result of `verify` for a ROM in a column, and what the check observed.

    ``state`` is "proven", "failed", "out of date", "not proven" or "not provable here".
    ``seconds`` is how long it took, 0 where that is not known; ``console`` are the last lines that
    the guest of a failed proof printed.
    """

    rom: str
    column: str
    state: str
    text: str
    seconds: float = 0
    console: str = ""


class ObjectSize(NamedTuple):
    """An object of an image. Padding is an object without a directory.

    ``in_rom`` estimates its bytes in the ROM. ``linked`` are its bytes in the linked file, and
    ``memory`` its bytes of memory outside the file. ``growth`` estimates the bytes in the ROM by
    which it grew since the lock, below 0 if it shrank; None if the lock has no sizes of its image.
    """

    directory: str
    name: str
    in_rom: int
    linked: int
    memory: int
    growth: int | None = None


@dataclass(frozen=True)
class ImageObjects:
    """An image that a tree built, and its objects. ``size`` is 0 if no ROM contains the image.

    ``kind`` is that of the image, as in a ROM: "legacy" or an architecture.
    """

    nics: tuple[str, ...]
    platform: str
    kind: str
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
class GuestSet:
    """The ROMs of a target, and the guests that use them.

    ``machines`` are patterns of machine types; without any, all types of no other target.
    ``faults`` are the reasons why such guests could not migrate or start, or the ROMs are wrong.
    """

    target: str
    machines: tuple[str, ...]
    files: tuple[str, ...]
    buckets: tuple[int, ...]
    faults: tuple[str, ...]


class Counts(NamedTuple):
    """How many ROMs and files are wrong, and how many proofs failed, the worst first. 0 is good.

    A file is one that is no ROM. What is not said to be of files is of ROMs or of proofs.
    ``cannot_migrate`` are ROMs to which guests of an older set cannot migrate, ``cannot_boot``
    those from which such guests can boot no more.
    """

    not_built: int
    files_not_built: int
    faulty: int
    not_as_locked: int
    files_not_as_locked: int
    cannot_migrate: int
    cannot_boot: int
    failed_proofs: int


_PROBLEMS = (  # a noun, and what is wrong, for each of ``Counts``
    ("ROM", "not built as the spec says"),
    ("file", "not built as the spec says"),
    ("ROM", "with faults"),
    ("ROM", "not as locked"),
    ("file", "not as locked"),
    ("ROM", "to which guests cannot migrate"),
    ("ROM", "from which guests can boot no more"),
    ("proof", "failed"),
)


@dataclass(frozen=True)
class BuildSummary:
    """The content of a page. ``sets`` are verdicts by the name of the older set.

    ``rows`` are ROMs, ``files`` what is no ROM.

    ``changes`` is None if there is no lock. ``guests`` is empty if no target names machine types.
    ``provenance`` is None where objects were not asked for, as for `romforge status`.
    """

    spec: str
    rows: tuple[Row, ...]
    images: tuple[ImageObjects, ...]
    changes: tuple[Change, ...] | None
    sets: Mapping[str, tuple[Verdict, ...]]
    proofs: tuple[Proven, ...]
    guests: tuple[GuestSet, ...] = ()
    provenance: Provenance | None = None
    files: tuple[FileRow, ...] = ()

    def counts(self) -> Counts:
        """How much is wrong, of each kind."""
        verdicts = [verdict for of_set in self.sets.values() for verdict in of_set]
        not_as_locked = [change for change in self.changes or () if change.fault]
        return Counts(
            not_built=sum(row.not_built for row in self.rows),
            files_not_built=sum(bool(file.fault) for file in self.files),
            faulty=sum(bool(row.wrong) and not row.not_built for row in self.rows),
            not_as_locked=len({one.path for one in not_as_locked if one.is_rom}),
            files_not_as_locked=len({one.path for one in not_as_locked if not one.is_rom}),
            cannot_migrate=len({one.new_path for one in verdicts if _is_unexpected(one)}),
            cannot_boot=len({one.new_path for one in verdicts if one.migrates and not one.boots}),
            failed_proofs=sum(proof.state == "failed" for proof in self.proofs),
        )

    def problems(self) -> list[str]:
        """What is wrong, with counts, the worst first: build, faults, lock, migration, proofs."""
        problems = []
        for count, (noun, what) in zip(self.counts(), _PROBLEMS):
            if count:
                problems.append(f"{plural(count, noun)} {what}")
        return problems

    def parts(self) -> str:
        """What there is, with counts: ``16 ROMs and 9 files``, or one of both."""
        return count_parts(len(self.rows), len(self.files))


class ReportedRom(TypedDict):
    """A ROM of the page: its sizes in bytes, and what is wrong with it.

    ``built`` tells whether the file is what was to be built last.
    """

    file: str
    nic: str
    bucket: int
    used: int
    built: bool
    faults: tuple[str, ...]


class ReportedFile(TypedDict):
    """A file of the page that is no ROM: its size in bytes, and what is wrong with it.

    ``size`` is null where there is no file, ``since_lock`` where it is not there or not locked.
    ``built`` tells whether the file is what was to be built last; ``faults`` are why it is not.
    """

    file: str
    platform: str
    goal: str
    size: int | None
    since_lock: int | None
    built: bool
    faults: tuple[str, ...]


def reported_file(row: FileRow) -> ReportedFile:
    """A file as `--json` of `report` and `status` print it."""
    return ReportedFile(
        file=row.path,
        platform=row.platform,
        goal=row.goal,
        size=row.size,
        since_lock=row.since_lock,
        built=not row.fault,
        faults=(row.fault,) if row.fault else (),
    )


class ReportDocument(Document):
    """What `report --json` prints: the page, what is wrong, ROMs and files in the spec's order."""

    page: str
    problems: list[str]  # the line below the title
    counts: Counts
    roms: list[ReportedRom]
    files: list[ReportedFile]


def summary_as_json(built: BuildSummary, page: Path) -> ReportDocument:
    """A summary as `romforge report --json` prints it; ``page`` is the page's path."""
    roms = []
    for row in built.rows:
        roms.append(
            ReportedRom(
                file=row.path,
                nic=row.nic,
                bucket=row.bucket,
                used=row.used,
                built=not row.not_built,
                faults=row.wrong,
            )
        )
    return ReportDocument(
        format=FORMAT,
        page=str(page),
        problems=built.problems(),
        counts=built.counts(),
        roms=roms,
        files=[reported_file(row) for row in built.files],
    )


def _is_unexpected(verdict: Verdict) -> bool:
    """Whether guests cannot migrate, and the spec gives no reason for the change of the bucket."""
    return not verdict.migrates and not verdict.said


def gather_summary(
    spec: Spec,
    plan: Plan,
    out: Path,
    older: Mapping[str, Path],
    proofs: Sequence[Proven],
    with_objects: bool = True,
) -> BuildSummary:
    """Collects the content of a page from the output root ``out``.

    ``older`` are sets of ROMs from which guests shall migrate, by name. Without ``with_objects``,
    the objects of images are not read, and a ROM that is what was built last is not examined
    again: its images were sound. Both take most of the time. Raises RomforgeError if neither a ROM
    nor a file is built, or a set cannot be read.
    """
    rows = []
    for target, roms in plan.targets.items():
        entries = read_manifest(out, target).roms
        for rom in roms:
            if target in plan.default or (out / rom.path).is_file():
                rows.append(_row(rom, out, entries.get(rom.path), examine=with_objects))
    built = [row for row in rows if row.images]
    changes = None
    locked: Mapping[str, LockedFile] = {}
    lock_file = lock_format.lock_path(spec.path)
    if lock_file.exists():
        locked = lock_format.read_lock(lock_file).files
    files = tuple(gather_files(plan, out, locked))
    if not built and all(file.size is None for file in files):
        raise RomforgeError(_nothing_is_built(spec, plan, out, rows, files))
    if lock_file.exists():
        found = lock_format.compare_build_with_lock(spec, plan, out, None)
        changes = tuple(object_sizes.explain_changes(found, plan, out, spec.path))
    return BuildSummary(
        spec=spec.path.name,
        rows=tuple(rows),
        images=tuple(_image_objects(spec, plan, out)) if with_objects else (),
        changes=changes,
        sets=_compare_with_older(_built_files(spec, plan, out, built), older, out),
        proofs=tuple(proofs),
        guests=tuple(_guest_sets(spec, plan, rows, changes or ())),
        provenance=gather_provenance(spec, plan, out, os.environ) if with_objects else None,
        files=files,
    )


def _nothing_is_built(
    spec: Spec, plan: Plan, out: Path, rows: Sequence[Row], files: Sequence[FileRow]
) -> str:
    """The error for a set of which nothing is there, with the first reason."""
    reasons = [f"{row.path}: {row.wrong[0]}" for row in rows]
    reasons += [f"{file.path}: {file.fault}" for file in files]
    first = f" ({reasons[0]})" if reasons else ""
    kinds = {"ROMs": plan.targets, "files": plan.files}
    asked_for = join_words(kind for kind, found in kinds.items() if found)
    return f"{out}: none of the {asked_for} of {spec.path} is built{first}; run doit first"


def _missing_images(entry: RomEntry | None) -> tuple[str, ...]:
    """A line for each reason why a ROM lacks images of the spec, by its entry in the manifest."""
    if entry is None:
        return ()
    names: dict[str, list[str]] = {}
    for image in (*entry.get("dropped", ()), *entry.get("impossible", ())):
        names.setdefault(image["reason"], []).append(image["name"])
    return tuple(f"no {join_words(found)}: {reason}" for reason, found in names.items())


def _guest_sets(
    spec: Spec, plan: Plan, rows: Sequence[Row], changes: Sequence[Change]
) -> Iterator[GuestSet]:
    """The sets of all targets, if a target names machine types.

    A target that is neither built nor a default one has no rows, and so no buckets.
    """
    if not any(target.machines for target in spec.target.values()):
        return
    for name, roms in plan.targets.items():
        paths = {rom.path for rom in roms}
        own_rows = [row for row in rows if row.path in paths]
        faults = [f"{row.path}: {fault}" for row in own_rows for fault in row.wrong]
        for change in changes:
            if change.fault and change.path in paths:
                faults.append(f"{change.path}: {change.text}")
        yield GuestSet(
            target=name,
            machines=spec.target[name].machines or (),
            files=tuple(rom.path for rom in roms),
            buckets=tuple(sorted({row.bucket for row in own_rows if row.images})),
            faults=tuple(faults),
        )


def _row(rom: Rom, out: Path, entry: RomEntry | None, examine: bool) -> Row:
    """The sizes and faults of a ROM file, which may not be built.

    Unless it is to ``examine``, a file that is what was built last has no faults.
    """
    faults = []
    build_fault = manifest.build_fault(out, rom.path, entry)
    if build_fault:
        faults.append(build_fault)
    try:
        data = read_rom(out / rom.path)[0]
    except RomforgeError as error:
        wrong = tuple(faults or [str(error)])
        bucket = rom.bucket or 0
        return Row(rom.path, rom.nic, rom.target, bucket, (), wrong, not_built=True)
    is_as_built = build_fault is None and entry is not None and "sha256" in entry
    found = rom_check.find_faults(data) if examine or not is_as_built else ()
    for fault in found:
        if fault.severity is not rom_check.Severity.NOTE:
            faults.append(str(fault))
    return Row(
        path=rom.path,
        nic=rom.nic,
        target=rom.target,
        bucket=bucket_of(len(data)),
        images=_segments(rom, data),
        wrong=tuple(faults),
        missing=_missing_images(entry),
        not_built=build_fault is not None,
    )


def _segments(rom: Rom, data: bytes) -> tuple[Segment, ...]:
    """The images of a ROM file, named after their platforms; one of no platform after its kind."""
    platforms: dict[str, str] = {request.kind: request.platform for request in rom.requests}
    segments = []
    for image in option_rom.parse_chain(data).images:
        name = platforms.get(image.kind, image.kind)
        segments.append(Segment(name, image.kind, len(image.data)))
    return tuple(segments)


def _built_files(spec: Spec, plan: Plan, out: Path, built: Collection[Row]) -> dict[str, RomFile]:
    """The ROM files that are built, by path, as ``compat`` compares them."""
    rules = lock_format.rules(spec, list(plan.roms()))
    failed = manifest.failed_roms(out)
    files = {}
    for row in built:
        size = (out / row.path).stat().st_size
        kinds = tuple(image.kind for image in row.images)
        reason = rules[row.path].bucket_changed_in
        error = failed.get(row.path, "")
        files[row.path] = RomFile(size, kinds, reason, error=error)
    return files


def _compare_with_older(
    files: Mapping[str, RomFile], older: Mapping[str, Path], out: Path
) -> dict[str, tuple[Verdict, ...]]:
    """The verdicts on ``files`` for each older set; other files of an older set do not count."""
    sets = {}
    for name, path in older.items():
        verdicts = compat.compare_sets(compat.read_set(path, out), files)
        sets[name] = tuple(verdict for verdict in verdicts if verdict.new_path is not None)
    return sets


def _image_objects(spec: Spec, plan: Plan, out: Path) -> Iterator[ImageObjects]:
    """The images that trees built, with the objects that are linked into them."""
    locked = object_sizes.read_sizes(object_sizes.sizes_path(spec.path))
    directories = {}  # one for each make, since it reads the dependency files of all images
    for make in plan.makes:
        directories[make.task] = DependencyFiles(out / make.directory / "src" / make.bin)
    for built in image_sizes.built_links(plan, out):
        make, goal = built.make, built.goal
        size = image_sizes.size_in_rom(plan, make, goal, out)
        before = locked.get(image_sizes.image_name(make.task, goal))
        objects = _object_sizes(built.image, size, directories[make.task], before)
        nics = image_sizes.nics_of(plan, make, goal)
        kind = ImageKind(LEGACY) if make.legacy else ImageKind.efi(BY_NAME[make.arch])
        yield ImageObjects(nics, make.platform, str(kind), goal, size, tuple(objects))


def _object_sizes(
    link: image_sizes.LinkedImage,
    size: int,
    directories: DependencyFiles,
    locked: object_sizes.LinkedSizes | None,
) -> Iterator[ObjectSize]:
    """The objects of an image that has ``size`` bytes in the ROM, and its padding.

    ``locked`` is the image as it was locked, if that is known.
    """
    shares = image_sizes.compressed_shares(link, size)
    growth = object_sizes.growth_in_rom(link, size, locked)
    memory = link.memory_by_object()
    for name in link.graph.objects:
        yield ObjectSize(
            directory=image_sizes.directory_of(name, directories),
            name=name,
            in_rom=shares.get(name, 0),
            linked=link.object_size(name),
            memory=memory.get(name, 0),
            growth=growth.get(name),
        )
    yield ObjectSize("", "(padding)", shares.get(image_sizes.PADDING, 0), link.padding(), 0)
