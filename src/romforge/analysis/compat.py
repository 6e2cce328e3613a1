# SPDX-License-Identifier: GPL-2.0-or-later
"""Would guests migrate from a host with one set of ROMs to a host with another? Sizes are bytes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from romforge.base.errors import RomforgeError
from romforge.base.text import format_size
from romforge.formats import option_rom, rom_file
from romforge.plan import planner
from romforge.rom import lock_format
from romforge.rom.assembly import bucket_of
from romforge.sources import debian_package
from romforge.spec import loader

# What QEMU calls the block of a NIC's ROM: after its device state, else after its type (seen in `info ramblock`).
_BLOCKS = {"ne2k_pci": "ne2000", "virtio": "virtio-net-pci", "eepro100": "i82559c"}


@dataclass(frozen=True)
class RomFile:
    """What counts of a ROM file; ``bucket_changed_in`` is what its spec says of the last change of the bucket."""

    size: int
    images: tuple[str, ...]
    bucket_changed_in: str = ""

    @property
    def bucket(self) -> int:
        return bucket_of(self.size)


@dataclass(frozen=True)
class Verdict:
    """Of one file of two sets: whether a guest that runs with the old one can move, why not, and what else differs."""

    file: str
    old: RomFile | None
    new: RomFile | None
    compatible: bool
    reason: str
    romsize: str = ""  # what QEMU's property romsize= would do about other buckets
    said: str = ""  # what the spec of the new set says of its bucket


def read_sets(old: Path, new: Path, out: Path) -> tuple[dict[str, RomFile], dict[str, RomFile]]:
    """Two sets to compare; two single files are one ROM before and after, whatever their names. ``out`` is for specs."""
    before, after = read_set(old, out), read_set(new, out)
    if old.is_file() and new.is_file() and len(before) == len(after) == 1:
        after = dict(zip(before, after.values()))
    return before, after


def compare_sets(old: dict[str, RomFile], new: dict[str, RomFile]) -> list[Verdict]:
    """A verdict for each file of either set, in order of the names."""
    return [
        _verdict(name, old.get(name), new.get(name)) for name in sorted(old.keys() | new.keys())
    ]


def read_set(path: Path, out: Path = Path("out")) -> dict[str, RomFile]:
    """The ROM files of a directory, a .deb, a lock, a spec or a single file, by name; raises RomforgeError where there are none.

    Of a spec they are those that the QEMU of an architecture would open, in the order of its search, below ``out``.

    A file goes by its base name where that is unique in the set, so that a set may move to another directory.
    """
    if path.suffix == ".toml":
        return _opened(path, out)
    if path.suffix == ".lock":
        return _by_base_name(
            {
                name: RomFile(one.bucket, one.kinds, one.bucket_changed_in)
                for name, one in lock_format.read_lock(path).roms.items()
            }
        )
    if path.is_dir():
        found = dict(_in_directory(path))
    elif path.suffix == ".deb":
        found = dict(debian_package.deb_files(path))
    else:
        found = {path.name: rom_file.read_rom(path)[0]}
    if not found:
        raise RomforgeError(
            f"{path}: holds no *.rom file; name a directory of ROMs, a .deb or a ROM"
        )
    return _by_base_name({name: RomFile(len(data), _images(data)) for name, data in found.items()})


def _opened(spec: Path, out: Path) -> dict[str, RomFile]:
    """The files that QEMU opens: of each name the first in the search path. Several architectures' names begin with theirs."""
    loaded = loader.load_spec(spec, out)
    machines = loaded.qemu
    if not machines:
        raise RomforgeError(
            f'{spec}: says nothing of where QEMU looks; write firmware_path = ["DIR"] in a [qemu.ARCH]'
        )
    says = lock_format.rules(loaded, list(planner.make_plan(loaded).roms()))
    found: dict[str, RomFile] = {}
    for arch, one in machines.items():
        for directory in one.firmware_path:
            for path in sorted((out / directory).glob("*.rom")):
                data = rom_file.read_rom(path)[0]
                rule = says.get(os.path.join(directory, path.name), lock_format.Rule())
                name = path.name if len(machines) == 1 else f"{arch}/{path.name}"
                found.setdefault(name, RomFile(len(data), _images(data), rule.bucket_changed_in))
    if not found:
        raise RomforgeError(
            f"{out}: holds no *.rom file in the directories of {spec}; build them first"
        )
    return dict(sorted(found.items()))


def _by_base_name(found: dict[str, RomFile]) -> dict[str, RomFile]:
    base = Counter(PurePosixPath(name).name for name in found)
    return {
        PurePosixPath(name).name if base[PurePosixPath(name).name] == 1 else name: one
        for name, one in sorted(found.items())
    }


def _in_directory(root: Path) -> Iterator[tuple[str, bytes]]:
    """The ROM files below a directory; a link to another file below it would only say the same twice."""
    for path in sorted(root.rglob("*.rom")):
        if path.is_file() and not (
            path.is_symlink() and path.resolve().is_relative_to(root.resolve())
        ):
            yield str(path.relative_to(root)), rom_file.read_rom(path)[0]


def _images(data: bytes) -> tuple[str, ...]:
    return tuple(image.kind for image in option_rom.parse_chain(data).images)


def _verdict(name: str, old: RomFile | None, new: RomFile | None) -> Verdict:
    if old is None or new is None:
        gone = new is None
        reason = (
            f'QEMU would not start there: failed to find romfile "{PurePosixPath(name).name}"'
            if gone
            else "only in the new set"
        )
        return Verdict(name, old, new, not gone, reason)
    if not old.size or not new.size:
        return Verdict(name, old, new, False, f'romfile "{PurePosixPath(name).name}" is empty')
    if old.bucket != new.bucket:
        reason = (
            f"Size mismatch: {_block(name)}: {old.bucket:#x} != {new.bucket:#x}: Invalid argument"
        )
        said = f"the spec says: {new.bucket_changed_in}" if new.bucket_changed_in else ""
        return Verdict(name, old, new, False, reason, _romsize(old.bucket, new.bucket), said)
    if not old.images or not new.images:
        return Verdict(
            name,
            old,
            new,
            False,
            f"the {'new' if old.images else 'old'} file holds no image of a ROM",
        )
    changed = (
        ""
        if old.images == new.images
        else f"images were {', '.join(old.images)}, are {', '.join(new.images)}"
    )
    return Verdict(name, old, new, True, changed)


def _romsize(old: int, new: int) -> str:
    """Which side could have been given a larger ROM; the property only enlarges, and must be a power of two."""
    return (
        f"migrates to a QEMU started with romsize={old}"
        if old > new
        else f"guests started with romsize={new} migrate"
    )


def _block(name: str) -> str:
    """The name of the ROM's block in QEMU, for the NIC in the first free slot."""
    nic = PurePosixPath(name).stem.removeprefix("efi-").removeprefix("pxe-")
    return f"0000:00:02.0/{_BLOCKS.get(nic, nic)}.rom"


def rows(verdicts: list[Verdict]) -> list[list[str]]:
    """The verdicts as cells of a table: file, old and new bucket, verdict, reason."""
    return [
        [
            one.file,
            format_size(one.old.bucket) if one.old else "-",
            format_size(one.new.bucket) if one.new else "-",
            "migrates" if one.compatible else "FAILS",
            "; ".join(filter(None, [one.reason, one.romsize, one.said])),
        ]
        for one in verdicts
    ]
