# SPDX-License-Identifier: GPL-2.0-or-later
"""From the spec to steps: a pure function, and frozen steps that say all they depend on but the files' content."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from romforge.spec import Ids, Source, Spec, Target, firmware, rom_path

STATE = ".romforge"  # below the output root: what is kept between runs

# Where ROMs lie in a directory, in Debian's and Ubuntu's ipxe-qemu, in bookworm's, and in Fedora's ipxe-roms-qemu.
_DIRECTORIES = ("", "usr/share/qemu/", "usr/lib/ipxe/qemu/", "usr/share/ipxe.efi/", "usr/share/ipxe/")
_FILES = ("efi-{nic}.rom", "pxe-{nic}.rom", "{nic}.rom", "{vendor}{device}.rom")
DEFAULT_FILES = tuple(directory + file for directory in _DIRECTORIES for file in _FILES)


class Fetch(NamedTuple):
    """Gets ROM files out of a package or a .deb into ``directory``, relative to the output root."""

    source: str
    package: str | None
    deb: str | None  # absolute path
    sha256: str | None
    directory: str

    @property
    def task(self) -> str:
        return f"source:{self.source}"


class Pick(NamedTuple):
    """The image of a platform: the first of ``files`` below ``root`` that holds one of this code type and machine."""

    platform: str
    legacy: bool
    machine: int  # of an EFI image
    source: str
    tree: bool  # built by make, not taken from files
    root: str  # absolute, or relative to the output root where a Fetch fills it
    files: tuple[str, ...]  # patterns


class Rom(NamedTuple):
    """One ROM file: which images, which IDs, which bucket. Sizes are bytes."""

    path: str  # relative to the output root
    target: str
    nic: str
    ids: Ids
    accept_ids: tuple[Ids, ...]
    fix_ids: bool
    picks: tuple[Pick, ...]
    bucket: int | None
    pad: bool

    @property
    def task(self) -> str:
        return f"rom:{self.path}"


class Plan(NamedTuple):
    """All steps: the fetches, and the ROMs of each target in the spec's order; ``default`` targets are built unasked."""

    spec: str  # absolute path of the spec
    fetches: tuple[Fetch, ...]
    targets: dict[str, tuple[Rom, ...]]
    default: tuple[str, ...]

    def roms(self) -> Iterator[Rom]:
        for roms in self.targets.values():
            yield from roms

    def directories(self) -> tuple[set[str], set[str]]:
        """Those that ROMs are written to, relative to the output root, and those outside it that they are read from."""
        picks = {pick for roms in self.targets.values() for rom in roms[:1] for pick in rom.picks if os.path.isabs(pick.root)}
        sources = {f"{pick.root}/{os.path.dirname(file)}" for pick in picks if not pick.tree for file in pick.files}
        return {os.path.dirname(rom.path) for rom in self.roms()}, sources

    def fetches_of(self, rom: Rom) -> list[Fetch]:
        """The fetches that must be done before the ROM can be built."""
        needed = {pick.source for pick in rom.picks}
        return [fetch for fetch in self.fetches if fetch.source in needed]


def make(spec: Spec) -> Plan:
    """The plan of a checked spec."""
    targets = {name: tuple(_roms(spec, name, target)) for name, target in spec.target.items()}
    used = {pick.source for roms in targets.values() for rom in roms[:1] for pick in rom.picks}
    fetches = [fetch for name, source in spec.source.items() if name in used and (fetch := _fetch(spec, name, source))]
    default = tuple(name for name, target in spec.target.items() if target.default)
    return Plan(os.path.abspath(spec.path), tuple(fetches), targets, default)


def _fetch(spec: Spec, name: str, source: Source) -> Fetch | None:
    if not source.package and not _is_deb(source):
        return None
    deb = _beside(spec, source.roms) if source.roms else None
    return Fetch(name, source.package, deb, source.sha256, _root(spec, name, source))


def _is_deb(source: Source) -> bool:
    return source.roms is not None and source.roms.endswith(".deb")


def _root(spec: Spec, name: str, source: Source) -> str:
    """Where the files of a source lie."""
    given = source.tree or source.roms
    return f"{STATE}/source/{name}" if given is None or _is_deb(source) else _beside(spec, given)


def _beside(spec: Spec, path: str) -> str:
    """A path of the spec, which is relative to the spec's directory."""
    return os.path.abspath(spec.path.parent / Path(path).expanduser())


def _roms(spec: Spec, name: str, target: Target) -> Iterator[Rom]:
    bucket = spec.bucket[target.bucket] if target.bucket else None
    size, pad = (bucket.size, bucket.pad) if bucket else (None, False)
    picks = tuple(_pick(spec, target, platform) for platform in target.images)
    for nic_name in spec.nic if target.nics is None else target.nics:
        nic = spec.nic[nic_name]
        path = rom_path(name, target, nic_name, nic.id)
        yield Rom(path, name, nic_name, nic.id, nic.accept_ids, target.fix_ids, picks, size, pad)


def _pick(spec: Spec, target: Target, platform: str) -> Pick:
    kind = firmware(platform, spec.platform[platform])
    assert kind is not None  # a checked spec has no other
    arch, firmware_name = kind
    name = spec.platform[platform].source or target.source or next(iter(spec.source))
    source = spec.source[name]
    root, tree = _root(spec, name, source), source.tree is not None
    return Pick(platform, firmware_name == "pcbios", arch.machine, name, tree, root, source.files or DEFAULT_FILES)
