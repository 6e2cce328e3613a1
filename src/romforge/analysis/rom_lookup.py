# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds the ROM file that a QEMU opens for each NIC, and what is wrong with that.

QEMU opens the first file of a name in the order of its search path. Directories are looked up below
a root, where the files lie as they would be installed at /. Sizes are bytes.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from romforge.base import nic_models
from romforge.base.arch import Arch
from romforge.base.json_document import Document
from romforge.base.text import join_words
from romforge.formats import option_rom, rom_file
from romforge.plan.steps import Plan, Rom
from romforge.rom.assembly import bucket_of
from romforge.spec.model import Spec, serves
from romforge.verify.rom_search import QemuView

_MOST_LINKS = 40  # symbolic links in a row, as in Linux
_REMEDY_FOR_SET = (
    "start such guests with romfile=, let the machine type of QEMU set it,"
    " or change machines in the spec"
)
_X86 = Arch.I386, Arch.X86_64  # which run legacy images too


@dataclass(frozen=True)
class OpenedRom:
    """A ROM file that QEMU opens: its path below the root, its size and the kinds of its images."""

    path: str
    size: int
    images: tuple[str, ...]

    @property
    def bucket(self) -> int:
        """The bytes that QEMU reserves for the file."""
        return bucket_of(self.size)


@dataclass(frozen=True)
class NicLookup:
    """What a QEMU does for a NIC.

    ``file`` is the name that it asks for, None if it asks for none. ``unknown`` if it does not have
    the device. ``instead_of`` are files of this name later in the search path.
    """

    nic: str
    device: str
    unknown: bool
    file: str | None
    opened: OpenedRom | None
    instead_of: tuple[OpenedRom, ...]
    has_image: bool  # whether the opened file has an image for the architecture
    target: str | None  # of the spec, which the opened file belongs to


@dataclass(frozen=True)
class Lookup:
    """What a QEMU does for all NICs of a spec.

    ``faults`` are sentences with remedies; ``notes`` are sentences about what is no fault.
    """

    view: QemuView
    directories: tuple[str, ...]  # below the root
    nics: tuple[NicLookup, ...]
    faults: tuple[str, ...]
    notes: tuple[str, ...]


def spec_devices(spec: Spec) -> dict[str, str]:
    """QEMU's device for each NIC of a spec, with properties, as for its option -device."""
    devices = {}
    for name, nic in spec.nic.items():
        devices[name] = nic.device or nic_models.device_of(name, nic.id)
    return devices


def look_up(
    spec: Spec, plan: Plan, view: QemuView, root: Path, selected: Collection[Rom] | None = None
) -> Lookup:
    """Finds the file of each NIC below ``root``; raises RomforgeError if one cannot be read.

    With ``selected``, only of the NICs of these ROMs; directories of other ROMs do not count.
    """
    directories = tuple(_below_root(root, directory) for directory in view.directories)
    places = {rom.path: rom for rom in plan.roms()}
    nics = []
    wanted = paths = None
    if selected is not None:
        wanted = {rom.nic for rom in selected}
        paths = {rom.path for rom in selected}
    for nic, device in spec_devices(spec).items():
        if wanted is not None and nic not in wanted:
            continue
        nics.append(_look_up_nic(view, directories, root, nic, device, places))
    found = Lookup(view, directories, tuple(nics), (), tuple(_notes(spec, view, directories)))
    faults = [*_missing_files(found, plan, root), *_hidden_files(found)]
    faults += _absent_files(found, plan, root)
    faults += _unused_directories(spec, plan, found, root, paths)
    if view.machine:
        faults += _wrong_sets(spec, plan, found)
    return Lookup(view, directories, found.nics, tuple(faults), found.notes)


def _look_up_nic(
    view: QemuView,
    directories: Sequence[str],
    root: Path,
    nic: str,
    device: str,
    places: Mapping[str, Rom],
) -> NicLookup:
    file = view.files.get(device)
    files = list(_files_of_name(root, directories, file)) if file else []
    opened = files[0] if files else None
    target = None
    if opened and opened.path in places:
        target = places[opened.path].target
    return NicLookup(
        nic=nic,
        device=device,
        unknown=device not in view.files,
        file=file,
        opened=opened,
        instead_of=tuple(files[1:]),
        has_image=opened is not None and _runs(view.arch, opened.images),
        target=target,
    )


def _below_root(root: Path, directory: str) -> str:
    """A directory of QEMU's search path, relative to the root.

    It is the one that will be installed there, unless it lies below the root already.
    """
    top = os.path.abspath(root)
    if os.path.commonpath((top, directory)) == top:
        return os.path.relpath(directory, top)
    return directory.lstrip("/")


def _files_of_name(root: Path, directories: Sequence[str], name: str) -> Iterator[OpenedRom]:
    """The files of a name that QEMU can read, in the order of its search."""
    for directory in dict.fromkeys(directories):
        path = follow_links(root, f"{directory}/{name}")
        if os.access(path, os.R_OK) and path.is_file():
            data = rom_file.read_rom(path)[0]
            kinds = tuple(image.kind for image in option_rom.parse_chain(data).images)
            yield OpenedRom(os.path.normpath(f"{directory}/{name}"), len(data), kinds)


def follow_links(root: Path, path: str) -> Path:
    """The file at a path below a root, as if the root were /: so absolute links stay below it."""
    found = Path(root)
    for part in Path(path).parts:
        found /= part
        for _ in range(_MOST_LINKS):
            if not found.is_symlink():
                break
            link = os.readlink(found)
            start = root if link.startswith("/") else found.parent
            found = start / link.lstrip("/")
    return found


def _runs(arch: Arch | None, kinds: Collection[str]) -> bool:
    """Whether the firmware of an architecture runs an image of one of these kinds."""
    if arch is None:
        return False
    return arch.ipxe_name in kinds or (arch in _X86 and "legacy" in kinds)


def _notes(spec: Spec, view: QemuView, directories: Sequence[str]) -> Iterator[str]:
    """Where the view comes from, and whether the spec expects another search path."""
    section = view.arch.ipxe_name if view.arch else ""
    if not view.machine:
        yield (
            f"{view.name} was not asked: directories are those of firmware_path in"
            f" [qemu.{section}], names of files those that QEMU usually asks for"
        )
        return
    if section not in spec.qemu:
        return
    expected = [os.path.normpath(path) for path in spec.qemu[section].firmware_path]
    searched = [directory for directory in dict.fromkeys(directories) if directory in expected]
    if searched != expected:
        yield (
            f"[qemu.{section}] expects {view.name} to look into {join_words(expected)},"
            " in this order, which it does not"
        )


def _missing_files(found: Lookup, plan: Plan, root: Path) -> Iterator[str]:
    """Files without which QEMU refuses to start."""
    for nic in found.nics:
        refusal = f"{nic.nic}: {found.view.name} would not start with -device {nic.device}"
        if nic.opened and not nic.opened.size:
            yield f'{refusal}: romfile "{nic.file}" is empty: {nic.opened.path}'
        elif nic.file and not nic.opened:
            remedy = _remedy_for_missing(nic, plan, root)
            yield f'{refusal}: failed to find romfile "{nic.file}"; {remedy}'


def _remedy_for_missing(nic: NicLookup, plan: Plan, root: Path) -> str:
    elsewhere = []
    planned = []
    for rom in plan.roms():
        if os.path.basename(rom.path) != nic.file:
            continue
        planned.append(rom.path)
        if (root / rom.path).exists():
            elsewhere.append(rom.path)
    if elsewhere:
        return f"it is only in {join_words(elsewhere)}, where this QEMU does not look"
    if planned:
        return f"build or install {join_words(planned)}"
    return (
        'add it to a target in a directory that this QEMU searches; images = ["stub"] will do'
        " if there is nothing to boot"
    )


def _hidden_files(found: Lookup) -> Iterator[str]:
    """Files without an image for the architecture, before one that has an image for it."""
    for nic in found.nics:
        if nic.opened is None or nic.has_image or found.view.arch is None:
            continue
        for other in nic.instead_of:
            if _runs(found.view.arch, other.images):
                arch = found.view.arch.ipxe_name
                yield (
                    f"{nic.nic}: {nic.opened.path} has no image for {arch}, but hides"
                    f" {other.path}, which has one; let {found.view.name} look into"
                    f" {os.path.dirname(other.path)} first"
                )
                break


def _absent_files(found: Lookup, plan: Plan, root: Path) -> Iterator[str]:
    """Files of the spec in place of which QEMU opens one without an image for the architecture."""
    arch = found.view.arch
    for nic in found.nics:
        if nic.opened is None or nic.has_image or arch is None:
            continue
        for rom in plan.roms():
            directory, name = os.path.split(rom.path)
            if name != nic.file or directory not in found.directories:
                continue
            if (root / rom.path).exists() or not _is_expected(plan, rom.target, root):
                continue
            if _runs(arch, {request.kind for request in rom.requests}):
                yield (
                    f"{nic.nic}: {rom.path} is not there, so {found.view.name} opens"
                    f" {nic.opened.path}, which has no image for {arch.ipxe_name};"
                    f" build or install {rom.path}"
                )


def _unused_directories(
    spec: Spec, plan: Plan, found: Lookup, root: Path, selected: Collection[str] | None
) -> Iterator[str]:
    """Directories of targets for this architecture into which its QEMU never looks."""
    view = found.view
    opened = {nic.opened.path for nic in found.nics if nic.opened}
    types = _machine_names(view)
    reported: set[str] = set()
    for name, roms in plan.targets.items():
        if not _is_for(spec, view, roms) or not _is_expected(plan, name, root):
            continue
        if spec.target[name].machines and types and not serves(spec.target[name], types):
            continue
        for rom in roms:
            directory = os.path.dirname(rom.path)
            if selected is not None and rom.path not in selected:
                continue
            is_used = directory in found.directories or rom.path in opened
            if is_used or directory in reported:
                continue
            reported.add(directory)
            yield (
                f"target.{name}: {view.name} never looks into {directory};"
                f" {_remedy_for_directory(view, directory)}"
            )


def _is_for(spec: Spec, view: QemuView, roms: Sequence[Rom]) -> bool:
    """Whether ROMs of a target are for the QEMU of an architecture.

    They have an image for it, or [qemu.ARCH] says that it looks into their directory.
    """
    if view.arch is None or not roms:
        return False
    kinds = {request.kind for rom in roms for request in rom.requests}
    if _runs(view.arch, kinds):
        return True
    table = spec.qemu.get(view.arch.ipxe_name)
    expected = map(os.path.normpath, table.firmware_path if table else ())
    return os.path.dirname(roms[0].path) in expected


def _is_expected(plan: Plan, target: str, root: Path) -> bool:
    """Whether a target is built by default, or has been built."""
    return target in plan.default or any(
        (root / rom.path).is_file() for rom in plan.targets[target]
    )


def _remedy_for_directory(view: QemuView, directory: str) -> str:
    path = ":".join([f"/{directory}", *view.directories])
    if not view.machine:
        return f"add it to firmware_path in [qemu.{view.arch.ipxe_name if view.arch else 'ARCH'}]"
    return (
        f"start it with -L /{directory}, configure QEMU with --firmwarepath={path},"
        f" or link its files from {view.directories[0]}"
    )


def _machine_names(view: QemuView) -> tuple[str, ...]:
    """The names of the machine type; none in a view that is only assumed."""
    if view.machine is None:
        return ()
    return view.machine, *view.also_called


def _wrong_sets(spec: Spec, plan: Plan, found: Lookup) -> Iterator[str]:
    """Files that are not of the target whose machines name this machine type."""
    view = found.view
    for nic in found.nics:
        if nic.file is None:
            continue
        right = list(_paths_to_use(spec, plan, view, nic.nic))
        place = nic.opened.path if nic.opened else "nothing"
        if right and place not in right:
            yield (
                f"{nic.nic}: guests with the machine type {view.machine} are to use"
                f" {join_words(right)}, but {view.name} asks for {nic.file} and opens {place};"
                f" {_REMEDY_FOR_SET}"
            )
        elif nic.target and not right and spec.target[nic.target].machines:
            yield (
                f"{nic.nic}: {view.name} opens {place} for the machine type {view.machine}, but"
                f" target.{nic.target} is only for"
                f" {join_words(spec.target[nic.target].machines or ())}; {_REMEDY_FOR_SET}"
            )


def _paths_to_use(spec: Spec, plan: Plan, view: QemuView, nic: str) -> Iterator[str]:
    """The ROMs of a NIC in the targets whose machines name the machine type of a view."""
    types = _machine_names(view)
    for name, roms in plan.targets.items():
        if serves(spec.target[name], types) and (view.arch is None or _is_for(spec, view, roms)):
            for rom in roms:
                if rom.nic == nic:
                    yield rom.path


class OpenedRow(TypedDict):
    """A ROM file that a QEMU opens; sizes are bytes."""

    path: str
    size: int
    bucket: int
    images: tuple[str, ...]


class NicRow(TypedDict):
    """What a QEMU does for a NIC, as ``NicLookup`` says; ``known`` if it has the device."""

    nic: str
    device: str
    known: bool
    file: str | None
    opened: OpenedRow | None
    instead_of: list[str]
    has_image: bool
    target: str | None


class QemuRow(TypedDict):
    """What a QEMU does for all NICs of a spec."""

    qemu: str
    arch: str | None
    machine: str | None
    directories: tuple[str, ...]
    nics: list[NicRow]
    faults: tuple[str, ...]
    notes: tuple[str, ...]


class LookupDocument(Document):
    """What `lookup --json` prints: each QEMU that was asked, in the order of architectures."""

    qemus: list[QemuRow]


def lookup_as_json(found: Lookup) -> QemuRow:
    """A lookup as `romforge lookup --json` prints it."""
    view = found.view
    nics = []
    for nic in found.nics:
        nics.append(
            NicRow(
                nic=nic.nic,
                device=nic.device,
                known=not nic.unknown,
                file=nic.file,
                opened=_rom_as_json(nic.opened),
                instead_of=[other.path for other in nic.instead_of],
                has_image=nic.has_image,
                target=nic.target,
            )
        )
    return QemuRow(
        qemu=view.name,
        arch=view.arch.ipxe_name if view.arch else None,
        machine=view.machine,
        directories=found.directories,
        nics=nics,
        faults=found.faults,
        notes=found.notes,
    )


def _rom_as_json(rom: OpenedRom | None) -> OpenedRow | None:
    if rom is None:
        return None
    return OpenedRow(path=rom.path, size=rom.size, bucket=rom.bucket, images=rom.images)
