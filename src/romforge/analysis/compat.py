# SPDX-License-Identifier: GPL-2.0-or-later
"""Decides whether guests can move from a host with one set of ROMs to a host with another.

There are two verdicts. QEMU rounds the size of a ROM file up to a power of two, the bucket: a guest
can migrate only if the bucket is the same on both hosts. A guest that has migrated keeps its old
ROM, also when it is reset. Only when QEMU is started again for it, it has the new ROM, and can boot
from the network if that has an image for its firmware. Sizes are bytes.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from romforge.analysis.rom_lookup import follow_links
from romforge.base import output_files
from romforge.base.errors import RomforgeError, UsageError
from romforge.base.fingerprint import FAILED
from romforge.base.image_kind import is_bootable
from romforge.base.text import format_size, join_words, plural
from romforge.formats import option_rom, rom_file
from romforge.plan import planner
from romforge.plan.steps import Rom
from romforge.rom import lock_format, manifest, rom_sets
from romforge.rom.assembly import bucket_of
from romforge.rom.rom_sets import Pair
from romforge.sources import debian_package
from romforge.spec import loader
from romforge.spec.model import Spec

_MOST_NAMED = 8  # files that a hint names; each file of a set may have a hint

# QEMU names the block of a NIC's ROM after its device state, or else after its type. These are the
# names in `info ramblock` that differ from romforge's name of the NIC.
_BLOCKS = {"ne2k_pci": "ne2000", "virtio": "virtio-net-pci", "eepro100": "i82559c"}


@dataclass(frozen=True)
class RomFile:
    """A ROM file: its size in bytes and the kinds of its images.

    ``bucket_changed_in`` is the note in its spec on the last change of its bucket, if any.
    ``path`` is where QEMU found it, below the set's root, if the set was searched as by QEMU.
    ``error`` is why its last build failed, so that the file is of an earlier one, or missing.
    """

    size: int
    images: tuple[str, ...]
    bucket_changed_in: str = ""
    path: str = ""
    error: str = ""

    @property
    def bucket(self) -> int:
        """The bytes that QEMU reserves for the file."""
        return bucket_of(self.size)

    @property
    def exists(self) -> bool:
        """Whether there is a file: one whose build failed may be missing."""
        return self.size > 0 or not self.error


@dataclass(frozen=True)
class Verdict:
    """Whether a guest that runs with an old ROM file can move to a host with the new one.

    ``old`` or ``new`` is None if that set does not contain the file. ``migrates`` tells whether the
    running guest can move, ``boots`` whether it can boot from the network when QEMU is started
    again for it, as it could before. ``reason`` is QEMU's message if the guest cannot migrate.
    ``images`` is what changed of the images, with what a guest can no longer boot from.
    """

    file: str
    old: RomFile | None
    new: RomFile | None
    migrates: bool
    boots: bool
    reason: str
    images: str = ""
    romsize: str = ""  # the value of QEMU's property romsize= that would help
    said: str = ""  # the note in the new set's spec on its bucket
    ambiguity: str = ""  # which other files QEMU may open
    old_path: str | None = None  # in the old set
    new_path: str | None = None  # in the new set

    @property
    def is_good(self) -> bool:
        return self.migrates and self.boots


def compare_sets(old: Mapping[str, RomFile], new: Mapping[str, RomFile]) -> list[Verdict]:
    """A verdict for each file of either set, sorted by name.

    The sets are by path. A verdict has the base name of its files where that is unique. Else it has
    their path, or where they differ, both: ``a/nic.rom -> b/nic.rom``.
    """
    pairs = rom_sets.pair_files(old, new)
    hints = _Hints(pairs)
    counts = Counter(PurePosixPath(pair.new or pair.old or "").name for pair in pairs)
    verdicts = []
    for pair in pairs:
        base_name = PurePosixPath(pair.new or pair.old or "").name
        name = base_name
        if counts[base_name] > 1:
            name = " -> ".join(dict.fromkeys(filter(None, (pair.old, pair.new))))
        before = old[pair.old] if pair.old else None
        after = new[pair.new] if pair.new else None
        verdict = _compare(base_name, before, after)
        verdict = replace(verdict, file=name, old_path=pair.old, new_path=pair.new)
        if pair.ambiguous:
            verdict = replace(verdict, ambiguity=hints.describe(pair))
        verdicts.append(verdict)
    return verdicts


class _Hints:
    """Which files a QEMU may open, of ambiguous pairs."""

    def __init__(self, pairs: Collection[Pair]) -> None:
        self._new_of_old: defaultdict[str | None, list[str]] = defaultdict(list)
        self._old_of_new: defaultdict[str | None, list[str]] = defaultdict(list)
        for pair in pairs:
            if pair.ambiguous and pair.new:
                self._new_of_old[pair.old].append(pair.new)
            if pair.ambiguous and pair.old:
                self._old_of_new[pair.new].append(pair.old)

    def describe(self, pair: Pair) -> str:
        """The files of one of the sides, the new one first; not all where they are many."""
        sides = ("new", self._new_of_old[pair.old]), ("old", self._old_of_new[pair.new])
        for side, paths in sides:
            if len(paths) > 1:
                named, others = paths[:_MOST_NAMED], len(paths) - _MOST_NAMED
                if others > 0:
                    named = [*named, plural(others, "other")]
                return (
                    f"QEMU may open {join_words(named, 'or')} on the {side} host;"
                    f" --{side}-path tells where it looks"
                )
        return ""


def read_set(path: Path, out: Path = Path("out")) -> dict[str, RomFile]:
    """The ROM files of a directory, a .deb, a lock, a spec or a single file, by path.

    For a spec, these are the files below ``out`` that QEMU would open. Of an output root, a file
    whose last build failed has an error. Raises RomforgeError if there are no ROM files.
    """
    if path.suffix == ".toml":
        return _files_of_spec(path, out)
    if path.suffix == ".lock":
        return _files_of_lock(path)
    if path.is_dir():
        files = _read_directory(path)
    elif path.suffix == ".deb":
        files = {name: _rom_file(data) for name, data in debian_package.deb_files(path)}
    else:
        files = {path.name: _rom_file(rom_file.read_rom(path)[0])}
    if not files:
        raise RomforgeError(
            f"{path}: holds no *.rom file; name a directory of ROMs, a .deb or a ROM"
        )
    return files


def read_roms(spec: Spec, roms: Sequence[Rom], out: Path) -> dict[str, RomFile]:
    """Those of the ROMs of a spec that are built, by path below the output root ``out``.

    One whose last build failed has an error, also where it has no file.
    """
    rules = lock_format.rules(spec, roms)
    failed = manifest.failed_roms(out)
    files = {}
    for rom in roms:
        error = failed.get(rom.path, "")
        if (out / rom.path).is_file():
            file = _rom_file(
                rom_file.read_rom(out / rom.path)[0], rules[rom.path].bucket_changed_in
            )
            files[rom.path] = replace(file, error=error)
        elif error:
            files[rom.path] = RomFile(0, (), error=error)
    return files


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
    failed = manifest.failed_roms(out)
    files: dict[str, RomFile] = {}
    for arch, qemu in spec.qemu.items():
        for directory in qemu.firmware_path:
            for path in sorted((out / directory).glob("*.rom")):
                name = path.name if len(spec.qemu) == 1 else f"{arch}/{path.name}"
                data = rom_file.read_rom(path)[0]
                rule = rules.get(os.path.join(directory, path.name), lock_format.Rule())
                place = os.path.normpath(f"{directory}/{path.name}")
                opened = replace(_rom_file(data, rule.bucket_changed_in), path=place)
                opened = replace(opened, error=failed.get(place, ""))
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


def _read_directory(root: Path) -> dict[str, RomFile]:
    """The ROM files below a directory. If it belongs to an output root, the manifests count."""
    files = {}
    for file in rom_sets.files_below(root):
        files[file.relative_to(root).as_posix()] = _rom_file(rom_file.read_rom(file)[0])
    out = output_files.root_of(root)
    if out is None:
        return files
    for path, error in manifest.failed_roms(out).items():
        failed = (out / path).absolute()
        if failed.is_relative_to(root.absolute()):
            name = failed.relative_to(root.absolute()).as_posix()
            files[name] = replace(files.get(name, RomFile(0, ())), error=error)
    return files


def _rom_file(data: bytes, bucket_changed_in: str = "") -> RomFile:
    kinds = tuple(image.kind for image in option_rom.parse_chain(data).images)
    return RomFile(len(data), kinds, bucket_changed_in)


def _compare(base_name: str, old: RomFile | None, new: RomFile | None) -> Verdict:
    """The verdict on a file of two sets, at least one of which contains it."""
    if old is None:
        assert new is not None
        return Verdict(base_name, old, new, not new.error, not new.error, _only_new(new))
    if new is None:
        reason = f'QEMU would not start there: failed to find romfile "{base_name}"'
        return Verdict(base_name, old, new, False, False, reason)
    error = new.error or old.error
    if error:
        return Verdict(base_name, old, new, False, False, FAILED + error)
    if not old.size or not new.size:
        return Verdict(base_name, old, new, False, False, f'romfile "{base_name}" is empty')
    lost = _lost_images(old, new)
    boots = bool(new.images) and not lost
    images = _image_difference(old, new, lost)
    verdict = Verdict(base_name, old, new, True, boots, "", images)
    if old.bucket != new.bucket:
        return _size_mismatch(base_name, verdict, old, new)
    return verdict


def _only_new(new: RomFile) -> str:
    if new.error:
        return FAILED + new.error
    return "only in the new set"


def _lost_images(old: RomFile, new: RomFile) -> list[str]:
    """The kinds of images that firmware runs, and that only the old file has."""
    return [kind for kind in old.images if is_bootable(kind) and kind not in new.images]


def _image_difference(old: RomFile, new: RomFile, lost: Sequence[str]) -> str:
    """What to say of images that changed."""
    if not new.images:
        return "the new file contains no ROM image"
    if not old.images:
        return "the old file contains no ROM image"
    if old.images == new.images:
        return ""
    difference = f"images were {', '.join(old.images)}, are {', '.join(new.images)}"
    if lost:
        kinds = join_words(lost)
        difference += f"; started again, a guest has no {kinds} image to boot from"
    return difference


def _size_mismatch(name: str, verdict: Verdict, old: RomFile, new: RomFile) -> Verdict:
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
    return replace(verdict, migrates=False, reason=reason, romsize=romsize, said=note)


def _block(name: str) -> str:
    """QEMU's name of the ROM's memory block, for a NIC in slot 2 of the root bus.

    It is the same on each machine. Without a display, that is the first free slot on pc.
    """
    nic = PurePosixPath(name).stem.removeprefix("efi-").removeprefix("pxe-")
    return f"0000:00:02.0/{_BLOCKS.get(nic, nic)}.rom"


def rows(verdicts: list[Verdict]) -> list[list[str]]:
    """The cells of a table of verdicts: file, old bucket, new bucket, both verdicts, reason."""
    table = []
    for verdict in verdicts:
        migrates = "migrates" if verdict.migrates else "FAILS"
        boots = "boots" if verdict.boots else "FAILS"
        cells = [verdict.file, _bucket_cell(verdict.old), _bucket_cell(verdict.new)]
        table.append([*cells, migrates, boots, "; ".join(reasons(verdict))])
    return table


def reasons(verdict: Verdict) -> list[str]:
    """What there is to say of a verdict."""
    texts = [verdict.reason, verdict.romsize, verdict.said, verdict.images, verdict.ambiguity]
    return [text for text in texts if text]


def _bucket_cell(file: RomFile | None) -> str:
    return format_size(file.bucket) if file and file.exists else "-"


def opened_paths(verdict: Verdict) -> str:
    """The files that QEMU opens on both sides: ``usr/share/qemu/a.rom -> usr/lib/ipxe/a.rom``.

    Empty for sets that were not searched as by QEMU.
    """
    old = verdict.old.path if verdict.old else ""
    new = verdict.new.path if verdict.new else ""
    if not old and not new:
        return ""
    return f"{old or '-'} -> {new or '-'}"
