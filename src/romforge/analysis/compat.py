# SPDX-License-Identifier: GPL-2.0-or-later
"""Decides whether guests can migrate from a host with one set of ROMs to a host with another.

QEMU rounds the size of a ROM file up to a power of two, the bucket. A guest can migrate only if the
bucket is the same on both hosts. Sizes are bytes.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from romforge.analysis.rom_lookup import follow_links
from romforge.base.errors import RomforgeError, UsageError
from romforge.base.text import format_size, join_words
from romforge.formats import option_rom, rom_file
from romforge.plan import planner
from romforge.rom import lock_format
from romforge.rom.assembly import bucket_of
from romforge.sources import debian_package
from romforge.spec import loader

# QEMU names the block of a NIC's ROM after its device state, or else after its type. These are the
# names in `info ramblock` that differ from romforge's name of the NIC.
_BLOCKS = {"ne2k_pci": "ne2000", "virtio": "virtio-net-pci", "eepro100": "i82559c"}


@dataclass(frozen=True)
class RomFile:
    """A ROM file: its size in bytes and the kinds of its images.

    ``bucket_changed_in`` is the note in its spec on the last change of its bucket, if any.
    ``path`` is where QEMU found it, below the set's root, if the set was searched as by QEMU.
    """

    size: int
    images: tuple[str, ...]
    bucket_changed_in: str = ""
    path: str = ""

    @property
    def bucket(self) -> int:
        """The bytes that QEMU reserves for the file."""
        return bucket_of(self.size)


@dataclass(frozen=True)
class Verdict:
    """Whether a guest that runs with an old ROM file can migrate to a host with the new one.

    ``old`` or ``new`` is None if that set does not contain the file. ``reason`` is QEMU's message
    if the guest cannot migrate, or else other differences.
    """

    file: str
    old: RomFile | None
    new: RomFile | None
    compatible: bool
    reason: str
    romsize: str = ""  # the value of QEMU's property romsize= that would help
    said: str = ""  # the note in the new set's spec on its bucket


def read_sets(
    old: Path,
    new: Path,
    out: Path,
    old_path: Sequence[str] | None = None,
    new_path: Sequence[str] | None = None,
) -> tuple[dict[str, RomFile], dict[str, RomFile]]:
    """Reads two sets to compare. ``out`` is the output root for specs.

    ``old_path`` and ``new_path`` are directories in the order in which QEMU searches them, as for
    ``read_searched``. Two single files are compared with each other even if their names differ.
    Raises RomforgeError if a set cannot be read.
    """
    before = read_set(old, out) if old_path is None else read_searched(old, old_path, out)
    after = read_set(new, out) if new_path is None else read_searched(new, new_path, out)
    if old.is_file() and new.is_file() and len(before) == len(after) == 1:
        after = dict(zip(before, after.values()))
    return before, after


def compare_sets(old: Mapping[str, RomFile], new: Mapping[str, RomFile]) -> list[Verdict]:
    """A verdict for each file of either set, sorted by name."""
    names = sorted(old.keys() | new.keys())
    return [_compare(name, old.get(name), new.get(name)) for name in names]


def read_set(path: Path, out: Path = Path("out")) -> dict[str, RomFile]:
    """The ROM files of a directory, a .deb, a lock, a spec or a single file, by name.

    For a spec, these are the files below ``out`` that QEMU would open.

    The name of a file is its base name if no other file of the set has that base name. So a set
    may move to another directory. Raises RomforgeError if there are no ROM files.
    """
    if path.suffix == ".toml":
        return _files_of_spec(path, out)
    if path.suffix == ".lock":
        return _by_base_name(_files_of_lock(path))
    if path.is_dir():
        contents = dict(_read_directory(path))
    elif path.suffix == ".deb":
        contents = dict(debian_package.deb_files(path))
    else:
        contents = {path.name: rom_file.read_rom(path)[0]}
    if not contents:
        raise RomforgeError(
            f"{path}: holds no *.rom file; name a directory of ROMs, a .deb or a ROM"
        )
    return _by_base_name({name: _rom_file(data) for name, data in contents.items()})


def read_searched(path: Path, directories: Sequence[str], out: Path) -> dict[str, RomFile]:
    """The files that a QEMU opens which searches these directories in this order, by name.

    They lie below a directory, in a .deb, or below ``out`` if ``path`` is a spec; or a lock has
    them. Raises RomforgeError if there are none.
    """
    contents = _searched_files(path, directories, out)
    opened: dict[str, RomFile] = {}
    for directory in directories:
        for name, file in contents.items():
            place, _, base_name = name.rpartition("/")
            if place == directory:
                opened.setdefault(base_name, replace(file, path=name))
    if not opened:
        names = list(contents)
        if path.is_dir():
            names = [str(file.relative_to(path)) for file in path.rglob("*.rom")]
        known = {name.rpartition("/")[0] for name in names} - {""}
        hint = f"it has some in {join_words(sorted(known))}" if known else "it has none at all"
        raise RomforgeError(f"{path}: holds no *.rom file in {join_words(directories)}; {hint}")
    return dict(sorted(opened.items()))


def _searched_files(path: Path, directories: Sequence[str], out: Path) -> dict[str, RomFile]:
    """The files of a set, by path below its root; of a directory only those in ``directories``."""
    if path.suffix == ".lock":
        return _files_of_lock(path)
    if path.suffix == ".deb":
        return {name: _rom_file(data) for name, data in debian_package.deb_files(path)}
    if path.is_dir():
        return dict(_files_in(path, directories))
    if path.suffix != ".toml":
        raise UsageError(
            f"{path}: has no directories to search;"
            " a search path is for a directory, a .deb, a lock file or a spec"
        )
    spec = loader.load_spec(path, out, complete=False)
    rules = lock_format.rules(spec, list(planner.make_plan(spec).roms()))
    files = {}
    for name, file in _files_in(out, directories):
        rule = rules.get(name, lock_format.Rule())
        files[name] = replace(file, bucket_changed_in=rule.bucket_changed_in)
    return files


def _files_in(root: Path, directories: Sequence[str]) -> Iterator[tuple[str, RomFile]]:
    """The ROM files in directories below a root, links too, by path below the root."""
    for directory in directories:
        for path in sorted(follow_links(root, directory).glob("*.rom")):
            file = follow_links(root, f"{directory}/{path.name}")
            if os.access(file, os.R_OK) and file.is_file():
                yield f"{directory}/{path.name}", _rom_file(rom_file.read_rom(file)[0])


def _files_of_spec(spec_path: Path, out: Path) -> dict[str, RomFile]:
    """The files that QEMU opens: for each name, the first in the search path.

    If the spec has several architectures, a name starts with the architecture:
    ``arm64/efi-virtio.rom``.
    """
    spec = loader.load_spec(spec_path, out, complete=False)
    if not spec.qemu:
        raise RomforgeError(
            f"{spec_path}: does not define where QEMU looks for ROMs; "
            f'write firmware_path = ["DIR"] in a [qemu.ARCH]'
        )
    rules = lock_format.rules(spec, list(planner.make_plan(spec).roms()))
    files: dict[str, RomFile] = {}
    for arch, qemu in spec.qemu.items():
        for directory in qemu.firmware_path:
            for path in sorted((out / directory).glob("*.rom")):
                name = path.name if len(spec.qemu) == 1 else f"{arch}/{path.name}"
                data = rom_file.read_rom(path)[0]
                rule = rules.get(os.path.join(directory, path.name), lock_format.Rule())
                place = os.path.normpath(f"{directory}/{path.name}")
                opened = replace(_rom_file(data, rule.bucket_changed_in), path=place)
                files.setdefault(name, opened)
    if not files:
        raise RomforgeError(
            f"{out}: holds no *.rom file in the directories of {spec_path}; build them first"
        )
    return dict(sorted(files.items()))


def _files_of_lock(path: Path) -> dict[str, RomFile]:
    """The files of a lock. It records the bucket of each, which stands for the size."""
    files = {}
    for name, entry in lock_format.read_lock(path).roms.items():
        files[name] = RomFile(entry.bucket, entry.kinds, entry.bucket_changed_in)
    return files


def _read_directory(root: Path) -> Iterator[tuple[str, bytes]]:
    """The ROM files below a directory. A symbolic link to a file below it is left aside."""
    resolved_root = root.resolve()
    for path in sorted(root.rglob("*.rom")):
        if not path.is_file():
            continue
        if path.is_symlink() and path.resolve().is_relative_to(resolved_root):
            continue
        yield str(path.relative_to(root)), rom_file.read_rom(path)[0]


def _by_base_name(files: Mapping[str, RomFile]) -> dict[str, RomFile]:
    """The files by base name, or by their full name where a base name is not unique."""
    counts = Counter(PurePosixPath(name).name for name in files)
    named = {}
    for name, file in sorted(files.items()):
        base_name = PurePosixPath(name).name
        if counts[base_name] == 1:
            named[base_name] = file
        else:
            named[name] = file
    return named


def _rom_file(data: bytes, bucket_changed_in: str = "") -> RomFile:
    kinds = tuple(image.kind for image in option_rom.parse_chain(data).images)
    return RomFile(len(data), kinds, bucket_changed_in)


def _compare(name: str, old: RomFile | None, new: RomFile | None) -> Verdict:
    """The verdict on a file of two sets, at least one of which contains it."""
    base_name = PurePosixPath(name).name
    if old is None:
        return Verdict(name, old, new, True, "only in the new set")
    if new is None:
        reason = f'QEMU would not start there: failed to find romfile "{base_name}"'
        return Verdict(name, old, new, False, reason)
    if not old.size or not new.size:
        return Verdict(name, old, new, False, f'romfile "{base_name}" is empty')
    if old.bucket != new.bucket:
        return _size_mismatch(name, old, new)
    if not old.images or not new.images:
        side = "new" if old.images else "old"
        return Verdict(name, old, new, False, f"the {side} file contains no ROM image")
    difference = ""
    if old.images != new.images:
        difference = f"images were {', '.join(old.images)}, are {', '.join(new.images)}"
    return Verdict(name, old, new, True, difference)


def _size_mismatch(name: str, old: RomFile, new: RomFile) -> Verdict:
    """The verdict on a bucket that changed, with QEMU's message as the reason.

    QEMU's property romsize= helps the side with the smaller bucket: it can only enlarge a ROM, and
    its value must be a power of two.
    """
    reason = f"Size mismatch: {_block(name)}: {old.bucket:#x} != {new.bucket:#x}: Invalid argument"
    romsize = f"guests started with romsize={new.bucket} migrate"
    if old.bucket > new.bucket:
        romsize = f"migrates to a QEMU started with romsize={old.bucket}"
    note = ""
    if new.bucket_changed_in:
        note = f"the spec says: {new.bucket_changed_in}"
    return Verdict(name, old, new, False, reason, romsize, note)


def _block(name: str) -> str:
    """QEMU's name of the ROM's memory block, for a NIC in slot 2 of the root bus.

    It is the same on each machine. Without a display, that is the first free slot on pc.
    """
    nic = PurePosixPath(name).stem.removeprefix("efi-").removeprefix("pxe-")
    return f"0000:00:02.0/{_BLOCKS.get(nic, nic)}.rom"


def rows(verdicts: list[Verdict]) -> list[list[str]]:
    """The cells of a table of verdicts: file, old bucket, new bucket, verdict, reason."""
    table = []
    for verdict in verdicts:
        result = "migrates" if verdict.compatible else "FAILS"
        reasons = filter(None, [verdict.reason, verdict.romsize, verdict.said])
        cells = [verdict.file, _bucket_cell(verdict.old), _bucket_cell(verdict.new)]
        table.append([*cells, result, "; ".join(reasons)])
    return table


def _bucket_cell(file: RomFile | None) -> str:
    return format_size(file.bucket) if file else "-"


def opened_paths(verdict: Verdict) -> str:
    """The files that QEMU opens on both sides: ``usr/share/qemu/a.rom -> usr/lib/ipxe/a.rom``.

    Empty for sets that were not searched as by QEMU.
    """
    old = verdict.old.path if verdict.old else ""
    new = verdict.new.path if verdict.new else ""
    if not old and not new:
        return ""
    return f"{old or '-'} -> {new or '-'}"
